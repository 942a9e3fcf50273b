"""One generator for all genres: notes are changed where the target's discriminators want it, no
more.

What it adds to the paper's CycleGAN: notes pass to the output in logit space (as in CycleGMT),
onsets beside what sounds, a hinge game with spectral norm on bars and on phrases, one network
steered by the genre (as in StarGAN v2), identity, distances in which sounding cells count more,
penalties on lost melody, harmony and density and on clashes, and made notes that are 0 and 1
before they are judged (straight through, as in BinaryMuseGAN).
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
    GenreListener,
)
from audiotransfer.training import Group, Preview, Turn

_BEAT = 4
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
    """Weights of the terms, when made notes become 0 and 1, and how fast all learn."""

    adversarial: float = 1.0
    cycle: float = 0.5
    identity: float = 0.5
    harmony: float = 3.0
    melody: float = 0.0
    clash: float = 0.0
    density: float = 2.0
    guidance: float = 0.5  # of a listener that learns the genres beside; 0 has none
    binary_from: int = 150  # step
    discriminator_width: int = 32
    generator_rate: float = 3e-4
    discriminator_rate: float = 4e-4
    betas: tuple[float, float] = (0.5, 0.99)


class ConditionalGan:
    """A generator, its discriminator and a listener that guides it.

    A batch: see `GenreBatches`. Turns, at every step: "discriminator", "listener" (where it
    guides), then "generator".
    """

    def __init__(self, generator: ConditionalGenerator, settings: ConditionalGanSettings) -> None:
        genres = len(generator.genres)
        self.generator = generator
        self.discriminator = GenreDiscriminator(genres, settings.discriminator_width)
        self.listener = GenreListener(genres) if settings.guidance else None
        self.settings = settings
        self.networks: dict[str, nn.Module] = {
            "generator": generator,
            "discriminator": self.discriminator,
        }
        self.groups: dict[str, Group] = {
            "generator": Group(("generator",), settings.generator_rate, settings.betas),
            "discriminator": Group(("discriminator",), settings.discriminator_rate, settings.betas),
        }
        if self.listener is not None:
            self.networks["listener"] = self.listener
            self.groups["listener"] = Group(("listener",), 1e-3, (0.9, 0.99), 1e-2)

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """Yield the discriminator's turn, the listener's and the generator's."""
        rolls, genres, targets = settled(batch["rolls"]), batch["genres"], batch["targets"]
        logits = self.generator(rolls, targets)
        heard = played(logits, binary=True)
        made = heard if step >= self.settings.binary_from else played(logits, binary=False)
        yield Turn("discriminator", self.discriminator_terms(rolls, made.detach(), genres, targets))
        if self.listener is not None:
            verdicts = self.listener(rolls).float()
            right = (verdicts.argmax(-1) == genres).float().mean()
            entropy = functional.cross_entropy(verdicts, genres, label_smoothing=0.1)
            yield Turn("listener", {"cross_entropy": entropy, "accuracy": right}, {"accuracy": 0.0})
        yield Turn(
            "generator", self.generator_terms(rolls, made, heard, genres, targets), self.weights()
        )

    def weights(self) -> dict[str, float]:
        """The weight of each of the generator's terms."""
        chosen = asdict(self.settings)
        return {name: chosen[name] for name in _TERMS}

    def discriminator_terms(
        self, rolls: Tensor, made: Tensor, genres: Tensor, targets: Tensor
    ) -> dict[str, Tensor]:
        """Return "hinge": real phrases as their own genre against made ones as the target."""
        return {
            "hinge": hinge(self.discriminator(rolls, genres), self.discriminator(made, targets))
        }

    def generator_terms(
        self, rolls: Tensor, made: Tensor, heard: Tensor, genres: Tensor, targets: Tensor
    ) -> dict[str, Tensor]:
        """Return a term for each weight; what has none is left out.

        Harmony, melody, clashes and density are those of the notes that will be ``heard``: of 0
        and 1.
        """
        chosen = self.settings
        terms = {
            "adversarial": raised(self.discriminator(made, targets)),
            "harmony": harmony_gap(heard, rolls),
            "density": density_gap(heard, rolls),
        }
        if chosen.melody:
            terms["melody"] = melody_gap(heard, rolls)
        if chosen.clash:
            terms["clash"] = clash_gap(heard, rolls)
        if chosen.cycle:
            terms["cycle"] = note_distance(self.generator(made, genres), rolls)
        if chosen.identity:
            terms["identity"] = note_distance(self.generator(rolls, genres), rolls)
        if self.listener is not None:
            terms["guidance"] = functional.cross_entropy(self.listener(made).float(), targets)
        return terms

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """Show the first phrase of each genre and what becomes of it."""
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


