"""Drums: keys and beats, the Groove dataset, distributions, networks, objectives, generation."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import symusic
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from audiotransfer import recipes
from audiotransfer.cli import main
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.metrics.drums import (
    DrumStyleClassifier,
    exact,
    expression,
    expression_errors,
    hit_scores,
    nearest_of,
    novelty,
    pattern_figures,
    reconstruction,
    style_figures,
)
from audiotransfer.midi.grid import Grid
from audiotransfer.midi.percussion import DRUMS, KEYS, NONE, drums_of
from audiotransfer.midi.plotting import plot_scores
from audiotransfer.midi.score import note_table, parse_score, read_score, write_score
from audiotransfer.pipeline.midi_drums import load_drummer
from audiotransfer.symbolic.drums.beats import (
    BAR,
    Beat,
    Cells,
    beat_of,
    joined,
    score_of,
)
from audiotransfer.symbolic.drums.data import (
    GrooveBatches,
    Windows,
    common_styles,
    read_grooves,
    windows_of,
)
from audiotransfer.symbolic.drums.drummer import SHIPPED, Drummer, load_drums, save_drums, slerp
from audiotransfer.symbolic.drums.music_vae import MusicVae
from audiotransfer.symbolic.drums.network import DrumVae, Expression, Gaussian
from audiotransfer.symbolic.drums.objective import (
    DrumObjective,
    DrumSettings,
    beyond_free_bits,
    expression_loss,
)
from audiotransfer.symbolic.drums.patterns import SIMILARITY, compose, similarity
from audiotransfer.symbolic.drums.steps import STEPS
from audiotransfer.symbolic.drums.transfer import DrumTransfer, bar_places, humanised, load_part
from audiotransfer.symbolic.drums.velocities import vary_velocities
from audiotransfer.weights import save_weights

KICK, SNARE, CLOSED = 0, 1, 2
TOY = {
    "latent": 4, "encoder": 6, "phrase": 5, "conductor": 5, "decoder": 8, "touch": 4, "prior": 6,
    "word": 3,
}  # fmt: skip
TOY_MUSIC = {"latent": 4, "encoder": 6, "decoder": 8, "decoder_layers": 2}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def toy(**widths: object) -> DrumVae:
    torch.manual_seed(0)
    return DrumVae(("jazz", "rock"), **{**TOY, **widths}).eval()


def random_beats(count: int, bars: int, seed: int = 0) -> dict[str, Tensor]:
    generator = seeded(seed)
    hits = (torch.rand(count, bars * BAR, 9, generator=generator) < 0.2).float()
    velocities = hits * torch.rand(hits.shape, generator=generator)
    offsets = hits * (torch.rand(hits.shape, generator=generator) - 0.5)
    styles = torch.arange(count) % 2
    return {"hits": hits, "velocities": velocities, "offsets": offsets, "styles": styles}


def write_drums(
    path: Path, notes: list[tuple[int, int, int]], metre: tuple[int, int] = (4, 4)
) -> None:
    """Notes (tick, key, velocity) at 480 ticks a quarter and 100 quarters a minute."""
    score = symusic.Score(480)
    score.tempos.append(symusic.Tempo(0, 100.0))
    score.time_signatures.append(symusic.TimeSignature(0, *metre))
    track = symusic.Track("drums", 0, True)
    for tick, key, velocity in notes:
        track.notes.append(symusic.Note(tick, 60, key, velocity))
    score.tracks.append(track)
    path.parent.mkdir(parents=True, exist_ok=True)
    score.dump_midi(str(path))


def rock(bars: int, shift: int = 0) -> list[tuple[int, int, int]]:
    """Kick on one and three, snare on two and four, closed hats on eighths."""
    notes = []
    for eighth in range(8 * bars):
        tick = 240 * eighth + (shift if eighth else 0)
        notes.append((tick, 42, 60 + eighth % 8))
        if eighth % 2 == 0:
            notes.append((tick, 36 if eighth % 4 == 0 else 38, 100))
    return notes


# Keys and beats


def test_every_percussion_key_has_a_drum_and_no_other_key() -> None:
    drums = drums_of(np.arange(128))
    known = {22, *range(26, 88)}
    assert {key for key in range(128) if drums[key] != NONE} == known
    assert [DRUMS[drum] for drum in drums_of(np.array(KEYS))] == list(DRUMS)
    named = {39: "snare", 37: "snare", 44: "closed hat", 58: "low tom", 57: "crash", 56: "ride"}
    assert {key: DRUMS[drums[key]] for key in named} == named


def test_of_several_notes_in_a_cell_the_loudest_counts_and_late_is_positive() -> None:
    onsets = np.array([0.0, 1.25, 0.75, 5.0, 8.1])
    keys = np.array([36, 38, 40, 10, 38])
    beat = beat_of(Cells.of(onsets, keys, 8), np.array([127, 30, 90, 99, 99]), 8)
    # Key 10 is no percussion, and 8.1 lies behind the end.
    assert np.argwhere(beat.hits).tolist() == [[0, KICK], [1, SNARE]]
    assert beat.velocities[0, KICK] == 1.0
    assert beat.velocities[1, SNARE] == pytest.approx(90 / 127)
    assert beat.offsets[1, SNARE] == -0.25  # early
    late = beat_of(Cells.of(np.array([3.2]), np.array([42]), 8), np.array([64]), 8)
    assert late.offsets[3, CLOSED] == pytest.approx(0.2)


def test_a_beat_is_the_score_that_it_becomes() -> None:
    random = np.random.default_rng(3)
    hits = random.random((32, 9)) < 0.3
    hits[0] = False
    offsets = np.round(random.uniform(-0.4, 0.4, hits.shape) * 120) / 120
    velocities = random.integers(1, 128, hits.shape) / 127
    beat = Beat(hits, (hits * velocities).astype("f4"), (hits * offsets).astype("f4"))
    score = parse_score(score_of([beat, beat], [90.0, 140.0]).dumps_midi(), "beat")
    notes = note_table(score, drums=True)
    again = beat_of(Cells.of(notes[:, 0] / 120, notes[:, 2], 64), notes[:, 3], 64)
    assert (again.hits == joined([beat, beat]).hits).all()
    np.testing.assert_allclose(again.velocities[32:], beat.velocities, atol=1e-6)
    np.testing.assert_allclose(again.offsets[:32], beat.offsets, atol=1e-6)
    assert [(t.time, round(t.qpm)) for t in score.tempos] == [(0, 90), (32 * 120, 140)]


# The dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset as Groove is packed: splits, styles, another metre, a file that is not there."""
    folder = tmp_path_factory.mktemp("data")
    lines = ["drummer,session,id,style,bpm,beat_type,time_signature,midi_filename,split"]
    performances = {
        "one": ("jazz/swing", "4-4", "train", 5), "two": ("jazz", "4-4", "train", 4),
        "three": ("rock/halftime", "4-4", "train", 6), "four": ("rock", "4-4", "train", 1),
        "waltz": ("jazz", "3-4", "train", 4), "held": ("rock", "4-4", "validation", 6),
        "test": ("latin", "4-4", "test", 5), "lost": ("rock", "4-4", "train", 0),
    }  # fmt: skip
    for number, (name, (style, metre, split, bars)) in enumerate(performances.items()):
        lines.append(f"d,s,{name},{style},100,beat,{metre},d/{name}.mid,{split}")
        if bars:
            # A last bar that holds nothing but its first hit.
            notes = [*rock(bars, shift=number), (1920 * bars, 49, 110)]
            write_drums(folder / "grooves" / "d" / f"{name}.mid", notes)
    (folder / "grooves" / "info.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_grooves_keep_their_official_split_and_whole_bars_in_four(data: Path) -> None:
    grooves = read_grooves(data / "grooves", "train")
    assert {g.name: (g.style, len(g.beat) // BAR) for g in grooves} == {
        "d/one.mid": ("jazz", 5), "d/two.mid": ("jazz", 4), "d/three.mid": ("rock", 6),
        "d/four.mid": ("rock", 1),
    }  # fmt: skip
    assert common_styles(grooves, 7) == ("jazz", "rock")
    assert common_styles(grooves, 8) == ("jazz",)
    with pytest.raises(AudioTransferError, match="of the split 'unheard'; there are train"):
        read_grooves(data / "grooves", "unheard")


def test_windows_begin_at_every_bar_and_know_their_style(data: Path) -> None:
    windows = windows_of(read_grooves(data / "grooves", "train"), 2, ("jazz",))
    assert windows.hits.shape == (4 + 3 + 5, 32, 9)
    assert sorted(windows.styles.tolist()) == [0] * 7 + [1] * 5
    assert set(windows.tempi.tolist()) == {100.0}
    assert windows.beat(0).hits[:5, [KICK, SNARE, CLOSED]].tolist() == [
        [1, 0, 1], [0, 0, 0], [0, 0, 1], [0, 0, 0], [0, 1, 1],
    ]  # fmt: skip
    assert len(windows.some(5)) == 5
    with pytest.raises(AudioTransferError, match="no groove is 7 bars long"):
        windows_of(read_grooves(data / "grooves", "train"), 7, ())


def test_batches_are_drawn_by_step_and_mixed_beats_are_of_no_style(data: Path) -> None:
    windows = [windows_of(read_grooves(data / "grooves", "train"), n, ("jazz",)) for n in (1, 2)]
    batches = GrooveBatches(windows, batch_size=32, mixed=0.5, mixed_style=9, seed=1)
    first = batches.batch(3)
    assert first["hits"].shape == (32, 32, 9)
    assert batches.batch(2)["hits"].shape == (32, 16, 9)
    again = GrooveBatches(windows, batch_size=32, mixed=0.5, mixed_style=9, seed=1).batch(3)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert 6 < (first["styles"] == 9).sum() < 26
    # Whatever is mixed, a hit keeps the velocity and the offset that it was played with.
    assert ((first["velocities"] > 0) == first["hits"].bool()).all()
    with pytest.raises(AudioTransferError, match="zero windows"):
        GrooveBatches([])


# Distributions


@pytest.fixture(params=sorted(STEPS))
def step(request: pytest.FixtureRequest) -> torch.nn.Module:
    torch.manual_seed(1)
    made = STEPS[request.param](5)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return made


EVERYTHING = torch.tensor(list(itertools.product((0.0, 1.0), repeat=9)))


def test_probabilities_of_all_combinations_add_up_to_one(step: torch.nn.Module) -> None:
    state = torch.randn(3, 1, 5, generator=seeded())
    logs = step.log_probability(state.expand(3, 512, 5), EVERYTHING.expand(3, 512, 9))
    torch.testing.assert_close(logs.exp().sum(-1), torch.ones(3))


def test_draws_come_as_often_as_their_probability_says(step: torch.nn.Module) -> None:
    state = torch.randn(5, generator=seeded(2))
    drawn = step.draw(state.expand(20_000, 5), 1.0, seeded(3))
    shares = step.log_probability(state.expand(512, 5), EVERYTHING).exp()
    expected = (shares[:, None] * EVERYTHING).sum(0)
    # Five standard errors of a share of 20 000.
    torch.testing.assert_close(drawn.mean(0), expected, atol=5 * 0.5 / 20_000**0.5, rtol=0)
    both = EVERYTHING[:, 0] * EVERYTHING[:, 3]
    together = (drawn[:, 0] * drawn[:, 3]).mean()
    torch.testing.assert_close(together, (shares * both).sum(), atol=0.018, rtol=0)
    assert torch.equal(drawn, step.draw(state.expand(20_000, 5), 1.0, seeded(3)))


def test_cold_draws_are_the_likeliest_and_heat_blurs(step: torch.nn.Module) -> None:
    state = torch.randn(5, generator=seeded(4)).expand(4000, 5)
    cold = step.draw(state, 0.0)
    assert (cold == cold[0]).all()
    same = [
        (step.draw(state, heat, seeded(5)) == cold[0]).all(-1).float().mean()
        for heat in (0.3, 1.0, 3.0)
    ]
    assert same[0] > same[1] > same[2]


# The network


def test_the_expected_depends_on_the_bars_before_only_and_on_the_style() -> None:
    network = toy()
    torch.nn.init.normal_(network.expected.weight)
    points = torch.randn(2, 4, 4, generator=seeded())
    style = torch.tensor([0, 1])
    whole = network.prior(points, style)
    changed = points.clone()
    changed[:, 2:] += 1.0
    again = network.prior(changed, style)
    torch.testing.assert_close(again.mean[:, :3], whole.mean[:, :3])
    assert not torch.allclose(again.mean[:, 3], whole.mean[:, 3])
    assert not torch.allclose(network.prior(points, 1 - style).mean, whole.mean)
    made = network.imagine(4, style, 0.0)
    torch.testing.assert_close(network.prior(made, style).mean, made)


@pytest.mark.parametrize("bars", [1, 2, 5])
def test_any_number_of_bars_goes_through(bars: int) -> None:
    network, batch = toy(), random_beats(3, bars)
    posterior = network.encode(*list(batch.values())[:3], torch.ones(3))
    assert posterior.mean.shape == (3, bars, 4)
    conducted = network.conducted(posterior.mean)
    assert network.draw(conducted, 1.0, seeded()).shape == (3, 16 * bars, 9)
    felt = network.expression_of(conducted, batch["hits"])
    assert felt.velocity.shape == felt.offset_log_scale.shape == (3, 16 * bars, 9)
    assert (felt.velocity > 0).all() and (felt.velocity < 1).all()
    assert (felt.offset.abs() < 0.5).all()


def test_an_encoder_without_expression_uses_hits_only() -> None:
    network, batch = toy(), random_beats(2, 2)
    hits, velocities, offsets = (batch[name] for name in ("hits", "velocities", "offsets"))
    known = torch.tensor([1.0, 0.0])
    whole = network.encode(hits, velocities, offsets, known).mean
    other = network.encode(hits, 0.5 * velocities, -offsets, known).mean
    assert not torch.allclose(whole[0], other[0])
    torch.testing.assert_close(whole[1], other[1])


def networks() -> list[DrumVae | MusicVae]:
    torch.manual_seed(0)
    flat = MusicVae(2, **TOY_MUSIC).eval()
    conducted = MusicVae(2, **TOY_MUSIC, conductor=5, step="nade").eval()
    return [toy(), flat, conducted]


@pytest.mark.parametrize("index", range(3))
def test_told_its_own_draws_the_decoder_draws_them_again(index: int) -> None:
    network = networks()[index]
    batch = random_beats(4, 2)
    points = network.encode(*list(batch.values())[:3], torch.ones(4)).mean
    conducted = network.conducted(points)
    drawn = network.draw(conducted, 0.0)
    states = network.states(conducted, drawn)
    assert torch.equal(network.step.draw(states, 0.0), drawn)
    torch.testing.assert_close(
        network.states(conducted, drawn, forget=1e-9, generator=seeded()), states
    )


@pytest.mark.parametrize("index", range(3))
def test_a_decoder_that_forgets_all_heeds_no_truth(index: int) -> None:
    network = networks()[index]
    one, other = random_beats(2, 2, 1), random_beats(2, 2, 2)
    conducted = network.conducted(network.encode(*list(one.values())[:3], torch.ones(2)).mean)
    states = [
        network.states(conducted, hits, forget, seeded(3))
        for forget in (1.0, 0.0)
        for hits in (one["hits"], other["hits"])
    ]
    torch.testing.assert_close(states[0], states[1])
    assert not torch.allclose(states[2], states[3])


def test_networks_come_back_from_their_files(tmp_path: Path) -> None:
    batch = list(random_beats(2, 2).values())[:3]
    for network in networks():
        path = tmp_path / f"{network.kind}.safetensors"
        save_drums(path, network)
        again = load_drums(path)
        assert again.shape() == network.shape()
        means = [n.encode(*batch, torch.ones(2)).mean for n in (network, again)]
        torch.testing.assert_close(means[0], means[1], atol=2e-3, rtol=1e-2)
    (tmp_path / "none.safetensors").write_bytes(b"no weights")
    with pytest.raises(AudioTransferError, match="cannot be read"):
        load_drums(tmp_path / "none.safetensors")
    with pytest.raises(AudioTransferError, match="holds no drum network"):
        save_weights(tmp_path / "other.safetensors", {}, {})
        load_drums(tmp_path / "other.safetensors")


# What it learns


def test_divergence_of_normal_distributions_is_the_known_one() -> None:
    one = Gaussian(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0]))
    other = Gaussian(torch.tensor([0.0, 0.0]), torch.tensor([math.log(2), 0.0]))
    # ln 2 + (1 + 1) / (2 · 4) - 1/2, and 0.
    expected = [math.log(2) + 2 / 8 - 0.5, 0.0]
    torch.testing.assert_close(one.divergence(other), torch.tensor(expected))


