"""Genre transfer: layers of the paper, loss terms by hand, batches, weights, and every config."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import symusic
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from audiotransfer import recipes
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.classifiers.midi_genre import MidiGenreClassifier
from audiotransfer.evaluation.classifiers.midi_networks import BeatClassifier
from audiotransfer.midi.grid import Grid
from audiotransfer.recipes import genre_gan, load_training
from audiotransfer.recipes.midi_styles import played, transfer_by
from audiotransfer.styles import check_weights, find_style, load_style
from audiotransfer.styles.find import SHIPPED
from audiotransfer.symbolic.genre import conditional_gan
from audiotransfer.symbolic.genre import conditional_gan as losses
from audiotransfer.symbolic.genre.conditional_gan import ConditionalGan, ConditionalGanSettings
from audiotransfer.symbolic.genre.conditional_networks import (
    ConditionalGenerator,
    GenreDiscriminator,
    PhraseClassifier,
    input_features,
)
from audiotransfer.symbolic.genre.cycle_gan import MIXED, GenreGan, GenreGanSettings
from audiotransfer.symbolic.genre.data import KEYS, GenreBatches, PairBatches, transposed
from audiotransfer.symbolic.genre.paper_networks import (
    PaperDiscriminator,
    PaperGenerator,
    fold,
    unfold,
)
from audiotransfer.symbolic.genre.phrases import PhraseSet
from audiotransfer.symbolic.genre.transfer import load_generator, save_generator
from audiotransfer.training import Objective, load_networks

GENRES = ("jazz", "classical", "pop")
ARCHIVES = ("jazz_wjd.zip", "classical_pianomidide.zip", "pop_pop909.zip")
CONFIGS = ("genre-gan", "genre-gan-paper", "genre-gan-partial", "genre-gan-full")


def rolls(count: int, seed: int = 0, density: float = 0.05) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    sounding = torch.rand(count, 64, 84, generator=random) < density
    return torch.stack(
        [sounding & (torch.rand(count, 64, 84, generator=random) < 0.5), sounding], 1
    ).float()


def phrase_set(count: int, seed: int) -> PhraseSet:
    bits = np.packbits(rolls(count, seed).bool().numpy().reshape(count, -1), axis=1)
    return PhraseSet(bits, np.arange(count), [f"{n}.mid" for n in range(count)])


def weights_of(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters() if p.ndim == 4)


# Networks


def test_the_paper_has_its_layers() -> None:
    """Output shapes and weights of each convolution as in the published code's tables."""
    generator, discriminator = PaperGenerator(("jazz",)), PaperDiscriminator()
    assert (weights_of(generator), weights_of(discriminator)) == (12_540_032, 818_496)
    assert all(
        layer.bias is None
        for net in (generator, discriminator)
        for layer in net.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    )
    sizes: list[tuple[int, ...]] = []

    def note(layer: nn.Module, _: Any, found: Tensor) -> None:
        sizes.append(tuple(found.shape[1:]))

    for net in (generator, discriminator):
        for layer in net.layers:
            if not isinstance(
                layer, nn.ReflectionPad2d | nn.InstanceNorm2d | nn.ReLU | nn.LeakyReLU
            ):
                layer.register_forward_hook(note)
    with torch.no_grad():
        discriminator(generator(torch.zeros(1, 1, 64, 84)))
    deep = [(256, 16, 21)] * 11
    assert sizes == [
        *((64, 64, 84), (128, 32, 42), *deep, (128, 32, 42), (64, 64, 84), (1, 64, 84)),
        *((64, 32, 42), (256, 16, 21), (1, 16, 21)),
    ]


def test_weights_begin_as_published() -> None:
    torch.manual_seed(0)
    drawn = torch.cat(
        [p.flatten() for p in PaperGenerator(("jazz",), 8, 2).parameters() if p.ndim == 4]
    )
    assert float(drawn.detach().std()) == pytest.approx(0.02, rel=0.03)
    assert abs(float(drawn.detach().mean())) < 5 * 0.02 / len(drawn) ** 0.5


def test_a_beat_is_a_column_and_nothing_is_lost() -> None:
    roll = rolls(2)
    folded = fold(roll, 4)
    assert folded.shape == (2, 8, 16, 84)
    assert torch.equal(folded[:, 4 + 3, 5], roll[:, 1, 4 * 5 + 3])
    assert torch.equal(unfold(folded, 4), roll) and torch.equal(unfold(fold(roll, 1), 1), roll)


@pytest.mark.parametrize("steps", (1, 4))
def test_the_papers_generator_takes_other_lengths(steps: int) -> None:
    generator = PaperGenerator(("jazz",), 4, 1, steps)
    assert generator(rolls(2)[:, 1:, :32]).shape == (2, 1, 32, 84)


