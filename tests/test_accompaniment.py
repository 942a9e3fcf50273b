"""Accompaniment: chorales, their batches, both networks, their objectives, melodies and scores."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import folk_tunes
import numpy as np
import pytest
import symusic
import torch
from torch import Tensor, nn

from audiotransfer import recipes
from audiotransfer.cli import main
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.metrics import chorales as measures
from audiotransfer.evaluation.metrics.cadences import OTHER, cadence_at, cadence_figures
from audiotransfer.evaluation.metrics.chorales import compare, harmonise_chorales, mean_measures
from audiotransfer.midi.grid import Grid
from audiotransfer.midi.score import read_score
from audiotransfer.pipeline.midi_accompaniment import (
    SHIPPED,
    AccompanyOptions,
    accompany,
    accompany_file,
    load_bach,
    version_paths,
)
from audiotransfer.pipeline.midi_options import MidiExtras
from audiotransfer.recipes import load_training
from audiotransfer.styles.card import read_card
from audiotransfer.symbolic.accompaniment import melody
from audiotransfer.symbolic.accompaniment.animation import animate, piano_roll, save_frame
from audiotransfer.symbolic.accompaniment.cadences import (
    AUTHENTIC,
    DECEPTIVE,
    HALF,
    PLAGAL,
    Phrasing,
    choose_cadence,
)
from audiotransfer.symbolic.accompaniment.chorales import (
    OUTSIDE,
    RANGES,
    REST,
    VOICES,
    Chorale,
    ChoraleBatches,
    read_chorales,
    transpose,
    transpositions,
    window,
)
from audiotransfer.symbolic.accompaniment.harmonization import (
    Harmony,
    back_in_register,
    harmonise,
    load_accompanist,
    save_accompanist,
    score_with_voices,
)
from audiotransfer.symbolic.accompaniment.masked_voices import (
    CLASSES,
    FREE,
    LOWEST,
    PITCHES,
    RUNS,
    MaskedVoiceModel,
    classes_of,
    mask,
    phases_from_beat,
    pitches_of,
    runs,
)
from audiotransfer.symbolic.accompaniment.melody import (
    Tune,
    choose_track,
    notes_in,
    phases,
    shift_of,
    skyline,
)
from audiotransfer.symbolic.accompaniment.objectives import (
    MaskedVoiceObjective,
    MaskedVoiceSettings,
    Wasserstein,
    WassersteinSettings,
    wasserstein_terms,
)
from audiotransfer.symbolic.accompaniment.phrases import PhraseEnd, phrase_ends
from audiotransfer.symbolic.accompaniment.roll_gan import (
    RollGenerator,
    WassersteinCritic,
    over_windows,
    roll,
    voices_of,
)
from audiotransfer.symbolic.accompaniment.sampling import GibbsSettings, gibbs, repair_parallels
from audiotransfer.symbolic.accompaniment.voice_leading import alternatives, crossed, parallels
from audiotransfer.symbolic.accompaniment.voicings import UNSET, set_cadences
from audiotransfer.training import Trainer, TrainerSettings
from audiotransfer.weights import save_weights

CONFIGS = ("bach", "bach-gan", "bach-gan-paper")
TPQ = 480


def invented(seed: int, beats: int = 24) -> np.ndarray:
    """Four voices of a made-up piece: chords of C major, a new one each beat or two."""
    random = np.random.default_rng(seed)
    chords = np.array([[72, 67, 60, 48], [71, 67, 62, 55], [72, 69, 60, 53], [74, 67, 59, 55]])
    chosen = random.integers(len(chords), size=beats)
    return np.repeat(chords[chosen], 4, axis=0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def toy(seed: int = 0) -> MaskedVoiceModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return MaskedVoiceModel(16, 2).eval()


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder: chorales as JSON in a zip, and samples as rolls."""
    place = tmp_path_factory.mktemp("data") / "midi"
    place.mkdir()
    splits = {
        split: [invented(10 * n + i).tolist() for i in range(3)]
        for n, split in enumerate(("train", "valid", "test"))
    }
    with zipfile.ZipFile(place / "jsb_chorales.zip", "w") as archive:
        archive.writestr("jsb/Jsb16thSeparated.json", json.dumps(splits))
    samples = np.stack([invented(i, 8) for i in range(10)])
    rolls = samples[:, :, None, :] == np.arange(128)[None, None, :, None]
    np.savez(place / "deepcomposer_train.npz", train=rolls)
    return place.parent


# Chorales


def test_chorales_come_with_their_splits(pieces: Path, tmp_path: Path) -> None:
    found = read_chorales(pieces / "midi" / "jsb_chorales.zip")
    assert {split: len(list_) for split, list_ in found.items()} == dict.fromkeys(found, 3)
    assert np.array_equal(found["valid"][1].voices, invented(11))
    plain = tmp_path / "chorales.json"
    plain.write_text(json.dumps({"train": [[[60, -1, 50, -1]]], "valid": [], "test": []}))
    assert read_chorales(plain)["train"][0].voices.tolist() == [[60, REST, 50, REST]]


def test_samples_are_split_by_piece(pieces: Path) -> None:
    found = read_chorales(pieces / "midi" / "deepcomposer_train.npz")
    names = [chorale.name for split in found.values() for chorale in split]
    assert len(names) == len(set(names)) == 10
    assert len(found["valid"]) == len(found["test"]) == 1
    assert {tuple(c.voices[0]) for c in found["train"]} <= {tuple(v) for v in invented(0, 999)}


@pytest.mark.parametrize(
    "name, content",
    [
        ("missing.zip", None),
        ("words.json", b"no chorales"),
        ("three.json", b'{"train": [[[60, 55, 50]]]}'),
        ("list.json", b"[1, 2]"),
        ("broken.zip", b"PK\x03\x04"),
        ("broken.npz", b"PK\x03\x04"),
    ],
)
def test_what_is_no_chorale_is_refused(name: str, content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AudioTransferError) as caught:
        read_chorales(path)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_transpositions_stay_in_every_range() -> None:
    voices = np.array([[RANGES[v][0] + 2 for v in range(4)], [REST] * 4])
    assert transpositions(voices) == [-2, -1, 0, 1, 2, 3, 4, 5]
    top = np.array([[high for _, high in RANGES]])
    assert transpositions(top) == [-5, -4, -3, -2, -1, 0]
    assert transpose(voices, 3).tolist()[1] == [REST] * 4
    assert (transpose(voices, 3)[0] - voices[0] == 3).all()


def test_a_window_may_lie_over_the_edges() -> None:
    voices = invented(0, 2)
    found = window(voices, -4, 16)
    assert (found[:4] == OUTSIDE).all() and (found[12:] == OUTSIDE).all()
    assert np.array_equal(found[4:12], voices)
    assert (window(voices, 20, 4) == OUTSIDE).all()