def test_free_bits_cost_nothing() -> None:
    nats = torch.tensor([1.0, 4 * math.log(2), 10.0])
    expected = torch.tensor([0.0, 0.0, 10 - 4 * math.log(2)])
    torch.testing.assert_close(beyond_free_bits(nats, 4.0), expected, atol=1e-6, rtol=0)


def test_schedules_are_the_published_ones() -> None:
    settings = DrumSettings(beta=0.2, beta_steps=100, sampling_steps=50, most_sampled=0.9)
    assert settings.beta_at(0) == 0.0
    assert settings.beta_at(100) == pytest.approx(0.2 * (1 - math.exp(-1)))
    assert replace(settings, beta_steps=0).beta_at(0) == 0.2
    for step in (0, 100, 200):
        expected = 1 - 50 / (50 + math.exp(step / 50))
        assert settings.sampled_at(step) == pytest.approx(expected)
    assert settings.sampled_at(10**6) == 0.9


def test_the_likelihood_of_touch_counts_hits_only() -> None:
    hits = torch.zeros(1, 2, 9)
    hits[0, 0, KICK] = 1
    velocities, offsets = torch.full_like(hits, 0.9), torch.full_like(hits, 0.3)
    same = torch.full_like(hits, 0.5)
    logs = torch.full_like(hits, math.log(0.1))
    felt = Expression(same, logs, torch.zeros_like(hits), torch.zeros_like(hits))
    # |0.9 - 0.5| / 0.1 + ln 0.2, and 0.3 + ln 2; one hit in two sixteenths.
    expected = (4 + math.log(0.2) + 0.3 + math.log(2)) / 2
    assert float(expression_loss(felt, hits, velocities, offsets)) == pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.parametrize("index", range(3))