def test_a_paper_generator_may_begin_with_what_it_is_given() -> None:
    """Its layers' logits plus 3 where it sounds, minus 3 where not; as published the layers'."""
    torch.manual_seed(0)
    published = PaperGenerator(("jazz",), 4, 1, 4)
    passing = PaperGenerator(("jazz",), 4, 1, 4, 3.0)
    passing.load_state_dict(published.state_dict())
    roll = rolls(2)[:, 1:]
    layers = unfold(published.layers(fold(roll, 4)), 4)
    assert torch.equal(published(roll), layers)
    assert torch.equal(passing(roll), layers + torch.where(roll > 0, 3.0, -3.0))
    assert torch.equal(passing(roll) > 0, roll > 0)


def test_a_new_conditional_generator_changes_nothing() -> None:
    generator, roll = ConditionalGenerator(GENRES, (4, 6, 8), 1), rolls(3)
    logits = generator(roll, torch.arange(3))
    assert torch.equal(logits > 0, roll > 0)
    assert torch.equal(logits, generator.passing * (2 * roll - 1))


def test_the_genre_steers() -> None:
    torch.manual_seed(0)
    generator = ConditionalGenerator(GENRES, (4, 6), 1)
    nn.init.normal_(generator.leave.weight)
    roll = rolls(1)
    one, other = (generator(roll, torch.tensor([g])) for g in (0, 1))
    assert not torch.allclose(one, other)
    both = generator(roll.repeat(2, 1, 1, 1), torch.tensor([0, 1]))
    assert torch.allclose(both, torch.cat([one, other]), atol=1e-3)


def test_input_features_of_a_network() -> None:
    """A fifth, C4 over one beat and G4 over a bar, by hand."""
    roll = torch.zeros(1, 2, 64, 84)
    c, g = 36, 43
    roll[0, 0, 16, [c, g]] = 1
    roll[0, 1, 16:20, c] = 1
    roll[0, 1, 16:32, g] = 1
    features = input_features(roll)
    assert features.shape == (1, 21, 16, 84)
    notes, below, above = features[0, :8], features[0, 8:12], features[0, 12:16]
    assert torch.equal(unfold(notes[None], 4), roll)
    assert below[0, 4, g] == pytest.approx(math.tanh(1)) and below[0, 4, c] == 0
    assert above[0, 4, c] == pytest.approx(math.tanh(1)) and above[0, 4, g] == 0
    beat, bar = features[0, 16], features[0, 17]
    assert beat[4, c % 12 :: 12].tolist() == [1.0] * 7 and beat[5, c % 12] == 0
    assert bar[5, c % 12] == 0.25 and bar[7, g % 12] == 1 and bar[8, g % 12] == 0
    assert features[0, 18, :, 0].tolist() == [1.0, 0, 0, 0] * 4
    assert features[0, 19, :, 0].tolist() == [0, 0, 1.0, 0] * 4
    assert features[0, 20, 0, [0, -1]].tolist() == [-1, 1]


def test_discriminators_score_a_genre_and_classifiers_name_it() -> None:
    torch.manual_seed(0)
    discriminator = GenreDiscriminator(3, 4).eval()
    roll = rolls(3)
    bars, whole = discriminator(roll, torch.tensor([0, 1, 2]))
    assert bars.shape == (3, 4, 10) and whole.shape == (3, 1, 1)
    others, _ = discriminator(roll, torch.tensor([0, 2, 2]))
    assert torch.equal(bars[[0, 2]], others[[0, 2]]) and not torch.allclose(bars[1], others[1])
    for classifier in (PhraseClassifier(3, 4), BeatClassifier(3, 8)):
        assert classifier(roll).shape == (3, 3)


# Losses, by hand


def test_straight_through() -> None:
    soft = torch.tensor([0.2, 0.5, 0.7], requires_grad=True)
    hard = losses.binarised(soft)
    assert hard.tolist() == [0, 0, 1]
    (3 * hard).sum().backward()
    assert soft.grad is not None and soft.grad.tolist() == [3, 3, 3]


def test_note_distance() -> None:
    """One sounding cell in four weighs three times a silent one; Dice of each channel."""
    roll = torch.tensor([1.0, 0, 0, 0]).view(1, 1, 1, 4).repeat(1, 2, 1, 1)
    logits = torch.zeros_like(roll)
    entropy = (3 * math.log(2) + 3 * math.log(2)) / 4
    dice = 1 - (2 * 0.5 + 1) / (4 * 0.5 + 1 + 1)
    assert float(losses.note_distance(logits, roll)) == pytest.approx(entropy + dice)
    sure = 40 * (2 * roll - 1)
    assert float(losses.note_distance(sure, roll)) == pytest.approx(0, abs=1e-6)
    silence = float(losses.note_distance(-4 * torch.ones_like(roll), roll))
    assert silence > 3 * entropy  # silence is not cheap