def test_batches_are_drawn_by_seed_and_step() -> None:
    chorales = [Chorale(str(n), invented(n)) for n in range(3)]
    batches = ChoraleBatches(chorales, batch=16, steps=32, seed=4)
    batch = batches.batch(7)["voices"]
    assert batch.shape == (16, 32, 4) and batch.dtype == torch.int64
    again = ChoraleBatches(chorales, batch=16, steps=32, seed=4).batch(7)["voices"]
    assert torch.equal(batch, again) and not torch.equal(batch, batches.batch(8)["voices"])
    assert (batch == OUTSIDE).any()
    changes = (batch[:, 1:] != batch[:, :-1]).any(2).any(0).nonzero()[:, 0] + 1
    assert set((changes % 4).tolist()) == {0}  # windows begin on beats
    inside = ChoraleBatches(chorales, batch=64, steps=32, seed=4, inside=True).batch(0)["voices"]
    assert (inside >= 0).all()
    with pytest.raises(AudioTransferError, match="no chorales"):
        ChoraleBatches([], batch=1, steps=32, seed=0)


# The voice-wise model


def test_classes_and_pitches_are_inverse() -> None:
    pitches = torch.tensor([REST, LOWEST, LOWEST + PITCHES - 1])
    assert classes_of(pitches).tolist() == [0, 1, CLASSES - 1]
    assert torch.equal(pitches_of(classes_of(pitches)), pitches)
    assert classes_of(torch.tensor([OUTSIDE])).tolist() == [0]


def test_masked_steps_are_never_looked_at() -> None:
    network = toy()
    voices = torch.from_numpy(invented(0))[None]
    known = torch.ones_like(voices, dtype=torch.bool)
    known[0, 8:30, 2] = known[0, 20:50, 3] = False
    other = torch.where(known, voices, 60)
    beats = phases_from_beat(voices)
    logits = network(voices, known, beats)
    assert logits.shape == (1, voices.shape[1], FREE, CLASSES)
    assert torch.equal(logits, network(other, known, beats))
    moved = voices.clone()
    moved[0, 0, 0] += 1
    assert not torch.equal(logits, network(moved, known, beats))
    assert not torch.equal(logits, network(voices, known, (beats + 1) % 4))


def test_masking_spares_the_melody_and_takes_every_share() -> None:
    voices = torch.zeros(400, 64, 4, dtype=torch.int64)
    hidden = mask(voices, generator())
    assert not hidden[..., 0].any()
    shares = hidden[..., 1:].float().mean((1, 2))
    assert shares.mean() == pytest.approx(0.5, abs=0.05)
    assert np.quantile(shares, 0.1) < 0.2 and np.quantile(shares, 0.9) > 0.8
    assert torch.equal(hidden, mask(voices, generator()))


@pytest.mark.parametrize("length", RUNS)
def test_runs_are_of_one_length(length: int) -> None:
    found = runs(64, length, 0.5, generator(length))
    assert found.shape == (64, 3)
    assert runs(64, length, 1.0, generator()).all() and not runs(64, length, 0.0, generator()).any()
    for line in found.T:
        changes = (line.diff().nonzero()[:, 0] + 1).tolist()
        assert len({change % length for change in changes}) <= 1


class Table(nn.Module):
    """Gives every class of every voice the same logit, but one class one more."""

    def __init__(self, favourite: int, logit: float) -> None:
        super().__init__()
        self.logits = torch.zeros(CLASSES)
        self.logits[favourite] = logit

    def forward(self, voices: Tensor, known: Tensor, beats: Tensor) -> Tensor:
        return self.logits.expand(*voices.shape[:2], FREE, CLASSES)


def test_the_loss_by_hand() -> None:
    """Pitch 60 has logit 1: it costs ln(46 + e) - 1, any other ln(46 + e)."""
    objective = MaskedVoiceObjective(toy(), MaskedVoiceSettings())
    objective.network = Table(60 - LOWEST + 1, 1.0)  # type: ignore[assignment]
    voices = torch.tensor([[[72, 60, 60, 48], [72, 60, 50, 48]], [[72, 55, 50, 40], [OUTSIDE] * 4]])
    hidden = torch.tensor([[[0, 1, 1, 0], [0, 0, 1, 0]], [[0, 0, 0, 1], [0, 1, 1, 1]]]).bool()
    whole = math.log(CLASSES - 1 + math.e)
    each = [(2 * (whole - 1) + whole) / 3, whole]  # what lies outside does not count
    assert objective.loss(voices, hidden).item() == pytest.approx(sum(each) / 2, rel=1e-6)
    nothing = torch.zeros_like(hidden)
    assert objective.loss(voices, nothing).item() == 0


def test_it_learns_a_piece_by_heart_and_sets_its_melody() -> None:
    piece = invented(1, 16)
    chorales = [Chorale("one", piece)]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = MaskedVoiceModel(32, 3)
    objective = MaskedVoiceObjective(network, MaskedVoiceSettings(learning_rate=1e-2))
    batches = ChoraleBatches(chorales, batch=8, steps=64, seed=0, inside=True)
    batches.keys = [[0]]
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    random = generator()
    for step in range(60):
        (turn,) = objective.turns(batches.batch(step), step, random)
        optimiser.zero_grad()
        turn.terms["cross_entropy"].backward()
        optimiser.step()
    assert turn.terms["cross_entropy"] < 0.3 < math.log(CLASSES)
    network.eval()
    melody = torch.from_numpy(piece[None, :, 0])
    made = harmonise(network, melody, phases_from_beat(melody), Harmony(passes=16), random)
    # One melody note stands in two of its chords: the bass may differ there, the alto less.
    assert (made[0].numpy() == piece).mean() > 0.7
    shown = objective.preview(batches.batch(0), random)
    assert shown.images["source"].shape == shown.images["output"].shape == (PITCHES, 64)


# Gibbs sampling


def test_gibbs_keeps_the_melody_its_rests_and_the_order_of_voices() -> None:
    melody = torch.from_numpy(invented(2)[:, 0])[None].repeat(3, 1)
    melody[:, 20:40] = REST
    melody[:, 90:] = OUTSIDE
    beats = phases_from_beat(melody)
    for network in (toy(), toy(1)):
        made = gibbs(network, melody[..., None], beats, GibbsSettings(passes=12), generator())
        assert torch.equal(made[..., 0], melody)
        resting = melody < 0
        assert torch.equal(made[resting][:, 1:], melody[resting][:, None].expand(-1, 3))
        assert all(measures.crossing(version.numpy()) < 0.2 for version in made)
        assert (made[~resting] >= LOWEST - 1).logical_or(made[~resting] == REST).all()
        assert (made[..., 1] <= made[..., 0]).all()  # the melody is always there: never crossed