def test_a_turn_is_the_bound_and_teaches(index: int) -> None:
    network = networks()[index].train()
    settings = DrumSettings(beta=0.3, free_bits=0.0, touch=0.5, no_style=0.0, blind=0.0)
    objective = DrumObjective(network, settings)
    batch = random_beats(4, 2)
    (turn,) = objective.turns(batch, 0, seeded(1))
    assert turn.weights["divergence"] == 0.3 and turn.weights["bits"] == 0.0
    points = 2 if isinstance(network, DrumVae) else 1
    nats_a_step = turn.terms["bits"] * math.log(2) * points / 32
    torch.testing.assert_close(turn.terms["divergence"], nats_a_step)
    assert ("touch" in turn.terms) == isinstance(network, DrumVae)
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    losses = []
    for step in range(20):
        (turn,) = objective.turns(batch, step, seeded(1))
        loss = torch.stack([v * turn.weights.get(n, 1.0) for n, v in turn.terms.items()]).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.2
    assert all(p.grad is not None for n, p in network.named_parameters() if "style" not in n)
    preview = objective.preview(batch, seeded())
    assert preview.images["source"].shape == preview.images["output"].shape == (9, 32)


# Measures


def test_measures_are_what_they_say() -> None:
    true = torch.zeros(1, 4, 9)
    true[0, 0, KICK] = true[0, 1, SNARE] = true[0, 2, SNARE] = 1
    drawn = true.clone()
    drawn[0, 1, SNARE] = 0
    drawn[0, 1, KICK] = 1
    assert exact(drawn, true) == 0.75
    scores = hit_scores(drawn, true)
    assert scores["kick"] == pytest.approx(2 / 3) and scores["snare"] == pytest.approx(2 / 3)
    assert math.isnan(scores["ride"])
    known = torch.cat([true, 1 - true]).numpy() > 0
    assert nearest_of(drawn.numpy() > 0, known).tolist() == [0]
    made = torch.cat([true, true, drawn]).numpy() > 0
    found = novelty(made, known)
    assert found["copies"] == pytest.approx(2 / 3) and found["nearest"] == 0.0
    # Two of the three pairs are 2 cells apart.
    assert found["pairwise"] == pytest.approx(4 / 3)
    assert found["density"] == pytest.approx(3 / 36)