def test_sounding_cells_weigh_ten_at_most() -> None:
    roll = torch.zeros(1, 2, 10, 84)
    roll[:, :, 0, 0] = 1
    logits = torch.zeros_like(roll)
    cells, hits = 840, 1
    entropy = (10 * hits + cells - hits) * math.log(2) / cells
    dice = 1 - (2 * 0.5 + 1) / (cells / 2 + hits + 1)
    assert float(losses.note_distance(logits, roll)) == pytest.approx(entropy + dice, rel=1e-5)


def test_density_gap() -> None:
    before = torch.zeros(1, 2, 4, 84)
    before[0, :, 0, :16] = 1
    after = torch.zeros_like(before)
    after[0, 0, 0, :36] = 1
    after[0, 1, 0, :16] = 1
    gap = float(losses.density_gap(after, before))
    assert gap == pytest.approx((math.log(40 / 20) - 0.25) / 2, rel=1e-5)
    assert float(losses.density_gap(before, before)) == 0


def test_harmony_gap() -> None:
    """The same classes in another octave keep it; other classes lose it; silence has none."""
    roll = torch.zeros(1, 2, 16, 84)
    roll[0, 1, :, [36, 40, 43]] = 1
    assert float(losses.harmony_gap(roll.roll(12, -1), roll)) == pytest.approx(0, abs=1e-6)
    one = torch.zeros(12)
    one[[0, 4, 7]] = 1
    cosine = torch.nn.functional.cosine_similarity(
        one - one.mean(), one.roll(1) - one.mean(), dim=0
    )
    moved = float(losses.harmony_gap(roll.roll(1, -1), roll))
    assert moved == pytest.approx(1 - float(cosine), rel=1e-5)
    half = roll.clone()
    half[:, :, 8:] = 0  # windows in which the source is silent do not count
    assert float(losses.harmony_gap(roll, half)) == pytest.approx(0, abs=1e-6)


def test_melody_gap() -> None:
    """Of two melody notes over a bass one is lost, and one note begins above; far enough from
    where the melody lies nothing is level with it.
    """
    roll = torch.zeros(1, 2, 32, 84)
    roll[0, 0, 0, [20, 50]] = 1
    roll[0, 1, :8, [20, 50]] = 1
    roll[0, :, 4, 30] = 1  # below what sounds, so no melody
    roll[0, :, 8, 60] = 1
    made = roll.clone()
    made[0, :, 8, 60] = 0
    made[0, :, 12, 55] = 1  # under the melody's highest note nearby
    made[0, :, 15, 61] = 1
    assert float(losses.melody_gap(roll, roll)) == 0
    assert float(losses.melody_gap(made, roll)) == pytest.approx(1 / 2 + 1 / 2)
    made[0, :, 17, 55] = 1  # nine steps later
    assert float(losses.melody_gap(made, roll)) == pytest.approx(1 / 2 + 2 / 2)


def test_clash_gap() -> None:
    roll = torch.zeros(2, 2, 10, 84)
    made = roll.clone()
    made[0, 1, :5, [40, 41, 42]] = 1  # two semitones in half of the steps
    made[1, 1, :, [40, 42]] = 1  # a whole tone
    assert float(losses.clash_gap(made, roll)) == pytest.approx((1.0 - 0.1) / 2)
    assert float(losses.clash_gap(made, made)) == 0


def test_the_hinge_game_at_two_scales() -> None:
    real = (torch.tensor([2.0, 0.5]), torch.tensor([0.0]))
    made = (torch.tensor([-2.0, 0.5]), torch.tensor([1.0]))
    first = 0.5 * ((0 + 0.5) / 2 + (0 + 1.5) / 2)
    second = 0.5 * (1 + 2)
    assert float(losses.discriminator_hinge(real, made)) == pytest.approx((first + second) / 2)
    assert float(losses.generator_hinge(made)) == pytest.approx(-(-0.75 + 1.0) / 2)


# The paper's objective


class Add(nn.Module):
    """Logits that raise what sounds by a learned amount; notes what it was given."""

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount = nn.Parameter(torch.tensor(amount))
        self.given: list[Tensor] = []

    def forward(self, roll: Tensor, *_: Tensor) -> Tensor:
        self.given.append(roll.detach())
        return roll + self.amount


class Scale(Add):
    """A discriminator: so many times what it sees."""

    def forward(self, roll: Tensor, *_: Tensor) -> Tensor:
        self.given.append(roll.detach())
        return self.amount * roll


def small(**settings: Any) -> GenreGan:
    return GenreGan(
        {"a": Add(0.1), "b": Add(0.2)},
        {"a": Scale(0.3), "b": Scale(0.4)},
        {"a": Scale(0.5), "b": Scale(0.6)},
        GenreGanSettings(pool=0, **settings),
    )


def batch() -> dict[str, Tensor]:
    return {"a": rolls(2, 1), "b": rolls(2, 2), MIXED: rolls(2, 3)}