def test_gibbs_is_drawn_by_its_generator() -> None:
    network, melody = toy(), torch.from_numpy(invented(2)[None, :, :1])
    beats = phases_from_beat(melody)

    def draw(seed: int, temperature: float = 1.0) -> Tensor:
        settings = GibbsSettings(passes=4, temperature=temperature)
        return gibbs(network, melody, beats, settings, generator(seed))

    assert torch.equal(draw(5), draw(5)) and not torch.equal(draw(5), draw(6))
    spread = [len(draw(5, heat).unique()) for heat in (0.0, 1.0)]
    assert spread[0] < spread[1]


def test_progress_reaches_the_whole() -> None:
    told: list[float] = []
    melody = torch.full((1, 8), 70)
    harmonise(toy(), melody, phases_from_beat(melody), Harmony(passes=4), generator(), told.append)
    assert told == [0.25, 0.5, 0.75, 1.0]


# Voice leading


def wild(seed: int, beats: int = 24) -> np.ndarray:
    """Four voices in thirds, fifths and octaves of any pitch, with rests: full of parallels."""
    random = np.random.default_rng(seed)
    bass = random.integers(40, 52, size=beats)
    above = bass[:, None] + np.array([24, 12, 7, 0]) + random.choice([0, 0, 4], size=(beats, 4))
    voices = np.where(random.random((beats, 4)) < 0.05, REST, above)
    return np.repeat(voices, random.integers(1, 5, size=beats), axis=0)


def test_parallels_are_found_where_both_arrive() -> None:
    """Of soprano and bass: an octave, the same, a fifth twice, a fifth turned round, a rest."""
    soprano = [72, 74, 74, 76, 77, 72, REST, 67]
    bass = [60, 62, 62, 69, 70, 79, REST, 60]
    voices = np.array([soprano, [REST] * 8, [REST] * 8, bass]).T
    found = parallels(voices)
    assert found.shape == (7, 6)
    assert found.any(1).nonzero()[0].tolist() == [0, 3] and found.sum() == 2
    assert crossed(voices).tolist() == [False] * 5 + [True] + [False] * 2
    both = np.stack([voices, voices[::-1]])
    assert np.array_equal(parallels(both)[1], parallels(voices[::-1]))


@pytest.mark.parametrize("seed", range(4))
def test_each_choice_leaves_fewer_parallels_whatever_the_others_do(seed: int) -> None:
    voices, random = wild(seed), np.random.default_rng(seed)
    made, notes = voices.copy(), alternatives(voices, generator(seed))
    assert len(notes) > 1 and all(choice.voice > 0 for choice in notes)
    for choice in notes:
        assert len(set(voices[choice.steps, choice.voice].tolist())) == 1
        made[choice.steps, choice.voice] = random.choice(choice.pitches)
    assert parallels(made).sum() <= parallels(voices).sum() - len(notes)
    assert crossed(made).sum() <= crossed(voices).sum()


def test_where_nothing_runs_parallel_nothing_is_chosen() -> None:
    contrary = np.array([[72, 67, 60, 48]] * 4 + [[74, 65, 59, 43]] * 4)
    assert parallels(contrary).sum() == 0 and alternatives(contrary, generator()) == []


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_mending_leaves_no_parallels_and_the_melody_as_it_was(temperature: float) -> None:
    voices = torch.stack([torch.from_numpy(wild(seed)[:48]) for seed in range(3)])
    voices[:, 40:] = OUTSIDE
    before, beats = voices.clone(), phases_from_beat(voices)
    made = repair_parallels(toy(), voices, beats, temperature, generator(5))
    assert torch.equal(voices, before) and parallels(before.numpy()).sum() > 30
    assert not parallels(made.numpy()).any()
    assert torch.equal(made[..., 0], before[..., 0])
    assert torch.equal(made < 0, before < 0)  # what rested rests, and nothing else
    assert torch.equal(made, repair_parallels(toy(), voices, beats, temperature, generator(5)))
    other = repair_parallels(toy(), voices, beats, 0.5, generator(6))
    assert not torch.equal(made, other)


def test_a_note_is_drawn_anew_for_what_the_model_says_of_it() -> None:
    """Alto and bass, from G over C to A over D; the model likes E most by far."""
    voices = torch.tensor([[[72, 67, REST, 48]] * 2 + [[72, 69, REST, 50]] * 2])
    favourite = Table(64 - LOWEST + 1, 50.0)
    made = repair_parallels(favourite, voices, phases_from_beat(voices), 1.0, generator())  # type: ignore[arg-type]
    changed = (made != voices)[0]
    assert changed.sum() == 2 and set(made[0][changed].tolist()) == {64}


def test_an_accompaniment_has_no_parallels() -> None:
    melody = torch.from_numpy(invented(2)[None, :, 0])
    made = harmonise(toy(), melody, phases_from_beat(melody), Harmony(passes=4), generator())
    assert torch.equal(made[..., 0], melody) and not parallels(made.numpy()).any()


# The roll GAN


def test_published_sizes() -> None:
    with torch.device("meta"):
        sizes = [
            sum(p.numel() for p in net.parameters())
            for net in (RollGenerator(), WassersteinCritic())
        ]
    assert [round(size / 1e6, 2) for size in sizes] == [8.27, 2.77]