def played(logits: Tensor, *, binary: bool) -> Tensor:
    """Logits [B, 2, S, 84] as notes: where one begins it sounds, and where sound follows silence
    one begins. ``binary``: of 0 and 1.
    """
    found = logits.float().sigmoid()
    onsets, sounding = (binarised(found) if binary else found).unbind(1)
    risen = functional.relu(sounding[:, 1:] - sounding[:, :-1])
    begins = torch.maximum(onsets, functional.pad(risen, (0, 0, 1, 0)))
    return torch.stack([begins, torch.maximum(sounding, onsets)], 1)


def settled(rolls: Tensor) -> Tensor:
    """Phrases [B, 2, S, 84] without the last sixteenths of notes that began before them.

    A discriminator of phrases would take them for chords that one may strike at the start. What
    goes on for a beat stays.
    """
    onsets, sounding = rolls.unbind(1)
    going_on = (sounding * (1 - onsets)).cumprod(1)
    tail = going_on * (going_on.sum(1, keepdim=True) < _BEAT)
    return torch.stack([onsets, sounding - tail], 1)


_CAP = 10.0
_CLASSES, _HALF_BAR, _losses_BEAT = 12, 8, 4
_LEEWAY = 0.25
_SPICE = 0.1


def binarised(probabilities: Tensor) -> Tensor:
    """0 and 1, as will be played, with the gradient of the probabilities (straight through)."""
    return (probabilities > 0.5).float() + probabilities - probabilities.detach()


def note_distance(logits: Tensor, roll: Tensor) -> Tensor:
    """Cross-entropy with sounding cells weighted by the silent cells for each, 10 at most, plus
    Dice's distance of both channels.
    """
    logits = logits.float()
    density = roll.mean((0, 2, 3), keepdim=True)
    weight = ((1 - density) / density.clamp(min=1e-6)).clamp(1.0, _CAP)
    entropy = functional.binary_cross_entropy_with_logits(logits, roll, pos_weight=weight)
    made = logits.sigmoid()
    shared = (made * roll).sum((2, 3))
    dice = 1 - (2 * shared + 1) / (made.sum((2, 3)) + roll.sum((2, 3)) + 1)
    return entropy + dice.mean()


def density_gap(made: Tensor, roll: Tensor) -> Tensor:
    """By how many e-foldings phrases have more or fewer notes, or more or less sound, than they
    had; a quarter is free.
    """
    before, after = (value.sum((2, 3)) + 4 for value in (roll, made))
    return functional.relu((after / before).log().abs() - _LEEWAY).mean()


def harmony_gap(made: Tensor, roll: Tensor) -> Tensor:
    """1 - the mean cosine of the pitch classes' shares in half bars, each with its mean removed."""
    one, other = (_harmony(value[:, 1]) for value in (made, roll))
    heard = (other.square().sum(-1) > 0).float()
    cosine = functional.cosine_similarity(one, other, dim=-1, eps=1e-4)
    return 1 - (cosine * heard).sum() / heard.sum().clamp(min=1)


def melody_gap(made: Tensor, roll: Tensor) -> Tensor:
    """The share of the melody that no longer begins, and what begins above it for each of its
    notes. The melody are notes with none above them; half a bar to either side is level with it.
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
    """How many more semitones sound at once, in each sixteenth; a tenth of one is free."""
    before, after = (
        (value[:, 1, :, 1:] * value[:, 1, :, :-1]).sum(-1).mean(-1) for value in (roll, made)
    )
    return functional.relu(after - before - _SPICE).mean()


def _harmony(sounding: Tensor) -> Tensor:
    """[B, S, 84] -> [B, half bars, one every beat; 12]."""
    classes = sounding.float().unflatten(-1, (-1, _CLASSES)).sum(-2)
    shares = classes.unfold(1, _HALF_BAR, _losses_BEAT).mean(-1)
    return shares - shares.mean(-1, keepdim=True)


def hinge(real: tuple[Tensor, ...], made: tuple[Tensor, ...]) -> Tensor:
    """What a discriminator descends who gives verdicts at several scales: their mean."""
    losses = [
        0.5 * (functional.relu(1 - true.float()).mean() + functional.relu(1 + false.float()).mean())
        for true, false in zip(real, made, strict=True)
    ]
    return torch.stack(losses).mean()


def raised(made: tuple[Tensor, ...]) -> Tensor:
    """What a generator descends against such a discriminator."""
    return -torch.stack([verdict.float().mean() for verdict in made]).mean()