def test_every_term_of_the_paper_by_hand() -> None:
    objective, given = small(model="full", teach=True, noise=0.5), batch()
    first, second = objective.turns(given, 0, torch.Generator().manual_seed(4))
    a, b, m = (given[name][:, 1:] for name in ("a", "b", MIXED))
    noise = torch.randn(a.shape, generator=torch.Generator().manual_seed(4)).abs() * 0.5
    to_a, to_b = (b + 0.1).sigmoid(), (a + 0.2).sigmoid()
    back_a, back_b = (to_b + 0.1).sigmoid(), (to_a + 0.2).sigmoid()
    mean: Callable[[Tensor], Tensor] = torch.mean
    wanted = {
        "adversarial_a": mean((0.3 * (to_a + noise) - 1) ** 2),
        "adversarial_b": mean((0.4 * (to_b + noise) - 1) ** 2),
        "cycle_a": mean((back_a - a).abs()),
        "cycle_b": mean((back_b - b).abs()),
        "mixed_a": mean((0.5 * (to_a + noise) - 1) ** 2),
        "mixed_b": mean((0.6 * (to_b + noise) - 1) ** 2),
    }
    assert first.group == "generator" and set(first.terms) == set(wanted)
    for name, value in wanted.items():
        assert float(first.terms[name].detach()) == pytest.approx(
            float(value.detach()), rel=1e-5
        ), name

    def apart(scale: float, true: Tensor, false: Tensor) -> Tensor:
        one, other = scale * (true + noise), scale * (false + noise)
        return 0.5 * (mean((one - 1) ** 2) + mean(other**2))

    wanted = {
        "discriminator_a": apart(0.3, a, to_a),
        "discriminator_b": apart(0.4, b, to_b),
        "mixed_a": apart(0.5, m, to_a),
        "mixed_b": apart(0.6, m, to_b),
    }
    assert second.group == "discriminator" and set(second.terms) == set(wanted)
    for name, value in wanted.items():
        assert float(second.terms[name].detach()) == pytest.approx(
            float(value.detach()), rel=1e-5
        ), name
    assert first.weights == {"cycle_a": 10, "cycle_b": 10, "mixed_a": 1, "mixed_b": 1}


def test_noise_is_half_normal_and_the_same_for_all() -> None:
    objective, given = small(model="partial", teach=True, noise=3.0), batch()
    given = {name: torch.zeros_like(roll) for name, roll in given.items()}
    list(objective.turns(given, 0, torch.Generator().manual_seed(0)))
    discriminator = objective.discriminators["a"]
    assert isinstance(discriminator, Scale)
    made, true, again = discriminator.given
    assert torch.equal(made, again) and torch.allclose(
        made - true, torch.full(made.shape, 0.5250), atol=1e-3
    )
    assert float(true.min()) >= 0 and float(true.mean()) == pytest.approx(0.798 * 3, rel=0.02)
    other = objective.mixed["b"]
    assert isinstance(other, Scale) and torch.equal(other.given[1], true)


@pytest.mark.parametrize(
    ("model", "teach", "terms", "discriminators"),
    [("base", True, 4, 2), ("partial", False, 4, 4), ("partial", True, 6, 4), ("full", True, 6, 4)],
)
def test_who_learns_and_who_teaches(
    model: str, teach: bool, terms: int, discriminators: int
) -> None:
    """Every parameter has a gradient in its own turn, and none of another group's moves."""
    objective = small(model=model, teach=teach)
    assert len(objective.groups["discriminator"].networks) == discriminators
    for turn in objective.turns(batch(), 0, torch.Generator()):
        assert len(turn.terms) == (terms if turn.group == "generator" else discriminators)
        mine = objective.groups[turn.group].networks
        parameters = [p for name in mine for p in objective.networks[name].parameters()]
        loss = torch.stack(list(turn.terms.values())).sum()
        for gradient in torch.autograd.grad(loss, parameters):
            assert float(gradient.abs()) > 0


def test_mixed_discriminators_that_do_not_teach_leave_generators_alone() -> None:
    """The public code's form: the generators' loss is that of the base model."""
    base, partial = small(model="base"), small(model="partial", teach=False)
    one, other = (
        next(iter(o.turns(batch(), 0, torch.Generator().manual_seed(1)))) for o in (base, partial)
    )
    assert {k: v.item() for k, v in one.terms.items()} == {
        k: v.item() for k, v in other.terms.items()
    }


def test_discriminators_are_reminded_of_older_phrases() -> None:
    objective = small()
    assert [len(p.images) for p in objective.pools.values()] == [0, 0]
    pooled = GenreGan(
        objective.generators, objective.discriminators, {}, GenreGanSettings(pool=2, noise=0.0)
    )
    random = torch.Generator().manual_seed(0)
    for step in range(2):
        list(pooled.turns({"a": rolls(2, step), "b": rolls(2, step + 7)}, step, random))
    discriminator = pooled.discriminators["a"]
    assert isinstance(discriminator, Scale)
    new, seen_then = discriminator.given[3], discriminator.given[5]
    old = discriminator.given[0]
    known = [any(torch.equal(x, y) for y in (*new, *old)) for x in seen_then]
    assert all(known) and int(pooled.networks["pool_a"].held) == 2