def test_errors_of_touch_are_in_velocity_and_milliseconds() -> None:
    hits = np.zeros((2, 16, 9), dtype=bool)
    hits[0, 0, KICK] = hits[1, 3, SNARE] = True
    full = hits.astype("f4")
    windows = Windows(hits, full, 0.5 * full, np.zeros(2, int), np.array([60, 120], "f4"))
    half = torch.full((2, 16, 9), 0.5)
    felt = Expression(half, half, torch.zeros(2, 16, 9), half)
    errors = expression_errors(felt, windows)
    assert errors["velocity MAE"] == pytest.approx(63.5)
    assert errors["timing MAE ms"] == pytest.approx((125 + 62.5) / 2)  # half of a sixteenth each


def test_reconstruction_is_perfect_where_the_decoder_is(monkeypatch: pytest.MonkeyPatch) -> None:
    network, batch = toy(), random_beats(40, 1)
    hits = batch["hits"].bool().numpy()
    windows = Windows(
        hits, batch["velocities"].numpy(), batch["offsets"].numpy(), batch["styles"].numpy(),
        np.full(40, 120, "f4"),
    )  # fmt: skip
    network.draw = lambda conducted, t=1.0, g=None: batch["hits"]  # type: ignore[method-assign]
    figures = reconstruction(network, windows)
    assert figures["sampled"] == figures["likeliest"] == figures["from a draw"] == 1.0
    assert figures["teacher-forced"] < 1.0
    assert set(expression(network, windows, given=False)) == {"velocity MAE", "timing MAE ms"}


