"""Metrics on piano rolls: content, note F1, density, empty bars, diversity, copies.

A roll is [.., 2, S, 84] of 0 and 1: channel 0 holds onsets, channel 1 sounding notes, over S
sixteenths and pitches from C1 up. Metrics give one number for each roll.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from audiotransfer.errors import AudioTransferError
from audiotransfer.midi.piano_rolls import BAR, ONSET, SOUND

_CLASSES = 12
# A moving average of 24 frames every 12 at 12 frames a beat is, on sixteenths, one of 8 every 4.
_WINDOW, _STRIDE = 8, 4


def chroma(rolls: Tensor) -> Tensor:
    """Number of sounding notes per pitch class, mean over two beats, every beat: [.., W, 12].

    A roll shorter than two beats has one window, padded with silence.
    """
    sounding = rolls[..., SOUND, :, :].float()
    steps, pitches = sounding.shape[-2:]
    classes: Tensor = sounding.unflatten(-1, (pitches // _CLASSES, _CLASSES)).sum(dim=-2)
    if steps < _WINDOW:
        classes = F.pad(classes, (0, 0, 0, _WINDOW - steps))
    return classes.unfold(-2, _WINDOW, _STRIDE).mean(dim=-1)


def content(source: Tensor, output: Tensor) -> Tensor:
    """Chroma similarity (Groove2Groove, Cífka et al. 2020), 0..1.

    Mean cosine of the two chromas over windows in which either sounds, [..]; NaN where none does.
    """
    return _similarity(chroma(source), chroma(output), centred=False)


def centred_content(source: Tensor, output: Tensor) -> Tensor:
    """`content` with each window's mean over the 12 classes removed, -1..1: about 0 by chance."""
    return _similarity(chroma(source), chroma(output), centred=True)


def note_f1(source: Tensor, output: Tensor) -> Tensor:
    """F1 of notes of the same onset (sixteenth) and pitch; NaN for two silences."""
    before, after = (roll[..., ONSET, :, :].bool() for roll in (source, output))
    shared = (before & after).sum(dim=(-2, -1))
    return 2 * shared / (before.sum(dim=(-2, -1)) + after.sum(dim=(-2, -1)))


def density_ratio(source: Tensor, output: Tensor) -> Tensor:
    """Notes of the output / notes of the source; NaN where the source has none."""
    before, after = (note_counts(roll) for roll in (source, output))
    return torch.where(before > 0, after / before.clamp(min=1), torch.nan)


def note_counts(rolls: Tensor) -> Tensor:
    """Number of onsets: [..]."""
    return rolls[..., ONSET, :, :].bool().sum(dim=(-2, -1))


def empty_bar_rate(rolls: Tensor) -> Tensor:
    """Share of bars of 16 sixteenths in which nothing sounds; an incomplete bar is left out."""
    sounding = rolls[..., SOUND, :, :].bool().any(dim=-1)
    bars = sounding.shape[-1] // BAR
    if bars == 0:
        raise AudioTransferError(f"{sounding.shape[-1]} sixteenths are no bar: give 16 or more")
    filled: Tensor = sounding[..., : bars * BAR].unflatten(-1, (bars, BAR)).any(dim=-1)
    return (~filled).float().mean(-1)


def spread(rolls: Tensor) -> float:
    """Mean pairwise Hamming distance of phrases [N, 2, S, 84]: the share of sounding cells that
    differ. Equal phrases give 0. Raises AudioTransferError for fewer than two.
    """
    cells = rolls[:, SOUND].flatten(1).float()
    if len(cells) < 2:
        raise AudioTransferError(f"{len(cells)} phrases have no distance: give two or more")
    # Cells that i of N phrases hold differ between i(N - i) of the pairs.
    held = cells.sum(dim=0, dtype=torch.float64)
    pairs = len(cells) * (len(cells) - 1) / 2
    return float((held * (len(cells) - held)).mean() / pairs)


def copies(outputs: Tensor, training: Tensor) -> Tensor:
    """Mask [N] of phrases [N, 2, S, 84] that are in the training set [M, 2, S, 84] in any key.

    A silent phrase is no copy.
    """
    known = {_in_any_key(phrase) for phrase in training}
    found = [bool(phrase.any()) and _in_any_key(phrase) in known for phrase in outputs]
    return torch.tensor(found, dtype=torch.bool)


def _similarity(one: Tensor, other: Tensor, *, centred: bool) -> Tensor:
    sounding = (one.sum(dim=-1) > 0) | (other.sum(dim=-1) > 0)
    if centred:
        one, other = (value - value.mean(dim=-1, keepdim=True) for value in (one, other))
    cosine = F.cosine_similarity(one, other, dim=-1)
    return torch.where(sounding, cosine, torch.nan).nanmean(dim=-1)


def _in_any_key(phrase: Tensor) -> bytes:
    """The notes of a phrase [2, S, 84] as bytes that do not change when it is transposed."""
    cells = phrase.bool().nonzero()
    if len(cells):
        cells[:, 2] -= cells[:, 2].min()
    return cells.to(torch.int16).numpy().tobytes()