# The objective for all genres


def conditional(**settings: Any) -> ConditionalGan:
    torch.manual_seed(0)
    generator = ConditionalGenerator(GENRES, (4, 6), 1)
    nn.init.normal_(generator.leave.weight, 0.0, 0.3)
    return ConditionalGan(generator, ConditionalGanSettings(discriminator_width=4, **settings))


def genre_batch() -> dict[str, Tensor]:
    return {
        "rolls": rolls(6),
        "genres": torch.tensor([0, 0, 1, 1, 2, 2]),
        "targets": torch.tensor([1, 2, 0, 2, 0, 0]),
    }


def test_notes_are_made_as_they_will_be_played() -> None:
    """A marked onset sounds, sound after silence begins; as decoding to notes and back has it."""
    logits = torch.randn(2, 2, 64, 84, generator=torch.Generator().manual_seed(0))
    logits[:, :, 0] = -1  # whether a note that sounds from the start begins there is not asked
    made = conditional_gan.notes_of_logits(logits, binary=True)
    assert torch.allclose(made, played(rolls(2), logits), atol=1e-6)
    soft = conditional_gan.notes_of_logits(logits, binary=False)
    assert torch.equal(soft[:, 1] > 0.5, made[:, 1] > 0.5)
    assert float(soft[:, 1].min()) > 0 and float(soft.max()) < 1


def test_only_the_ends_of_earlier_notes_are_left_out() -> None:
    roll = torch.zeros(1, 2, 64, 84)
    roll[0, 1, :3, 10] = 1  # the end of an earlier note
    roll[0, 1, :4, 20] = 1  # one that goes on for a beat
    roll[0, 1, :3, 30] = roll[0, 0, 0, 30] = 1  # one that begins
    roll[0, 1, :6, 40] = roll[0, 0, 2, 40] = 1  # an end, and the same pitch anew
    wanted = roll.clone()
    wanted[0, 1, :3, 10] = wanted[0, 1, :2, 40] = 0
    assert torch.equal(conditional_gan.without_tails(roll), wanted)


@pytest.mark.parametrize("binary_from", (0, 1))
def test_every_term_of_the_conditional_model(binary_from: int) -> None:
    objective, given = conditional(binary_from=binary_from, melody=1.0, clash=1.0), genre_batch()
    source = conditional_gan.without_tails(given["rolls"])
    genres, targets = given["genres"], given["targets"]
    with torch.no_grad():
        logits = objective.generator(source, targets)
        binary = conditional_gan.notes_of_logits(logits, binary=True)
        made = binary if binary_from == 0 else conditional_gan.notes_of_logits(logits, binary=False)
        discriminator, classifier = objective.discriminator.eval(), objective.classifier
        assert classifier is not None
        real, false = discriminator(source, genres), discriminator(made, targets)
        distance, generator = losses.note_distance, objective.generator
        wanted = {
            "discriminator": {"hinge": losses.discriminator_hinge(real, false)},
            "classifier": {
                "cross_entropy": functional.cross_entropy(
                    classifier(source), genres, label_smoothing=0.1
                ),
                "accuracy": (classifier(source).argmax(-1) == genres).float().mean(),
            },
            "generator": {
                "adversarial": -(false[0].mean() + false[1].mean()) / 2,
                "harmony": losses.harmony_gap(binary, source),
                "melody": losses.melody_gap(binary, source),
                "clash": losses.clash_gap(binary, source),
                "density": losses.density_gap(binary, source),
                "cycle": distance(generator(made, genres), source),
                "identity": distance(generator(source, genres), source),
                "guidance": functional.cross_entropy(classifier(made), targets),
            },
        }
    found = {turn.group: turn for turn in objective.turns(given, 0, torch.Generator())}
    assert list(found) == list(wanted)
    for group, terms in wanted.items():
        assert {k: float(v.detach()) for k, v in found[group].terms.items()} == pytest.approx(
            {k: float(v) for k, v in terms.items()}, rel=1e-4
        )
    assert set(found["generator"].weights) == set(wanted["generator"])


def test_every_parameter_learns_in_its_turn() -> None:
    objective = conditional(binary_from=0)
    for turn in objective.turns(genre_batch(), 0, torch.Generator()):
        named = dict(objective.networks[turn.group].named_parameters())
        terms = [v for k, v in turn.terms.items() if turn.weights.get(k, 1.0)]
        found = torch.autograd.grad(torch.stack(terms).sum(), list(named.values()))
        for name, gradient in zip(named, found, strict=True):
            assert float(gradient.abs().max()) > 0, name