def test_rolls_and_voices_are_inverse() -> None:
    voices = torch.from_numpy(invented(3, 8))[None]
    voices[0, 5:9, 2] = REST
    rolls = roll(voices)
    assert rolls.shape == (1, 4, 32, 128) and set(rolls.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(voices_of(rolls), voices)


def test_the_generator_is_the_same_in_training_and_in_use() -> None:
    network = RollGenerator(2)
    melody = roll(torch.from_numpy(invented(3, 8))[None, :, :1])
    noise = network.noise(1, generator())
    assert noise.abs().max() <= 2
    assert torch.equal(network.train()(melody, noise), network.eval()(melody, noise))
    assert network(melody, noise).shape == (1, 4, 32, 128)
    two = network(melody.repeat(2, 1, 1, 1), noise.repeat(2, 1, 1, 1))
    assert torch.allclose(two[0], two[1]) and torch.allclose(two[:1], network(melody, noise))


FOLLOWED = 10


class Follower(RollGenerator):
    """Sets each voice ten semitones below the one above."""

    def forward(self, melody: Tensor, noise: Tensor) -> Tensor:
        return torch.cat([melody.roll(-FOLLOWED * voice, -1) for voice in range(4)], 1)


@pytest.mark.parametrize("length", [1, 15, 31, 32, 33, 48, 49, 100])
def test_windows_cover_melodies_of_any_length(length: int) -> None:
    line = torch.from_numpy(np.resize(invented(4)[:, 0], length)).clone()
    line[length // 2 : length // 2 + 3] = REST
    made = over_windows(Follower(2), line[None], 1.0, generator())
    expected = torch.stack([torch.where(line < 0, REST, line - FOLLOWED * v) for v in range(4)], -1)
    assert torch.equal(made[0], expected)


class Sum(nn.Module):
    """Says half the sum of the voices, and of the melody ten times its sum."""

    def forward(self, voices: Tensor, melody: Tensor) -> Tensor:
        return 0.5 * voices.sum((1, 2, 3)) + 10 * melody.sum((1, 2, 3))


def test_the_wasserstein_terms_by_hand() -> None:
    real, made = torch.ones(2, 4, 3, 5), torch.full((2, 4, 3, 5), -1.0)
    melody = torch.ones(2, 1, 3, 5)
    terms = wasserstein_terms(Sum(), real, made, melody, generator())
    assert terms["distance"].item() == pytest.approx(-60)  # 60 cells, half of -1 less half of 1
    # The slope in the voices is 0.5 in each of 60 cells; the melody's does not count.
    assert terms["penalty"].item() == pytest.approx((0.5 * math.sqrt(60) - 1) ** 2, rel=1e-5)
    assert real.grad is None and not terms["distance"].requires_grad


def test_the_generator_moves_at_every_fifth_step() -> None:
    objective = Wasserstein(RollGenerator(2), WassersteinCritic(2), WassersteinSettings())
    batch = {"voices": torch.from_numpy(invented(3, 8))[None].repeat(2, 1, 1)}
    turns = [[t.group for t in objective.turns(batch, step, generator())] for step in range(10)]
    assert turns == ([["critic"]] * 4 + [["critic", "generator"]]) * 2
    first, made = list(objective.turns(batch, 4, generator()))
    assert first.weights == {"penalty": 10.0}
    assert not any(p.requires_grad and p.grad is not None for p in objective.network.parameters())
    verdict = torch.autograd.grad(made.terms["verdict"], list(objective.network.parameters()))
    assert any(slope.abs().sum() > 0 for slope in verdict)


def test_the_game_resumes_exactly(tmp_path: Path) -> None:
    chorales = [Chorale(str(n), invented(n)) for n in range(2)]

    def train(folder: Path, *stops: int) -> dict[str, Tensor]:
        for steps in stops:
            torch.manual_seed(0)
            objective = Wasserstein(RollGenerator(1), WassersteinCritic(1), WassersteinSettings())
            batches = ChoraleBatches(chorales, batch=2, steps=32, seed=0, inside=True)
            Trainer(objective, batches, TrainerSettings(steps, workers=0), folder).run()
        return objective.network.state_dict()

    whole, parts = train(tmp_path / "whole", 7), train(tmp_path / "parts", 3, 7)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


# Measures


def four(*lines: list[int]) -> np.ndarray:
    return np.array(lines).T


def test_measures_by_hand() -> None:
    held = [60] * 16
    voices = four([72] * 16, [67] * 8 + [69] * 8, held, [REST] * 16)
    found = measures.measure(voices)
    assert found["empty bars"] == pytest.approx(1 / 3)
    assert found["unique pitches per bar"] == pytest.approx((2 + 1 + 0) / 3)
    assert found["onsets per bar"] == pytest.approx((2 + 1 + 0) / 3)
    assert found["polyphony"] == 3
    assert found["consonance"] == 1 and found["scale consistency"] == 1
    assert found["chords"] == 1  # C G, then C A
    assert found["crossing"] == 0 and found["parallels per 10 bars"] == 0


def test_scales_consonances_and_chords() -> None:
    chromatic = four([72] * 12, list(range(48, 60)), [REST] * 12, [REST] * 12)
    assert measures.scale_consistency(chromatic[:, 1:]) == pytest.approx(7 / 12)
    assert measures.consonance(chromatic) == pytest.approx(7 / 12)
    assert math.isnan(measures.scale_consistency(np.full((4, 3), REST)))
    assert math.isnan(measures.consonance(np.full((4, 4), REST)))
    cluster = np.tile([[62, 61, 60, 59]], (8, 1))
    assert measures.chords(cluster) == 0
    assert measures.chords(np.tile([[72, 67, 64, 58]], (8, 1))) == 1


def test_crossings_and_parallels() -> None:
    crossed = np.array([[72, 60, 62, 48], [72, 65, 60, 48]])
    assert measures.crossing(crossed) == 0.5
    # Soprano and bass move in octaves, alto and tenor in fifths, all up; the rest differ.
    parallel = np.array([[72, 67, 60, 48]] * 8 + [[74, 69, 62, 50]] * 8)
    pairs = [(a, b) for a in range(4) for b in range(a + 1, 4)]
    perfect = sum((parallel[0][a] - parallel[0][b]) % 12 in (0, 7) for a, b in pairs)
    assert measures.parallels(parallel) == 10 * perfect
    contrary = np.array([[72, 67, 60, 48]] * 8 + [[74, 66, 58, 46]] * 8)
    assert measures.parallels(contrary[:, [0, 3]]) == 0


def test_difference_between_versions() -> None:
    one = invented(0)
    two = one.copy()
    two[: len(one) // 2, 3] += 1
    assert measures.difference([one, two]) == pytest.approx(1 / 6)
    assert measures.difference([one, one, two]) == pytest.approx(1 / 9)


def test_deviation_is_the_worst_of_what_counts() -> None:
    aim = dict.fromkeys(measures.BARS, 2.0)
    assert measures.deviation({**aim, "consonance": 1.5, "polyphony": 2.2}, aim) == 0.25


# Melodies


def score_of(
    notes: list[tuple[int, ...]], *, metre: tuple[int, int] = (4, 4), tpq: int = TPQ
) -> Any:
    """One track of (start, length, pitch[, velocity]), in ticks."""
    score: Any = symusic.Score(tpq)
    score.tempos.append(symusic.Tempo(0, qpm=96))
    score.time_signatures.append(symusic.TimeSignature(0, *metre))
    track: Any = symusic.Track("Tune", 73, False)
    for start, length, pitch, *velocity in notes:
        track.notes.append(symusic.Note(start, length, pitch, *(velocity or [80])))
    score.tracks.append(track)
    return score


def scale(count: int, length: int = TPQ, first: int = 67, start: int = 0) -> list[tuple[int, ...]]:
    steps = [0, 2, 4, 5, 7, 9, 11, 12]
    return [(start + n * length, length, first + steps[n % 8], 60 + n % 8) for n in range(count)]


def test_the_melodys_track() -> None:
    score = score_of(scale(4))
    drums: Any = symusic.Track("Drums", 0, True)
    drums.notes.append(symusic.Note(0, 10, 36, 90))
    score.tracks = [symusic.Track("Empty", 0, False), drums, score.tracks[0]]
    assert choose_track(score) == choose_track(score, "tune") == choose_track(score, "3") == 2
    with pytest.raises(AudioTransferError, match=r"no track 'Drums' .* there are 3 'Tune'"):
        choose_track(score, "Drums")
    score.tracks = [drums]
    with pytest.raises(AudioTransferError, match="drums only"):
        choose_track(score)


def test_a_melody_is_its_own_skyline() -> None:
    legato = [(n * TPQ, TPQ + 30, 60 + n, 80) for n in range(5)]  # 30 ticks into the next note
    notes = notes_in(score_of(legato).tracks[0])
    assert np.array_equal(skyline(notes, TPQ), notes)
    grace = np.array([[0, 20, 62, 80], [15, 400, 60, 80]])  # a tiny note, half of it
    assert len(skyline(grace, TPQ)) == 2


def test_the_skyline_of_chords_is_on_top() -> None:
    chords = [(0, TPQ, 60), (0, TPQ, 64), (0, 2 * TPQ, 72), (TPQ, TPQ, 65), (2 * TPQ, TPQ, 50)]
    top = skyline(notes_in(score_of(chords).tracks[0]), TPQ)
    assert top[:, :3].tolist() == [[0, 2 * TPQ, 72], [2 * TPQ, TPQ, 50]]
    rising = skyline(notes_in(score_of([(0, 4 * TPQ, 60), (TPQ, TPQ, 70)]).tracks[0]), TPQ)
    assert rising[:, :3].tolist() == [[0, TPQ, 60], [TPQ, TPQ, 70]]


def test_phases_follow_the_metre() -> None:
    four_four = score_of(scale(8))
    assert phases(Grid.of(four_four), four_four).tolist() == [0, 1, 2, 3] * 8
    three = score_of(scale(6), metre=(3, 4))
    assert phases(Grid.of(three), three).tolist() == [0, 1, 2, 3] * 6
    six = score_of(scale(6), metre=(6, 8))
    assert phases(Grid.of(six), six)[:12].tolist() == [0, 1, 2, 3, 2, 3] * 2
    five = score_of(scale(5), metre=(5, 8))
    assert phases(Grid.of(five), five)[:11].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 0]


def test_a_melody_on_the_grid() -> None:
    # A pickup on the fourth beat, a short rest, a long one.
    notes = [(3 * TPQ, TPQ, 67), (4 * TPQ, TPQ, 72), (6 * TPQ, TPQ, 71), (16 * TPQ, TPQ, 69)]
    melody = Tune.of(score_of(notes)).melody
    assert melody.first == 12 and melody.phases[0] == 0 and melody.shift == 0
    expected = [67] * 4 + [72] * 8 + [71] * 4 + [REST] * 36 + [69] * 4
    assert melody.transposed.tolist() == melody.original.tolist() == expected


def test_triplets_and_fast_notes_find_the_nearest_step() -> None:
    triplets = [(n * TPQ // 3, TPQ // 3, 70 + n % 3) for n in range(6)]
    assert Tune.of(score_of(triplets)).melody.original.tolist() == [70, 71, 71, 72] * 2
    fast = [(n * TPQ // 16, TPQ // 16, 70 + n % 4) for n in range(32)]
    tune = Tune.of(score_of(fast))
    assert 8 <= len(tune.melody.original) <= 9 and len(tune.notes) == 32


@pytest.mark.parametrize("first, shift", [(67, 0), (55, 12), (31, 36), (91, -24)])
def test_melodies_are_transposed_to_where_sopranos_sing(first: int, shift: int) -> None:
    melody = Tune.of(score_of(scale(8, first=first))).melody
    assert melody.shift == shift
    assert np.array_equal(melody.transposed, melody.original + shift)
    low, high = RANGES[0]
    assert low <= melody.transposed.min() and melody.transposed.max() <= high


def test_a_melody_wider_than_a_soprano_is_folded_in() -> None:
    melody = Tune.of(score_of([(n * TPQ, TPQ, 36 + 6 * n) for n in range(12)])).melody
    low, high = RANGES[0]
    assert low <= melody.transposed.min() and melody.transposed.max() <= high
    assert set(((melody.transposed - melody.original - melody.shift) % 12).tolist()) == {0}


def test_shift_prefers_octaves() -> None:
    assert shift_of(np.array([60, 62, 64])) == 0
    assert shift_of(np.array([48, 69])) % 12 == 0


# Back to a score


def chord_below(tune: Tune, lower: list[int]) -> Any:
    steps = len(tune.melody.original)
    model = np.concatenate(
        [tune.melody.transposed[:, None], np.tile([lower], (steps, 1))], axis=1
    )  # what a model might have set, the same chord throughout
    return score_with_voices(tune, back_in_register(model, tune.melody))


def as_notes(track: Any) -> list[tuple[int, int, int, int]]:
    return [(n.time, n.duration, n.pitch, n.velocity) for n in track.notes]


def test_the_melody_stays_and_the_rest_of_the_score_too() -> None:
    score = score_of(scale(12, start=TPQ), metre=(3, 4))
    score.key_signatures.append(symusic.KeySignature(0, 1, 0))
    made = chord_below(Tune.of(score), [64, 60, 48])
    assert [track.name for track in made.tracks] == list(VOICES)
    assert {track.program for track in made.tracks} == {73}
    assert as_notes(made.tracks[0]) == as_notes(score.tracks[0])
    assert [t.qpm for t in made.tempos] == [t.qpm for t in score.tempos]
    assert [(s.numerator, s.denominator) for s in made.time_signatures] == [(3, 4)]
    assert len(made.key_signatures) == 1 and made.tpq == score.tpq
    # Struck again with the melody at each bar line, and as long as the melody.
    alto = as_notes(made.tracks[1])
    assert [start for start, *_ in alto] == [TPQ, *(3 * TPQ * bar for bar in (1, 2, 3, 4))]
    assert alto[-1][0] + alto[-1][1] == 13 * TPQ
    assert all(a[0] + a[1] == b[0] for a, b in pairwise(alto))
    assert alto[0][3] == round(0.8 * 60)
    assert len(score.tracks) == 1 and score.tracks[0].name == "Tune"


def test_voices_follow_the_melodys_own_timing() -> None:
    late = [(n * 4 * TPQ + (37 if n else 0), 3 * TPQ, 67 + n) for n in range(3)]
    made = chord_below(Tune.of(score_of(late)), [64, 60, 48])
    assert [start for start, *_ in as_notes(made.tracks[3])] == [start for start, *_ in late]


def test_voices_go_back_with_the_melody() -> None:
    tune = Tune.of(score_of(scale(8, first=79)))
    assert tune.melody.shift == -12
    made = chord_below(tune, [64, 60, 48])
    assert [track.notes[0].pitch for track in made.tracks[1:]] == [76, 72, 60]


def test_a_bass_is_never_too_deep() -> None:
    tune = Tune.of(score_of(scale(8, first=36)))
    made = chord_below(tune, [64, 60, 36])
    assert min(note.pitch for note in made.tracks[3].notes) >= 24
    assert len({(64 - track.notes[0].pitch) % 12 for track in made.tracks[1:2]}) == 1


def test_voices_go_below_notes_that_were_folded() -> None:
    wide = Tune.of(score_of([(0, TPQ, 72), (TPQ, TPQ, 72), (2 * TPQ, TPQ, 40), (3 * TPQ, TPQ, 72)]))
    assert (wide.melody.transposed - wide.melody.original)[8] != wide.melody.shift
    made = chord_below(wide, [64, 52, 40])
    for track in made.tracks[1:]:
        assert all(note.pitch <= 40 for note in track.notes if note.time <= 2 * TPQ < note.end)


# What a user gets


@pytest.fixture(scope="module")
def accompanist(tmp_path_factory: pytest.TempPathFactory, pieces: Path) -> Path:
    folder = tmp_path_factory.mktemp("run")
    recipes.train("bach", overrides("bach", pieces), folder)
    return folder / "bach"


def overrides(config: str, pieces: Path) -> list[str]:
    trainer = ["steps=5", "workers=0", "warmup=0", "log_every=1", "validate_every=5"]
    sizes = ["batch=2", "width=1", "steps=32", "look_at=2", "network={width: 8, blocks: 2}"]
    return [
        *(f"trainer.{setting}" for setting in trainer),
        *(f"accompaniment.{setting}" for setting in sizes),
        f"accompaniment.data={pieces}",
    ]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.usefixtures("every_branch")
def test_every_config_becomes_an_accompanist(config: str, pieces: Path, tmp_path: Path) -> None:
    figures = recipes.train(config, overrides(config, pieces), tmp_path)
    assert figures["failed_steps"] == 0 and all(map(math.isfinite, figures.values()))
    read = load_training(config).recipe
    network = load_bach(tmp_path / read.name)
    assert network.kind == read.method
    card = read_card(tmp_path / read.name)
    assert card.steps == 5 and card.route == "symbolic" and card.corpora[0]["licence"]
    assert (tmp_path / "frames.gif").read_bytes().startswith(b"GIF8")
    target = tmp_path / "out.mid"
    accompany_file("twinkle", target, AccompanyOptions(by=tmp_path / read.name))
    assert as_notes(read_score(target).tracks[0]) == as_notes(melody.twinkle_score().tracks[0])


def write(score: Any, path: Path) -> Path:
    path.write_bytes(score.dumps_midi())
    return path


MELODIES: dict[str, tuple[list[tuple[int, ...]], tuple[int, int], int]] = {
    "one note": ([(0, TPQ, 70)], (4, 4), TPQ),
    "a pickup": (scale(9, start=3 * TPQ), (4, 4), TPQ),
    "a waltz": (scale(18), (3, 4), TPQ),
    "a jig": (scale(24, TPQ // 2), (6, 8), TPQ),
    "in five": (scale(10, TPQ // 2), (5, 8), TPQ),
    "deep": (scale(8, first=28), (4, 4), TPQ),
    "high": (scale(8, first=108), (4, 4), TPQ),
    "wide": ([(n * TPQ, TPQ, 21 + 12 * n) for n in range(9)], (4, 4), TPQ),
    "fast": (scale(64, TPQ // 16), (4, 4), TPQ),
    "triplets": (scale(12, TPQ // 3), (4, 4), TPQ),
    "with long rests": ([(n * 20 * TPQ, TPQ, 70) for n in range(3)], (4, 4), TPQ),
    "at an odd resolution": (scale(8, 15), (4, 4), 15),
    "late throughout": ([(s + 50, d, p) for s, d, p, _ in scale(16)], (4, 4), TPQ),
}


@pytest.mark.parametrize("name", MELODIES)
def test_any_melody_is_accompanied(name: str, accompanist: Path, tmp_path: Path) -> None:
    notes, metre, tpq = MELODIES[name]
    source = write(score_of(notes, metre=metre, tpq=tpq), tmp_path / "in.mid")
    report = accompany_file(source, tmp_path / "out.mid", AccompanyOptions(by=accompanist))
    assert report.notices == [] and report.notes == len(notes)
    before, after = read_score(source), read_score(tmp_path / "out.mid")
    assert [track.name for track in after.tracks] == list(VOICES)
    assert as_notes(after.tracks[0]) == as_notes(before.tracks[0])
    assert after.tpq == before.tpq and after.tempos[0].qpm == pytest.approx(96, abs=1e-3)
    end = max(note.end for note in before.tracks[0].notes)
    for track in after.tracks[1:]:
        assert all(0 <= note.pitch < 128 and note.duration > 0 for note in track.notes)
        assert all(note.end <= end for note in track.notes)
        assert all(a.end <= b.time for a, b in pairwise(sorted(track.notes, key=lambda n: n.time)))


def test_several_tracks_and_chords_are_told(accompanist: Path, tmp_path: Path) -> None:
    score = score_of([(0, TPQ, 60), (0, TPQ, 64), (0, TPQ, 67)])
    flute: Any = symusic.Track("Flute", 73, False)
    for note in scale(4):
        flute.notes.append(symusic.Note(*note))
    score.tracks.append(flute)
    source = write(score, tmp_path / "in.mid")
    options = AccompanyOptions(by=accompanist)
    report = accompany_file(source, tmp_path / "first.mid", options)
    assert "track 1 'Tune'" in report.notices[0] and "2 'Flute'" in report.notices[0]
    assert "2 of 3 notes" in report.notices[1]
    assert [n.pitch for n in read_score(tmp_path / "first.mid").tracks[0].notes] == [67]
    named = AccompanyOptions(by=accompanist, track="flute")
    assert accompany_file(source, tmp_path / "second.mid", named).notices == []
    assert len(read_score(tmp_path / "second.mid").tracks[0].notes) == 4


def test_versions_are_seeds_one_after_the_other(accompanist: Path, tmp_path: Path) -> None:
    many = AccompanyOptions(by=accompanist, seed=4, versions=3)
    report = accompany_file("twinkle", tmp_path / "a.mid", many)
    assert report.seeds == [4, 5, 6]
    found = [Path(path).read_bytes() for path in report.outputs]
    assert [Path(path).name for path in report.outputs] == ["a.1.mid", "a.2.mid", "a.3.mid"]
    assert len(set(found)) == 3
    accompany_file("twinkle", tmp_path / "b.mid", AccompanyOptions(by=accompanist, seed=5))
    assert (tmp_path / "b.mid").read_bytes() == found[1]


def test_requests_that_cannot_be_met(accompanist: Path, pieces: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.mid"
    there.write_bytes(b"mine")
    bad = {
        "there.mid exists": (there, AccompanyOptions()),
        "no MIDI file by its name": (tmp_path / "out.wav", AccompanyOptions()),
        "out of range": (tmp_path / "a.mid", AccompanyOptions(temperature=-1.0)),
        "0 versions": (tmp_path / "a.mid", AccompanyOptions(versions=0)),
        "is no style": (tmp_path / "a.mid", AccompanyOptions(by=tmp_path)),
        "no track 'x'": (tmp_path / "a.mid", AccompanyOptions(track="x")),
    }
    for reason, (target, options) in bad.items():
        with pytest.raises(AudioTransferError, match=reason):
            accompany_file("twinkle", target, options)
    assert there.read_bytes() == b"mine"
    with pytest.raises(AudioTransferError, match="does not exist"):
        accompany_file(tmp_path / "no.mid", tmp_path / "a.mid")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there.mid"]


def test_weights_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for network in (toy(), RollGenerator(1)):
        save_accompanist(path, network)
        again = load_accompanist(path)
        assert type(again) is type(network) and again.shape() == network.shape()
        for name, value in network.state_dict().items():
            assert torch.equal(again.state_dict()[name], value.half().float())
    save_weights(path, {}, {"kind": "drummer"})
    with pytest.raises(AudioTransferError, match="no accompaniment model"):
        load_accompanist(path)
    path.write_bytes(b"weights")
    with pytest.raises(AudioTransferError, match="cannot be read"):
        load_accompanist(path)


def test_version_paths() -> None:
    assert version_paths(Path("x/a.mid"), 1) == [Path("x/a.mid")]
    assert version_paths(Path("x/a.b.MIDI"), 2) == [Path("x/a.b.1.MIDI"), Path("x/a.b.2.MIDI")]


def test_images(tmp_path: Path) -> None:
    voices = invented(0, 4)
    plane = piano_roll(torch.from_numpy(voices))
    assert plane.shape == (PITCHES, 16) and plane.sum() == 4 * 16
    assert plane[voices[0, 3] - LOWEST, 0] == 1
    assert animate(tmp_path, tmp_path / "a.gif") is None
    for step in (10, 200):
        save_frame(voices, tmp_path, step)
    made = animate(tmp_path, tmp_path / "a.gif")
    assert made is not None and made.read_bytes().startswith(b"GIF89a")


def test_a_plot_beside_it(accompanist: Path, tmp_path: Path) -> None:
    options = AccompanyOptions(by=accompanist, versions=2, extras=MidiExtras(plot=True))
    report = accompany_file("twinkle", tmp_path / "t.mid", options)
    assert report.beside == [str(tmp_path / f"t.{number}.png") for number in (1, 2)]
    assert all(Path(path).read_bytes().startswith(b"\x89PNG") for path in report.beside)


# Evaluation


def test_an_accompanist_stands_beside_the_chorales(pieces: Path) -> None:
    splits = read_chorales(pieces / "midi" / "jsb_chorales.zip")
    told: list[float] = []
    rows = compare(
        splits, {"toy": toy()}, harmony=Harmony(passes=2), versions=2, progress=told.append
    )
    assert [row["system"] for row in rows] == [
        "chorales of training",
        "held-out chorales",
        "other chorales' voices",
        "toy",
    ]
    assert told == [0.5, 1.0]
    aim = mean_measures(splits["test"])
    made = harmonise_chorales(toy(), splits["test"], Harmony(passes=2), seed=0)
    for one, before in zip(made, splits["test"], strict=True):
        assert np.array_equal(one.voices[:, 0], before.voices[:, 0])
    found = mean_measures(made)
    for name in aim:
        held, toys = rows[1][name], rows[3][name]
        assert (held.mean, toys.mean) == pytest.approx((aim[name], found[name]))  # type: ignore[attr-defined]
    worst = str(rows[3]["furthest from held out"])
    assert worst.rpartition(" ")[0] in measures.BARS
    assert abs(float(worst.rpartition(" ")[2].rstrip("%"))) / 100 == pytest.approx(
        measures.deviation(found, aim), abs=1e-3
    )
    assert 0 < float(rows[3]["difference"]) < 1  # type: ignore[arg-type]
    strangers = rows[2]
    assert strangers["polyphony"].mean == 4  # type: ignore[attr-defined]


def test_evaluate_knows_an_accompanist(
    accompanist: Path, pieces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chorales = str(pieces / "midi" / "jsb_chorales.zip")
    out = tmp_path / "figures.json"
    command = ["evaluate", str(accompanist), "--on", chorales, "--songs", "1", "-o", str(out)]
    assert main([*command, "-q"]) == 0
    printed = capsys.readouterr().out
    assert "held-out chorales" in printed and "scale consistency" in printed
    values = json.loads(out.read_text())
    assert values["pieces"]["test"] == 1 and len(values["means"]) == 4
    assert main([*command, "-f", "--page", str(tmp_path / "page.html")]) == 2
    assert "--plot" in capsys.readouterr().err


# What ships


def test_the_shipped_accompanist_sets_twinkle(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "audiotransfer", "accompany", "twinkle", "-o", "t.mid"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "t.mid"
    tune = Tune.of(read_score(tmp_path / "t.mid"), VOICES[0])
    lines = [tune.melody.original]
    score = read_score(tmp_path / "t.mid")
    for track in score.tracks[1:]:
        line = np.full(192, REST)
        for note in track.notes:
            line[note.time * 4 // TPQ : note.end * 4 // TPQ] = note.pitch
        lines.append(line)
    voices = np.stack(lines, axis=1)
    found = measures.measure(voices)
    assert voices.shape == (192, 4) and found["polyphony"] > 3.9 and found["crossing"] == 0
    assert found["scale consistency"] > 0.85 and found["consonance"] > 0.8
    assert found["chords"] > 0.8 and 2.0 < found["onsets per bar"] < 6.0
    # It ends on the tonic: G in the bass, and nothing but G major above it.
    assert voices[-1, 3] % 12 == 7 and set(voices[-1] % 12) <= {7, 11, 2}


def test_the_shipped_accompanist_is_small_and_says_what_it_is() -> None:
    card = read_card(SHIPPED)
    load_bach(SHIPPED)
    size = sum((SHIPPED / name).stat().st_size for name in card.weights)
    assert size <= 2_000_000 and card.steps > 0 and card.figures and card.corpora


# Phrases and cadences


def test_phrases_end_with_long_notes_rests_and_groups_of_bars() -> None:
    lengths = [4, 4, 4, 4, 4, 4, 8] * 4
    melody = np.repeat(np.arange(60, 60 + len(lengths)) % 12 + 60, lengths)
    onsets = np.cumsum([0, *lengths[:-1]])
    ends = phrase_ends(melody, onsets)
    assert [end.end for end in ends] == [32, 64, 96, 128]
    assert [end.last for end in ends] == [False, False, False, True]
    assert all(end.start == end.end - 8 and end.approach == end.start - 4 for end in ends)
    even = np.repeat(60 + np.arange(32) % 5, 4)
    bars = np.arange(0, 129, 16)
    assert [e.end for e in phrase_ends(even, np.arange(0, 128, 4), bars)] == [64, 128]
    paused = even.copy()
    paused[44:48] = REST
    assert 44 in [e.end for e in phrase_ends(paused, np.arange(0, 128, 4))]
    assert phrase_ends(np.full(8, REST), np.array([0])) == []


@pytest.mark.parametrize("name", sorted(folk_tunes.TUNES))
def test_the_key_of_a_folk_tune_is_found(name: str) -> None:
    tune = Tune.of(folk_tunes.score_of(name))
    phrasing = Phrasing.of(tune.melody.original, tune.melody.onsets, tune.grid.bars)
    assert phrasing.tonic == folk_tunes.TUNES[name][2]
    assert phrasing.ends[-1].last and len(phrasing.ends) > 1


def test_a_melody_chooses_among_cadences() -> None:
    def chosen_for(*pitches: int, last: bool = True, minor: bool = False) -> set[str]:
        melody = np.repeat(pitches, 4)
        end = PhraseEnd(4 * len(pitches) - 8, 4 * len(pitches) - 4, 4 * len(pitches), last)
        random = generator()
        found = [choose_cadence(melody, end, 0, minor, random) for _ in range(40)]
        return {cadence.kind for cadence in found if cadence}

    assert chosen_for(76, 74, 72) == {AUTHENTIC}
    assert chosen_for(77, 76, 69, 72) == {PLAGAL}
    assert HALF in chosen_for(72, 76, 74, last=False)
    assert DECEPTIVE in chosen_for(74, 71, 72, last=False)
    assert chosen_for(66, 66, 66, last=False) == set()
    # A tonic that is repeated is approached before its first note.
    melody = np.repeat([74, 72, 72], 4)
    early = {choose_cadence(melody, PhraseEnd(4, 8, 12, True), 0, False, generator(s)).change
             for s in range(20)}  # type: ignore[union-attr]  # fmt: skip
    assert 4 in early
    minor = [choose_cadence(np.repeat([75, 74, 72], 4), PhraseEnd(4, 8, 12, True), 0, True,
                            generator(s)) for s in range(40)]  # fmt: skip
    thirds = [cadence.goal.tones[1] for cadence in minor if cadence]
    assert set(thirds) == {3, 4} and thirds.count(4) > thirds.count(3)


def test_voicings_are_complete_and_resolve() -> None:
    random, network = generator(), toy()
    melody = torch.tensor(np.repeat([76, 74, 72], 4))
    end = PhraseEnd(4, 8, 12, True)
    for _ in range(20):
        cadence = choose_cadence(melody.numpy(), end, 0, False, random)
        assert cadence is not None and cadence.kind == AUTHENTIC
        lower = set_cadences(network, melody, phases_from_beat(melody[None, :, None])[0],
                             [cadence], 1.0, random)  # fmt: skip
        voices = torch.cat([melody[:, None], lower], 1)[4:].numpy()
        assert (lower[:4] == UNSET).all()
        dominant, tonic = voices[0], voices[-1]
        assert dominant[3] % 12 == 7 and tonic[3] % 12 == 0
        assert 11 in dominant % 12 and 4 in tonic % 12
        assert (dominant % 12 == 11).sum() == 1
        assert not parallels(voices).any() and not crossed(voices).any()
        for voice in range(1, 4):
            if dominant[voice] % 12 == 5:
                assert tonic[voice] % 12 == 4


def test_given_steps_are_neither_sampled_nor_repaired() -> None:
    melody = torch.from_numpy(invented(2)[None, :, 0])
    given = torch.full((1, melody.shape[1], 3), UNSET)
    given[:, 8:16] = torch.tensor([60, 55, 48])
    beats = phases_from_beat(melody[..., None])
    settings = GibbsSettings(passes=4)
    made = gibbs(toy(), melody[..., None], beats, settings, generator(), given=given)
    assert torch.equal(made[0, 8:16, 1:], given[0, 8:16])
    assert len(made[0, :, 3].unique()) > 2
    mended = repair_parallels(toy(), made, beats, 1.0, generator(), given)
    assert not parallels(mended.numpy()).any()
    assert torch.equal(mended[0, 8:16, 1:], given[0, 8:16])


@pytest.mark.parametrize("name", sorted(folk_tunes.TUNES))
def test_folk_tunes_end_on_their_tonic(name: str) -> None:
    tune = Tune.of(folk_tunes.score_of(name))
    made = accompany(tune, load_bach(), Harmony(passes=2), 0)
    melody, *lower = (as_notes(track) for track in made.tracks)
    assert melody == as_notes(tune.score.tracks[0])
    last = {track[-1][2] % 12 for track in lower} | {melody[-1][2] % 12}
    tonic = folk_tunes.TUNES[name][2]
    assert lower[-1][-1][2] % 12 == tonic
    assert last <= {tonic, (tonic + 3) % 12, (tonic + 4) % 12, (tonic + 7) % 12}
    assert last & {(tonic + 3) % 12, (tonic + 4) % 12}


def test_cadences_are_told_apart() -> None:
    chord = {"I": [72, 67, 64, 48], "IV": [72, 69, 65, 53], "V": [74, 67, 59, 55],
             "vi": [72, 69, 64, 57], "ii": [74, 69, 65, 50]}  # fmt: skip

    def kind(*names: str) -> str:
        voices = np.repeat([chord[name] for name in names], 4, axis=0)
        return cadence_at(voices, PhraseEnd(0, len(voices) - 4, len(voices), False), 0, False)

    cases = {("V", "I"): AUTHENTIC, ("I", "V"): HALF, ("IV", "I"): PLAGAL, ("V", "vi"): DECEPTIVE,
             ("I", "vi"): OTHER}  # fmt: skip
    assert {names: kind(*names) for names in cases} == cases
    whole = np.repeat([chord["V"], chord["I"]], 8, axis=0)
    phrasing = Phrasing.of(whole[:, 0])
    figures = cadence_figures([whole, whole[:8]], [Phrasing(phrasing.ends, 0, False)] * 2)
    assert figures["last on tonic"] == 0.5