def test_a_style_classifier_tells_what_is_moved() -> None:
    batch = random_beats(60, 2)
    hits, styles = batch["hits"].numpy() > 0, np.arange(60) % 3
    # Jazz rides, rock does not, and the third is no style in particular.
    hits[:, :, 8] = (styles == 0)[:, None]
    full = hits.astype("f4")
    windows = Windows(hits, full, 0 * full, styles, np.full(60, 120, "f4"))
    classifier = DrumStyleClassifier(windows, ("jazz", "rock"))
    assert classifier.accuracy(windows) == 1.0
    drummer = Drummer(toy())

    def restyle(beat: Beat, style: str, strength: float, generator: object) -> Beat:
        moved = beat.hits.copy()
        moved[:, 8] = True
        return replace(beat, hits=moved)

    drummer.restyle = restyle  # type: ignore[method-assign]
    figures = style_figures(drummer, classifier, windows, "jazz")
    assert figures["after"] > figures["before"] + 0.3
    assert figures["moved"] == 1.0
    others = hits[styles != 0].sum()
    expected = 2 * others / (2 * others + 40 * 32)
    assert figures["kept"] == pytest.approx(expected)
    assert figures["density"] == pytest.approx((others + 40 * 32) / others)


# Playing


def test_slerp_stays_on_the_sphere_and_parallel_points_meet_on_the_line() -> None:
    one, other = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    torch.testing.assert_close(slerp(one, other, 0.0), one)
    torch.testing.assert_close(slerp(one, other, 1.0), other)
    third = slerp(one, other, 1 / 3)
    expected = 2 * torch.tensor([[math.cos(math.pi / 6), math.sin(math.pi / 6)]])
    torch.testing.assert_close(third, expected)
    torch.testing.assert_close(slerp(one, 3 * one, 0.5), 2 * one)
    torch.testing.assert_close(slerp(one, -one, 0.25), 0.5 * one)


def test_a_drummer_plays_what_the_seed_says() -> None:
    drummer = Drummer(toy())
    beats = [drummer.imagine(3, style, 1.0, seeded(s)) for style, s in
             (("jazz", 1), ("jazz", 1), ("jazz", 2))]  # fmt: skip
    assert len(beats[0]) == 48
    assert (beats[0].hits == beats[1].hits).all() and (beats[0].offsets == beats[1].offsets).all()
    assert (beats[0].hits != beats[2].hits).any()
    assert ((beats[0].velocities > 0) == beats[0].hits).all()
    with pytest.raises(AudioTransferError, match="'jaz' is unknown; nearest is jazz"):
        drummer.style("jaz")


def test_beats_between_have_the_given_ones_at_both_ends() -> None:
    drummer = Drummer(toy())
    first, last = (drummer.imagine(2, None, 1.0, seeded(s)) for s in (1, 2))
    beats = drummer.between(first, last, 4, 1.0, seeded(3))
    assert len(beats) == 4
    assert beats[0] is first and beats[-1] is last
    assert all(len(beat) == 32 for beat in beats)


def table(path: Path) -> np.ndarray:
    return note_table(read_score(path), drums=True)


@pytest.mark.parametrize("metre", [(4, 4), (3, 4), (5, 4), (7, 8)])
def test_humanised_hits_are_the_same_hits(tmp_path: Path, metre: tuple[int, int]) -> None:
    path = tmp_path / "beat.mid"
    # A flam, a triplet, and a key that is no percussion.
    notes = [*rock(7), (1920 + 470, 38, 40), (3840 + 160, 51, 80), (2400, 10, 77)]
    write_drums(path, notes, metre)
    score = read_score(path)
    before, grid = note_table(score, drums=True), Grid.of(score)
    made = humanised(before, grid, Drummer(toy()), 0.2, seeded(1))
    assert (made[:, [2, 4]] == before[:, [2, 4]]).all()
    assert (grid.nearest(made[:, 0]) == grid.nearest(before[:, 0])).all()
    assert (made[:, 0] != before[:, 0]).mean() > 0.5
    assert (made[:, 3] != before[:, 3]).mean() > 0.5
    triplet, other = before[:, 2] == 51, before[:, 2] == 10
    assert (made[triplet, 0] == before[triplet, 0]).all()
    assert (made[other] == before[other]).all()
    flam = [i for i, row in enumerate(before) if row[2] == 38 and row[0] in (2390, 2400)]
    assert len(flam) == 2 and np.diff(made[flam, 0]) > 0 and np.diff(made[flam, 3]) > 0
    again = humanised(before, grid, Drummer(toy()), 0.2, seeded(1))
    assert (again == made).all()


def test_bars_of_any_metre_begin_at_a_bar() -> None:
    grid = Grid.of_bars([0, 1440, 3840, 5760], [12, 20, 16])
    places = bar_places(grid)
    assert places[[0, 11, 12, 27, 28, 31, 32, 47]].tolist() == [0, 11, 16, 31, 32, 35, 48, 63]


def test_a_beat_moves_toward_a_style_as_far_as_asked() -> None:
    network = toy()
    network.centres[0] = 3 * torch.randn(4, generator=seeded())
    drummer = Drummer(network)
    beat = drummer.imagine(5, None, 1.0, seeded(1))
    still = drummer.restyle(beat, "jazz", 1e-6, seeded(2))
    for name, cells in vars(beat).items():
        np.testing.assert_array_equal(getattr(still, name), cells)
    changed = [
        (drummer.restyle(beat, "jazz", strength, seeded(2)).hits != beat.hits).sum()
        for strength in (0.1, 1.0)
    ]
    assert 0 < changed[0] < changed[1]
    moved = drummer.restyle(beat, "jazz", 1.0, seeded(2))
    kept = moved.hits & beat.hits
    assert (moved.velocities[kept] == beat.velocities[kept]).all()
    assert (moved.offsets[kept] == beat.offsets[kept]).all()
    assert ((moved.velocities > 0) == moved.hits).all()


