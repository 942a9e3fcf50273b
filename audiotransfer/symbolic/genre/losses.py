"""What may be asked of made notes besides looking real: rolls [B, 2, S, 84] against rolls.

Notes are rare: at a twentieth of the cells silence is a cheap answer to a plain distance, which is
why what sounds counts more here than what does not.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_CAP = 10.0
_CLASSES, _HALF_BAR, _BEAT = 12, 8, 4
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
    shares = classes.unfold(1, _HALF_BAR, _BEAT).mean(-1)
    return shares - shares.mean(-1, keepdim=True)


def hinge(real: tuple[Tensor, ...], made: tuple[Tensor, ...]) -> Tensor:
    """What a critic descends who gives verdicts at several scales: their mean."""
    losses = [
        0.5 * (functional.relu(1 - true.float()).mean() + functional.relu(1 + false.float()).mean())
        for true, false in zip(real, made, strict=True)
    ]
    return torch.stack(losses).mean()


def raised(made: tuple[Tensor, ...]) -> Tensor:
    """What a generator descends against such a critic."""
    return -torch.stack([verdict.float().mean() for verdict in made]).mean()
