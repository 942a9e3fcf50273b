"""A conditional GAN between any number of genres of phrases, with one generator.

Differences from the CycleGAN of Brunner et al.: a skip connection of the notes to the output in
logit space (as in CycleGMT), onsets as a second channel, hinge losses and spectral norm on bars and
on phrases, one network conditioned on the genre (as in StarGAN v2), an identity loss, distances
weighted by sparsity, penalties on changes of melody, harmony, density and dissonance, and binary
notes before the discriminator (straight-through, as in BinaryMuseGAN).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from audiotransfer.symbolic.genre.conditional_networks import (
    ConditionalGenerator,
    GenreDiscriminator,
    PhraseClassifier,
)
from audiotransfer.training import Group, Preview, Turn

_CLASSES, _HALF_BAR, _BEAT = 12, 8, 4
_MOST_WEIGHT = 10.0  # of a sounding cell
_FREE_DENSITY = 0.25  # e-foldings
_FREE_CLASH = 0.1  # semitones a sixteenth
_TERMS = (
    "adversarial",
    "cycle",
    "identity",
    "harmony",
    "melody",
    "clash",
    "density",
    "guidance",
)


@dataclass(frozen=True)
class ConditionalGanSettings:
    """Weights of the loss terms, start of binary notes, sizes and learning rates."""

    adversarial: float = 1.0
    cycle: float = 0.5
    identity: float = 0.5
    harmony: float = 3.0
    melody: float = 0.0
    clash: float = 0.0
    density: float = 2.0
    guidance: float = 0.5  # of a genre classifier that is trained alongside; 0 has none
    binary_from: int = 150  # step from which the discriminator gets notes of 0 and 1
    discriminator_width: int = 32
    generator_rate: float = 3e-4
    discriminator_rate: float = 4e-4
    betas: tuple[float, float] = (0.5, 0.99)


class ConditionalGan:
    """A conditional generator, a discriminator, and a genre classifier whose loss guides it.

    A batch: see `GenreBatches`. Turns, at every step: "discriminator", "classifier" (with
    ``guidance``), then "generator".
    """

    def __init__(self, generator: ConditionalGenerator, settings: ConditionalGanSettings) -> None:
        genres = len(generator.genres)
        self.generator = generator
        self.discriminator = GenreDiscriminator(genres, settings.discriminator_width)
        self.classifier = PhraseClassifier(genres) if settings.guidance else None
        self.settings = settings
        self.networks: dict[str, nn.Module] = {
            "generator": generator,
            "discriminator": self.discriminator,
        }
        self.groups: dict[str, Group] = {
            "generator": Group(("generator",), settings.generator_rate, settings.betas),
            "discriminator": Group(("discriminator",), settings.discriminator_rate, settings.betas),
        }
        if self.classifier is not None:
            self.networks["classifier"] = self.classifier
            self.groups["classifier"] = Group(("classifier",), 1e-3, (0.9, 0.99), 1e-2)

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """Yields the discriminator's turn, the classifier's and the generator's."""
        rolls, genres, targets = without_tails(batch["rolls"]), batch["genres"], batch["targets"]
        logits = self.generator(rolls, targets)
        binary = notes_of_logits(logits, binary=True)
        made = (
            binary if step >= self.settings.binary_from else notes_of_logits(logits, binary=False)
        )
        yield Turn("discriminator", self.discriminator_terms(rolls, made.detach(), genres, targets))
        if self.classifier is not None:
            predicted = self.classifier(rolls).float()
            right = (predicted.argmax(-1) == genres).float().mean()
            entropy = functional.cross_entropy(predicted, genres, label_smoothing=0.1)
            yield Turn(
                "classifier", {"cross_entropy": entropy, "accuracy": right}, {"accuracy": 0.0}
            )
        yield Turn(
            "generator", self.generator_terms(rolls, made, binary, genres, targets), self.weights()
        )

    def weights(self) -> dict[str, float]:
        """The weight of each of the generator's terms."""
        chosen = asdict(self.settings)
        return {name: chosen[name] for name in _TERMS}

    def discriminator_terms(
        self, rolls: Tensor, made: Tensor, genres: Tensor, targets: Tensor
    ) -> dict[str, Tensor]:
        """The term "hinge": real phrases of their genre against generated ones of the target."""
        return {
            "hinge": discriminator_hinge(
                self.discriminator(rolls, genres), self.discriminator(made, targets)
            )
        }

    def generator_terms(
        self, rolls: Tensor, made: Tensor, binary: Tensor, genres: Tensor, targets: Tensor
    ) -> dict[str, Tensor]:
        """The generator's terms of weights other than 0.

        Harmony, melody, clashes and density are computed from ``binary`` notes, of 0 and 1.
        """
        chosen = self.settings
        terms = {
            "adversarial": generator_hinge(self.discriminator(made, targets)),
            "harmony": harmony_gap(binary, rolls),
            "density": density_gap(binary, rolls),
        }
        if chosen.melody:
            terms["melody"] = melody_gap(binary, rolls)
        if chosen.clash:
            terms["clash"] = clash_gap(binary, rolls)
        if chosen.cycle:
            terms["cycle"] = note_distance(self.generator(made, genres), rolls)
        if chosen.identity:
            terms["identity"] = note_distance(self.generator(rolls, genres), rolls)
        if self.classifier is not None:
            terms["guidance"] = functional.cross_entropy(self.classifier(made).float(), targets)
        return terms

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """The first phrase of each genre and its transferred version."""
        images = {}
        genres = batch["genres"].tolist()
        for number, genre in enumerate(self.generator.genres):
            place = genres.index(number)
            roll, target = (batch[name][place : place + 1] for name in ("rolls", "targets"))
            made = self.generator(roll, target).float().sigmoid()
            name = f"{genre} to {self.generator.genres[int(target)]}"
            images[f"{name}/source"] = roll[0, 1].T
            images[f"{name}/converted"] = made[0, 1].T
        return Preview(images)