def test_what_has_no_weight_costs_nothing() -> None:
    objective = conditional(guidance=0.0, cycle=0.0, identity=0.0)
    turns = list(objective.turns(genre_batch(), 0, torch.Generator()))
    assert [turn.group for turn in turns] == ["discriminator", "generator"]
    assert set(turns[1].terms) == {"adversarial", "harmony", "density"}
    assert "classifier" not in objective.networks


@pytest.mark.parametrize("form", ("paper", "conditional"))
def test_previews_show_what_becomes_of_phrases(form: str) -> None:
    objective: Objective = conditional()
    given = genre_batch()
    if form == "paper":
        objective = small()
        given = batch()
    spectrograms = objective.preview(given, torch.Generator()).images
    assert len(spectrograms) == 6
    assert all(spectrogram.shape == (84, 64) for spectrogram in spectrograms.values())
    changed = {name.partition("/")[0] for name in spectrograms}
    for name in changed:
        assert not torch.equal(spectrograms[f"{name}/source"], spectrograms[f"{name}/converted"])


# Batches


def test_pairs_are_balanced_and_mixed_from_all() -> None:
    """As many phrases of each genre as the smallest has; the mixed set draws from each alike."""
    phrases = {"a": phrase_set(40, 1), "b": phrase_set(5, 2), "c": phrase_set(9, 3)}
    batches = PairBatches(phrases, ("a", "b"), 8, 0, mixed=("a", "b", "c"))
    whose = {
        roll.numpy().tobytes(): genre
        for genre, found in phrases.items()
        for roll in torch.from_numpy(found.rolls).float()
    }
    seen_of: dict[str, set[bytes]] = {"a": set(), "b": set(), MIXED: set()}
    for step in range(40):
        found = batches.batch(step)
        assert set(found) == set(seen_of)
        for name, drawn in found.items():
            seen_of[name] |= {roll.numpy().tobytes() for roll in drawn}
    assert {genre: len(seen_of[genre]) for genre in ("a", "b")} == {"a": 5, "b": 5}
    for genre in ("a", "b"):
        assert {whose[roll] for roll in seen_of[genre]} == {genre}
    mixed = [whose[roll] for roll in seen_of[MIXED]]
    assert {genre: mixed.count(genre) for genre in phrases} == {"a": 5, "b": 5, "c": 5}


def test_every_genre_goes_to_every_other() -> None:
    phrases = {genre: phrase_set(3, n) for n, genre in enumerate(GENRES)}
    found = GenreBatches(phrases, 12).batch(0)
    pairs = list(zip(found["genres"].tolist(), found["targets"].tolist(), strict=True))
    assert sorted(set(pairs)) == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    assert all(pairs.count(pair) == 2 for pair in set(pairs))


def test_a_batch_is_a_function_of_its_step() -> None:
    phrases = {genre: phrase_set(7, n) for n, genre in enumerate(GENRES)}
    for one, other in (
        (GenreBatches(phrases, 6, 3), GenreBatches(phrases, 6, 3)),
        (
            PairBatches(phrases, ("pop", "jazz"), 4, 3, mixed=GENRES, transpose=True),
            PairBatches(phrases, ("pop", "jazz"), 4, 3, mixed=GENRES, transpose=True),
        ),
    ):
        first = one.batch(5)
        one.batch(6)
        for name, value in other.batch(5).items():
            assert torch.equal(value, first[name])
        assert any(not torch.equal(v, first[n]) for n, v in one.batch(6).items())


def test_keys_are_the_same_in_every_genre() -> None:
    """One phrase of one note: in each genre all twelve keys come equally often."""
    cell = np.zeros((1, 2, 64, 84), dtype=bool)
    cell[0, :, 0, 40] = True
    one = PhraseSet(np.packbits(cell.reshape(1, -1), axis=1), np.zeros(1, int), ["x"])
    batches = GenreBatches({"a": one, "b": one}, 24)
    keys: dict[int, list[int]] = {0: [], 1: []}
    for step in range(50):
        found = batches.batch(step)
        for roll, genre in zip(found["rolls"], found["genres"].tolist(), strict=True):
            keys[genre].append(int(roll[0, 0].argmax()) - 40)
    for moved in keys.values():
        counts = np.bincount(np.array(moved) - KEYS[0], minlength=12)
        assert len(counts) == 12 and counts.min() >= 25 and counts.max() <= 80  # 50 expected


def test_transposition() -> None:
    roll = rolls(1)[0]
    for semitones in (-6, 0, 5):
        moved = transposed(roll, semitones)
        for pitch in range(84):
            wanted = (
                roll[..., pitch - semitones] if 0 <= pitch - semitones < 84 else 0 * roll[..., 0]
            )
            assert torch.equal(moved[..., pitch], wanted)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: PairBatches(p, ("jazz", "polka"), 4), "genre 'polka' has no archives"),
        (lambda p: GenreBatches(p, 4), "multiple of 6"),
        (lambda p: GenreBatches({"jazz": p["jazz"]}, 4), "multiple of 2"),
    ],
)
def test_batches_that_cannot_be(make: Callable[[Any], Any], words: str) -> None:
    phrases = {genre: phrase_set(3, n) for n, genre in enumerate(GENRES)}
    with pytest.raises(AudioTransferError, match=words):
        make(phrases)