def test_changed_hits_are_changed_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "beat.mid"
    notes = [(t, 35 if k == 36 else k, v) for t, k, v in rock(4)]
    # The third bar rests, and the last is in three.
    write_drums(path, [n for n in notes if not 3840 <= n[0] < 5760])
    score = read_score(path)
    score.time_signatures.append(symusic.TimeSignature(5760, 3, 4))
    before, grid = note_table(score, drums=True), Grid.of(score)
    drummer = Drummer(toy())
    transfer = DrumTransfer(drummer, "jazz")

    def restyle(beat: Beat, style: str, strength: float, generator: object) -> Beat:
        hits, offsets = beat.hits.copy(), np.full(beat.hits.shape, 0.25, "f4")
        hits[[0, 16, 40, 48], KICK] ^= True
        hits[20, [KICK, 8]] = True
        return Beat(hits, np.full(hits.shape, 0.5, "f4"), offsets)

    monkeypatch.setattr(drummer, "restyle", restyle)
    made = transfer(before, grid, 1.0, seeded())
    was, now = (list(map(tuple, rows.tolist())) for rows in (before, made))
    assert sorted(set(was) - set(now)) == [(0, 60, 35, 100, 0), (1920, 60, 35, 100, 0)]
    # A new kick is on the score's own key for it, a ride, which it lacks, on the usual one.
    assert sorted(set(now) - set(was)) == [(2430, 30, 35, 64, 0), (2430, 30, 51, 64, 0)]
    assert now == sorted(now)
    assert (transfer(before, grid, 0.0) == before).all()


def test_a_style_needs_a_drummer_that_knows_it(tmp_path: Path) -> None:
    path = tmp_path / "drums.safetensors"
    save_drums(path, toy())
    assert load_part(path, {"style": "rock"}, "cpu").style == "rock"
    with pytest.raises(AudioTransferError, match="drum style 'polka' is unknown"):
        load_part(path, {"style": "polka"}, "cpu")
    save_drums(path, networks()[1])
    with pytest.raises(AudioTransferError, match="knows no styles"):
        load_part(path, {"style": "rock"}, "cpu")


# The recipe and the command

TOY_RECIPE = [
    "drums.data={data}", "drums.grooves=grooves", "drums.batch=4", "drums.look_at=3",
    "trainer.steps=2", "trainer.workers=0", "trainer.warmup=0", "trainer.validate_every=2",
    "trainer.checkpoint_every=2",
]  # fmt: skip
NARROW = [f"drums.network.{name}={width}" for name, width in TOY.items()]
MUSIC = [f"drums.music_vae.{name}=4" for name in ("latent", "encoder", "decoder")]
CONFIGS = {
    "drums-hikl": [*NARROW, "drums.style_bars=2"],
    "drums": [*NARROW, "drums.style_bars=2"],
    "musicvae-2bar": MUSIC,
    "musicvae-2bar-paper": MUSIC,
    "musicvae-4bar": [*MUSIC, "drums.music_vae.conductor=3"],
    "musicvae-4bar-paper": [*MUSIC, "drums.music_vae.conductor=3"],
}


@pytest.fixture(scope="module")
def trained(
    data: Path,
    tmp_path_factory: pytest.TempPathFactory,
    every_branch_of: Callable[[], AbstractContextManager[None]],
) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def train(config: str) -> Path:
        if config not in made:
            folder = tmp_path_factory.mktemp(config)
            overrides = [line.format(data=data) for line in TOY_RECIPE] + CONFIGS[config]
            if config == "drums":
                overrides.append(f"drums.start={train('drums-hikl').parent / 'checkpoint'}")
            with every_branch_of():
                figures = recipes.train(config, overrides, folder)
            assert math.isfinite(figures["drums/loss"])
            assert 0 <= figures["validation/score"] <= 1
            (card,) = folder.glob("*/card.json")
            made[config] = card.parent
        return made[config]

    return train


@pytest.mark.parametrize("config", sorted(CONFIGS))
def test_every_config_becomes_a_drummer_with_a_card(
    config: str, trained: Callable[[str], Path]
) -> None:
    folder = trained(config)
    card = json.loads((folder / "card.json").read_text())
    assert card["route"] == "symbolic" and card["steps"] == 2
    assert card["corpora"][0]["licence"] == "CC BY 4.0"
    network = load_drums(folder / f"{card['name']}.safetensors")
    assert sum(p.numel() for p in network.parameters()) == card["networks"]["drums"]["parameters"]
    if config.startswith("drums"):
        drummer = load_drummer(folder)
        assert drummer.styles == ("jazz", "rock")
        centres = drummer.network.centres
        assert not torch.equal(centres[0], centres[1])
        torch.testing.assert_close(centres[2], centres[:2].mean(0), atol=1e-3, rtol=1e-2)
    else:
        with pytest.raises(AudioTransferError, match="knows hits only"):
            load_drummer(folder)


def test_a_start_of_another_shape_is_refused(
    data: Path, trained: Callable[[str], Path], tmp_path: Path
) -> None:
    start = trained("drums-hikl").parent / "checkpoint"
    overrides = [*(line.format(data=data) for line in TOY_RECIPE), *CONFIGS["drums"]]
    wrong = [f"drums.start={start}", "drums.network.prior=7"]
    with pytest.raises(AudioTransferError, match=r"the drums of .* has another shape"):
        recipes.train("drums", [*overrides, *wrong], tmp_path)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["drums", *words])
    out, err = capsys.readouterr()
    return code, out.strip(), err.strip()