def notes_of_logits(logits: Tensor, *, binary: bool) -> Tensor:
    """Logits [B, 2, S, 84] as consistent notes: onsets sound, and sound after silence is an onset.

    ``binary``: cells of 0 and 1.
    """
    shares = logits.float().sigmoid()
    onsets, sounding = (binarised(shares) if binary else shares).unbind(1)
    risen = functional.relu(sounding[:, 1:] - sounding[:, :-1])
    begins = torch.maximum(onsets, functional.pad(risen, (0, 0, 1, 0)))
    return torch.stack([begins, torch.maximum(sounding, onsets)], 1)


def without_tails(rolls: Tensor) -> Tensor:
    """Phrases [B, 2, S, 84] without notes of less than a beat that began before the phrase.

    Their ends would look to the discriminator like short chords at the start of a phrase.
    """
    onsets, sounding = rolls.unbind(1)
    going_on = (sounding * (1 - onsets)).cumprod(1)
    tail = going_on * (going_on.sum(1, keepdim=True) < _BEAT)
    return torch.stack([onsets, sounding - tail], 1)


def binarised(probabilities: Tensor) -> Tensor:
    """Probabilities rounded to 0 and 1, with their own gradient (straight-through)."""
    return (probabilities > 0.5).float() + probabilities - probabilities.detach()


def note_distance(logits: Tensor, roll: Tensor) -> Tensor:
    """Weighted binary cross-entropy plus Dice loss of both channels.

    A sounding cell weighs as much as the silent cells per sounding one, at most 10.
    """
    logits = logits.float()
    density = roll.mean((0, 2, 3), keepdim=True)
    weight = ((1 - density) / density.clamp(min=1e-6)).clamp(1.0, _MOST_WEIGHT)
    entropy = functional.binary_cross_entropy_with_logits(logits, roll, pos_weight=weight)
    made = logits.sigmoid()
    shared = (made * roll).sum((2, 3))
    dice = 1 - (2 * shared + 1) / (made.sum((2, 3)) + roll.sum((2, 3)) + 1)
    return entropy + dice.mean()


def density_gap(made: Tensor, roll: Tensor) -> Tensor:
    """Absolute log ratio of the numbers of onsets and of sounding cells, less 0.25."""
    before, after = (value.sum((2, 3)) + 4 for value in (roll, made))
    return functional.relu((after / before).log().abs() - _FREE_DENSITY).mean()


def harmony_gap(made: Tensor, roll: Tensor) -> Tensor:
    """1 - mean cosine of centred chroma in half bars."""
    one, other = (_harmony(value[:, 1]) for value in (made, roll))
    defined = (other.square().sum(-1) > 0).float()
    cosine = functional.cosine_similarity(one, other, dim=-1, eps=1e-4)
    return 1 - (cosine * defined).sum() / defined.sum().clamp(min=1)


def melody_gap(made: Tensor, roll: Tensor) -> Tensor:
    """Share of the melody's onsets that are lost, plus new onsets above it per melody note.

    The melody is the highest notes; new notes count as above it where they are above all notes
    within half a bar.
    """
    onsets, sounding = roll.unbind(1)
    at_or_above = sounding.flip(-1).cumsum(-1).flip(-1)
    melody = onsets * (at_or_above == 1)
    count = melody.sum((1, 2)).clamp(min=1)
    below = functional.max_pool2d(
        (at_or_above > 0).float(), (2 * _HALF_BAR + 1, 1), 1, (_HALF_BAR, 0)
    )
    lost = 1 - (melody * made[:, 0]).sum((1, 2)) / count
    above = (made[:, 0] * (1 - below)).sum((1, 2)) / count
    return (lost + above).mean()


def clash_gap(made: Tensor, roll: Tensor) -> Tensor:
    """Increase of simultaneous semitones per sixteenth, less 0.1 that is free."""
    before, after = (
        (value[:, 1, :, 1:] * value[:, 1, :, :-1]).sum(-1).mean(-1) for value in (roll, made)
    )
    return functional.relu(after - before - _FREE_CLASH).mean()


def _harmony(sounding: Tensor) -> Tensor:
    """Centred chroma of half bars, one every beat: [B, S, 84] -> [B, W, 12]."""
    classes: Tensor = sounding.float().unflatten(-1, (-1, _CLASSES)).sum(-2)
    shares = classes.unfold(1, _HALF_BAR, _BEAT).mean(-1)
    return shares - shares.mean(-1, keepdim=True)


def discriminator_hinge(real: tuple[Tensor, ...], made: tuple[Tensor, ...]) -> Tensor:
    """Hinge loss of a discriminator, mean over the scales of its outputs."""
    losses = [
        0.5 * (functional.relu(1 - true.float()).mean() + functional.relu(1 + false.float()).mean())
        for true, false in zip(real, made, strict=True)
    ]
    return torch.stack(losses).mean()


def generator_hinge(made: tuple[Tensor, ...]) -> Tensor:
    """Hinge loss of a generator, mean over the scales of the discriminator's outputs."""
    return -torch.stack([output.float().mean() for output in made]).mean()