# Weights and styles


@pytest.mark.parametrize(
    "generator",
    [PaperGenerator(("jazz",), 4, 1, 4, 3.0), ConditionalGenerator(GENRES, (4, 6), 1)],
    ids=lambda g: g.kind,
)
def test_weights_come_back(
    generator: PaperGenerator | ConditionalGenerator, tmp_path: Path
) -> None:
    path = tmp_path / "g.safetensors"
    save_generator(path, generator)
    again = load_generator(path)
    assert (again.kind, again.genres, again.channels) == (
        generator.kind, generator.genres, generator.channels,
    )  # fmt: skip
    assert again.shape() == generator.shape()
    for key, value in generator.state_dict().items():
        assert torch.equal(again.state_dict()[key], value.half().float())


def test_foreign_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    with pytest.raises(AudioTransferError, match="cannot be read"):
        load_generator(path)
    save_file({"x": torch.zeros(1)}, str(path), metadata={"generator": '{"kind": "unet"}'})
    with pytest.raises(AudioTransferError, match="holds no MIDI generator"):
        load_generator(path)


def test_published_size_in_half_precision_fits() -> None:
    """The generator that ships, once for each of three styles."""
    generator = ConditionalGenerator(GENRES)
    assert 3 * 2 * sum(p.numel() for p in generator.parameters()) < 4e6