def test_the_command_writes_samples(
    trained: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by = ["--by", str(trained("drums"))]
    out = tmp_path / "beat.mid"
    asked = ["sample", *by, "--bars", "3", "--style", "jazz", "--tempo", "150", "--seed", "5"]
    code, said_out, _ = said(capsys, *asked, "-o", str(out), "--plot")
    assert code == 0 and said_out.split() == [str(out), str(out.with_suffix(".png"))]
    score = read_score(out)
    assert round(score.tempos[0].qpm) == 150
    assert set(note_table(score, drums=True)[:, 2].tolist()) <= set(KEYS)
    assert Grid.of(score).steps <= 48
    first = out.read_bytes()
    assert said(capsys, *asked, "-o", str(out))[0] == 2
    assert said(capsys, *asked, "-o", str(out), "-f")[0] == 0
    assert out.read_bytes() == first


def test_the_command_goes_from_beat_to_beat(
    trained: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by = ["--by", str(trained("drums"))]
    ends = [tmp_path / "a.mid", tmp_path / "b.mid"]
    write_drums(ends[0], rock(2))
    write_drums(ends[1], [(t + 120, k, v) for t, k, v in rock(4)])
    out = tmp_path / "between.mid"
    code, _, _ = said(capsys, "interpolate", *by, *map(str, ends), "--steps", "3", "-o", str(out))
    assert code == 0
    notes = table(out)
    first = notes[notes[:, 0] < 3840 - 60]
    assert sorted(first[:, [0, 2]].tolist()) == sorted([t, k] for t, k, _ in rock(2))
    waltz, tune = tmp_path / "waltz.mid", tmp_path / "tune.mid"
    write_drums(waltz, rock(3), (3, 4))
    melody = symusic.Score(480)
    melody.tracks.append(symusic.Track("tune", 0, False))
    melody.tracks[0].notes.append(symusic.Note(0, 480, 60, 90))
    write_score(melody, tune)
    for other, wrong in ((waltz, "not 4/4"), (tune, "no drums"), (tmp_path / "no.mid", "exist")):
        code, _, error = said(capsys, "interpolate", *by, str(ends[0]), str(other), "-f")
        assert code == 2 and wrong in error and len(error.splitlines()) == 1


def test_the_command_humanises_and_leaves_the_rest(
    trained: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "song.mid", tmp_path / "song.human.mid"
    write_drums(source, rock(3))
    score = read_score(source)
    bass = symusic.Track("bass", 33, False)
    bass.notes.append(symusic.Note(7, 950, 40, 88))
    score.tracks.append(bass)
    score.tempos.append(symusic.Tempo(1920, 133.0))
    write_score(score, source, overwrite=True)
    by = ["--by", str(trained("drums"))]
    assert said(capsys, "humanise", *by, str(source), "-o", str(out))[0] == 0
    before, after = read_score(source), read_score(out)
    assert (note_table(after) == note_table(before)).all()
    assert [(t.time, t.mspq) for t in after.tempos] == [(t.time, t.mspq) for t in before.tempos]
    grid = Grid.of(before)
    hits = [sorted(zip(grid.nearest(t[:, 0]).tolist(), t[:, 2].tolist(), strict=True))
            for t in (table(source), table(out))]  # fmt: skip
    assert hits[0] == hits[1]


@pytest.mark.parametrize("pitched", [False, True])
def test_spectrograms_have_a_row_for_each_drum(
    pitched: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: figures.append(self))
    score: Any = symusic.Score(480)
    kit: Any = symusic.Track("kit", 0, True)
    for number, key in enumerate((*KEYS, 127)):  # the last is no drum
        kit.notes.append(symusic.Note(480 * number, 10, key, 127))
    score.tracks.append(kit)
    if pitched:
        bass: Any = symusic.Track("bass", 32, False)
        bass.notes.append(symusic.Note(0, 1920, 24, 90))
        score.tracks.append(bass)
    plot_scores({"beat": score}, tmp_path / "a.png")
    (axis,) = figures[0].axes
    labels = [text.get_text() for text in axis.get_yticklabels()]
    names = dict(zip(labels, axis.get_yticks().tolist(), strict=True))
    rows = [names.pop(drum) for drum in DRUMS]
    assert sorted(rows) == rows and list(names) == (["C0", "C1", "C2"] if pitched else [])
    assert all(height > max(rows) for height in names.values())
    (hits,) = [c for c in axis.collections if isinstance(c, LineCollection)]
    strokes = np.stack(hits.get_segments())
    assert strokes[:, :, 1].mean(1).tolist() == rows  # each in its own
    assert strokes[:, 0, 0].tolist() == [4.0 * n for n in range(9)]
    low, high = axis.get_ylim()
    assert low < min(rows) and max(rows) < high


def test_the_drummer_that_ships_is_small_and_knows_its_beats() -> None:
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 3_000_000
    drummer = load_drummer(SHIPPED)
    assert {"jazz", "rock", "latin", "funk", "pop"} <= set(drummer.styles)
    beat = Beat.silent(64)
    for step in range(0, 64, 2):
        beat.hits[step, CLOSED] = True
        if step % 4 == 0:
            beat.hits[step, KICK if step % 8 == 0 else SNARE] = True
    hits = torch.from_numpy(beat.hits).float()[None]
    with torch.no_grad():
        points = drummer.network.encode(hits, 0.6 * hits, 0 * hits, torch.zeros(1)).mean
        drawn = drummer.network.draw(drummer.network.conducted(points), 1.0, seeded())
    assert exact(drawn, hits) > 0.9
    felt = drummer.humanise(beat, 0.0, seeded())
    # A backbeat is louder than the hats beside it.
    assert felt.velocities[4::8, SNARE].mean() > felt.velocities[2::4, CLOSED].mean() + 0.1


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["humanise"], "takes one .mid, not 0"),
        (["interpolate", "a.mid"], "takes two .mid, not 1"),
        (["sample", "a.mid"], "takes no file, not 1"),
        (["humanise", "a.mid", "--bars", "2"], "--bars is for sample and interpolate"),
        (["sample", "--style", "polka"], "drum style 'polka' is unknown"),
        (["sample", "--bars", "0"], "0 bars are out of range"),
        (["sample", "--temperature", "9"], "temperature 9 is out of range"),
        (["sample", "--tempo", "1"], "tempo 1 is out of range"),
        (["sample", "-o", "beat.wav"], "no MIDI file by its name"),
        (["sample", "--by", "nowhere"], "nowhere is no style"),
    ],
)
def test_wrong_requests_get_one_line(
    words: list[str], wrong: str, trained: Callable[[str], Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    by = [] if "--by" in words else ["--by", str(trained("drums"))]
    monkeypatch.chdir(tmp_path)
    code, _, error = said(capsys, *words, *by)
    assert code == 2 and wrong in error and len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [["drums", "sample"], ["accompany", "twinkle"]])
@pytest.mark.parametrize("seed", ["-1", str(2**63), "1.5", "x"])
def test_what_is_no_seed_is_refused_in_a_line(
    words: list[str], seed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*words, f"--seed={seed}"])
    error = capsys.readouterr().err
    assert f"'{seed}' is no seed" in error and len(error.splitlines()) == 1