# Recipes


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders named as the configs' archives, with ten pieces each of eight bars of chords, runs or
    both; those of pop have annotated beats.
    """
    place = tmp_path_factory.mktemp("scores")
    for number, name in enumerate(ARCHIVES):
        (place / name).mkdir()
        for piece in range(10):
            score = symusic.Score(480)
            track = symusic.Track(program=0)
            for step in range(0, 128, 2):
                if number != 1 or step % 8 == 0:
                    pitch = 60 + (step * (number + 1) + piece) % 17
                    for above in (0, 4, 7) if number != 2 else (0,):
                        track.notes.append(symusic.Note(120 * step, 240, pitch + above, 80))
            score.tracks.append(track)
            score.time_signatures.append(symusic.TimeSignature(0, 4, 4))
            score.dump_midi(str(place / name / f"{piece}.mid"))
    beats = np.arange(33)
    annotated = {f"{n}_t": 0.5 * beats for n in range(10)}
    annotated |= {f"{n}_f": 2 * (beats % 4 == 0) for n in range(10)}
    np.savez(place / ARCHIVES[2] / "beats.npz", **annotated)
    return place


def changes(section: str, data: Path, *more: str) -> list[str]:
    return [
        f"{section}.data={data}",
        "trainer.steps=2",
        "trainer.workers=0",
        "trainer.warmup=0",
        "trainer.log_every=1",
        "trainer.checkpoint_every=1",
        "trainer.precision=32-true",
        *more,
    ]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.usefixtures("every_branch")
def test_every_config_of_the_paper_becomes_two_styles(
    config: str, data: Path, tmp_path: Path
) -> None:
    toy = ("width=2", "blocks=1", "discriminator_width=2", "batch=2", "settings.pool=3")
    more = [f"genre_gan.{change}" for change in toy]
    figures = recipes.train(config, changes("genre_gan", data, *more), tmp_path / "run")
    assert figures["failed_steps"] == 0 and all(map(math.isfinite, figures.values()))
    for genre in ("jazz", "classical"):
        style = load_style(tmp_path / "run" / genre, route="symbolic")
        card = style.card
        assert card is not None and (card.name, card.steps) == (genre, 2)
        assert card.networks["pitched"]["genres"] == [genre] and card.description
        moved(style.stems["pitched"])


@pytest.mark.usefixtures("every_branch")
def test_the_conditional_config_becomes_three_styles(data: Path, tmp_path: Path) -> None:
    """A classifier chooses the checkpoint, the moving average is what is written."""
    MidiGenreClassifier("beats", GENRES, 4).save(tmp_path / "judge")
    toy = (
        "widths=[4,6]",
        "blocks=1",
        "settings.discriminator_width=2",
        "batch=6",
        "phrases=3",
        f"classifier={tmp_path / 'judge'}",
    )
    more = [f"conditional_gan.{change}" for change in toy]
    run = tmp_path / "run"
    figures = recipes.train(
        "genre-gan-conditional",
        changes("conditional_gan", data, *more, "trainer.validate_every=1"),
        run,
    )
    assert figures["failed_steps"] == 0 and all(map(math.isfinite, figures.values()))
    measured = {"S classifier", "centred content", "density ratio", "diversity", "empty bars", "H"}
    assert {f"validation/{name}" for name in measured} <= set(figures)
    best = load_networks(run / "best")["generator"]
    for genre in GENRES:
        style = load_style(run / genre, route="symbolic")
        assert style.card is not None and style.card.networks["pitched"]["genres"] == list(GENRES)
        entry = style.card.stems["pitched"]
        assert entry is not None
        assert entry.options == {"target": genre, "threshold": 0.0 if genre == "jazz" else 0.1}
        written = load_generator(run / genre / "pitched.safetensors").state_dict()
        assert all(torch.equal(written[k], v.half().float()) for k, v in best.items())
        moved(style.stems["pitched"])


@pytest.mark.usefixtures("every_branch")
def test_the_classifier_that_chooses_is_trained(data: Path, tmp_path: Path) -> None:
    """It hears otherwise than both judges that report."""
    toy = ("midi_classifier.width=4", "midi_classifier.batch=6", "trainer.validate_every=1")
    recipes.train("midi-classifier-beats", changes("midi_classifier", data, *toy), tmp_path)
    classifier = MidiGenreClassifier.load(tmp_path)
    assert classifier.architecture == "beats" and isinstance(classifier.network, BeatClassifier)
    chosen = load_training("genre-gan-conditional").recipe
    assert chosen.classifier == "runs/midi-classifier-beats"


def moved(transfer: Any) -> None:
    """It can be played, and strength 0 leaves all as it is."""
    notes = np.array([[480 * n, 480, 60 + n, 80, 0] for n in range(16)])
    score = symusic.Score(480)
    track = symusic.Track()
    for start, length, pitch, velocity, _ in notes.tolist():
        track.notes.append(symusic.Note(start, length, pitch, velocity))
    score.tracks.append(track)
    grid = Grid.of(score)
    assert np.array_equal(transfer(notes, grid, 0.0), notes)
    assert transfer(notes, grid, 1.0).shape[1] == 5


@pytest.mark.parametrize("config", [*CONFIGS, "genre-gan-conditional"])
def test_every_config_can_be_built_as_it_stands(config: str) -> None:
    found = load_training(config)
    with torch.device("meta"):
        if found.section == "genre_gan":
            objective = genre_gan.build(replace(found.recipe))
            paper = config.endswith("-paper")
            assert paper == (weights_of(objective.generators["jazz"]) == 12_540_032)
            assert paper == (objective.generators["jazz"].passing == 0)
            assert found.recipe.settings.model in (config.rpartition("-")[2], "base")
        else:
            assert found.section == "conditional_gan"
            assert tuple(found.recipe.archives) == GENRES


def test_a_pair_is_two_genres(data: Path, tmp_path: Path) -> None:
    wrong = changes("genre_gan", data, "genre_gan.pair=[jazz,jazz]")
    with pytest.raises(AudioTransferError, match="name two genres of jazz, classical, pop"):
        recipes.train("genre-gan", wrong, tmp_path / "run")


def test_phrases_are_played_by_the_generator_of_their_target() -> None:
    """Whatever the size of the batch; the paper's generator keeps onsets where sound stays."""
    torch.manual_seed(0)
    paper = {genre: PaperGenerator((genre,), 2, 1, 4) for genre in ("jazz", "classical")}
    phrases = rolls(40)
    phrases[:, 1] = torch.maximum(phrases[:, 0], phrases[:, 1])
    made = transfer_by(paper, {})(phrases, "classical")
    alone = transfer_by(paper, {})(phrases[33:34], "classical")
    assert torch.equal(made[33:34], alone) and made.shape == phrases.shape
    with torch.no_grad():
        sound = (paper["classical"](phrases[:, 1:])[:, 0] > 0).float()
    assert torch.equal(made[:, 1], sound)
    assert bool((made[:, 0] >= phrases[:, 0] * sound).all())


def test_shipped_styles_are_found_by_name_and_route() -> None:
    """Jazz for a song and jazz for a score are two styles of one name."""
    for genre in GENRES:
        style = find_style(genre, route="symbolic")
        assert style.card.route == "symbolic" and style.folder.name == f"{genre}-midi"
        check_weights(style.folder, style.card)
        (weights,) = style.card.weights
        assert genre in load_generator(style.folder / weights).genres
        assert style.card.figures and style.card.corpora and style.card.steps > 1000
    assert find_style("jazz").card.route == "spectral"


def test_what_ships_for_midi_is_small() -> None:
    """Eight megabytes for genres, accompaniment and drums: one generator serves all genres."""
    package = SHIPPED.parent.parent
    found = [*SHIPPED.glob("*-midi/*.safetensors"), *SHIPPED.glob("midi/*.safetensors")]
    found += package.glob("symbolic/shipped/*/*.safetensors")
    assert len(found) == 3
    assert sum(path.stat().st_size for path in found) <= 8_000_000