# Patterns of a backbone, and velocities as drummers vary


@pytest.mark.parametrize("bars", [1, 3, 9])
def test_patterns_have_so_many_bars_and_are_the_seeds(bars: int) -> None:
    drummer = Drummer(toy())
    made = [compose(drummer, bars, "jazz", 1.0, seeded(s)) for s in (1, 1, 2)]
    assert len(made[0]) == bars * BAR
    assert (made[0].hits == made[1].hits).all()
    assert (made[0].velocities == made[1].velocities).all()
    assert (made[0].hits != made[2].hits).any()
    assert ((made[0].velocities > 0) == made[0].hits).all()
    assert len(compose(drummer, bars, None, 0.0, seeded())) == bars * BAR


def test_similarity_is_of_what_is_common_to_what_is_hit() -> None:
    first, second = torch.zeros(2, BAR, 9)
    first[[0, 4, 8], 1] = 1
    second[[4, 8, 12], 1] = 1
    assert float(similarity(first, second)) == 0.5
    assert float(similarity(torch.zeros(BAR, 9), torch.zeros(BAR, 9))) == 1.0


def test_the_shipped_drummer_repeats_its_backbone_and_ends_it_with_fills() -> None:
    drummer = load_drummer(SHIPPED)
    ways = {"prior": drummer.imagine, "composed": partial(compose, drummer)}
    found = {}
    for name, way in ways.items():
        beats = {
            style: [way(8, style, 1.0, seeded(s)).hits for s in range(3)]
            for style in ("rock", "jazz", "latin")
        }
        found[name] = pattern_figures(beats)
    rock, before = found["composed"]["rock"], found["prior"]["rock"]
    assert rock["alike"] > before["alike"] + 0.1
    assert abs(rock["alike"] - SIMILARITY["rock"]) < 0.12
    assert rock["backbeat"] > 0.85 > before["backbeat"]
    assert rock["toms"] > rock["toms before"] + 1
    both = found["composed"]["all"]
    assert both["same style"] < both["same place"]


def test_velocities_vary_about_the_prediction_as_drummers_do() -> None:
    predicted = np.full((4000, 9), 0.99, dtype=np.float32)
    predicted[:2000] = 0.35
    still = vary_velocities(predicted, torch.zeros(9), 0.0, seeded())
    assert np.allclose(still, predicted, atol=1e-6)
    made = 127 * vary_velocities(predicted, torch.zeros(9), 1.0, seeded())
    assert made.min() >= 1 and made.max() <= 127
    soft, loud = made[:2000, SNARE], made[2000:, SNARE]
    assert np.percentile(loud, 5) < 105 and np.percentile(loud, 50) > 115
    assert np.ptp(np.percentile(soft, [5, 95])) > 50
    # Performances differ: a hard one raises all hits of a drum.
    strengths = [torch.full((9,), way) for way in (-2.0, 2.0)]
    weak, hard = (vary_velocities(predicted, own, 1.0, seeded()).mean() for own in strengths)
    assert hard > weak + 0.1


def test_humanised_backbeats_use_more_than_the_top_of_the_range() -> None:
    drummer = load_drummer(SHIPPED)
    beat = Beat.silent(16 * BAR)
    beat.hits[::2, CLOSED] = True
    beat.hits[::8, KICK] = True
    beat.hits[4::8, SNARE] = True
    felt = [127 * drummer.humanise(beat, 1.0, seeded(s)).velocities[4::8, SNARE] for s in range(4)]
    assert np.ptp(np.concatenate(felt)) > 30
    assert np.median(np.concatenate(felt)) > 100


def test_pattern_figures_by_hand() -> None:
    bar = np.zeros((BAR, 9), dtype=bool)
    bar[[4, 12], SNARE] = True
    other = np.zeros((BAR, 9), dtype=bool)
    other[[0, 8], KICK] = True
    rows = pattern_figures({"a": [np.tile(bar, (8, 1))] * 2, "b": [np.tile(other, (8, 1))] * 2})
    assert rows["a"]["alike"] == 1.0 and rows["a"]["backbeat"] == 1.0
    assert rows["b"]["backbeat"] == 0.0 and rows["b"]["toms"] == 0.0
    assert rows["all"] == {"style accuracy": 1.0, "same style": 0.0, "same place": 2.0}
