"""What a score kept and what became of its notes, on piano rolls of sixteenths.

A roll is [.., 2, S, 84] of 0 and 1: channel 0 says where a note begins, channel 1 where one sounds;
S sixteenths, pitches from C1 up. Every figure is one number a roll.
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
    """Notes that sound in each pitch class, averaged over two beats, every beat: [.., W, 12].

    A roll shorter than two beats has one window, filled up with silence.
    """
    sounding = rolls[..., SOUND, :, :].float()
    steps, pitches = sounding.shape[-2:]
    classes = sounding.unflatten(-1, (pitches // _CLASSES, _CLASSES)).sum(dim=-2)
    if steps < _WINDOW:
        classes = F.pad(classes, (0, 0, 0, _WINDOW - steps))
    return classes.unfold(-2, _WINDOW, _STRIDE).mean(dim=-1)


def content(source: Tensor, output: Tensor) -> Tensor:
    """Chroma similarity (Groove2Groove, Cífka et al. 2020): the harmony that stayed, 0..1.

    Mean cosine of the two chromas over windows in which either sounds, [..]; NaN where none does.
    """
    return _similarity(chroma(source), chroma(output), centred=False)


def centred_content(source: Tensor, output: Tensor) -> Tensor:
    """The same with each window's mean over the 12 classes removed, -1..1: chance is about 0."""
    return _similarity(chroma(source), chroma(output), centred=True)


def note_f1(source: Tensor, output: Tensor) -> Tensor:
    """F1 of notes that begin at the same sixteenth with the same pitch; NaN for two silences."""
    before, after = (roll[..., ONSET, :, :].bool() for roll in (source, output))
    shared = (before & after).sum(dim=(-2, -1))
    return 2 * shared / (before.sum(dim=(-2, -1)) + after.sum(dim=(-2, -1)))


def density_ratio(source: Tensor, output: Tensor) -> Tensor:
    """Notes out / notes in; NaN where no note went in."""
    before, after = (note_counts(roll) for roll in (source, output))
    return torch.where(before > 0, after / before.clamp(min=1), torch.nan)


def note_counts(rolls: Tensor) -> Tensor:
    """How many notes begin: [..]."""
    return rolls[..., ONSET, :, :].bool().sum(dim=(-2, -1))


def empty_bar_rate(rolls: Tensor) -> Tensor:
    """Share of bars of 16 sixteenths in which nothing sounds; what is no whole bar is left out."""
    sounding = rolls[..., SOUND, :, :].bool().any(dim=-1)
    bars = sounding.shape[-1] // BAR
    if bars == 0:
        raise AudioTransferError(f"{sounding.shape[-1]} sixteenths are no bar: give 16 or more")
    return (~sounding[..., : bars * BAR].unflatten(-1, (bars, BAR)).any(dim=-1)).float().mean(-1)


def spread(rolls: Tensor) -> float:
    """Mean pairwise Hamming distance of phrases [N, 2, S, 84]: the share of cells that differ in
    what sounds. Two phrases or more; many phrases that are all alike give 0.
    """
    cells = rolls[:, SOUND].flatten(1).float()
    if len(cells) < 2:
        raise AudioTransferError(f"{len(cells)} phrases have no distance: give two or more")
    # Cells that i of N phrases hold differ between i(N - i) of the pairs.
    held = cells.sum(dim=0, dtype=torch.float64)
    pairs = len(cells) * (len(cells) - 1) / 2
    return float((held * (len(cells) - held)).mean() / pairs)


def copies(outputs: Tensor, training: Tensor) -> Tensor:
    """Which phrases [N, 2, S, 84] stand in the training set [M, 2, S, 84], in whatever key: [N].

    A silent phrase is no copy.
    """
    known = {_in_any_key(phrase) for phrase in training}
    found = [bool(phrase.any()) and _in_any_key(phrase) in known for phrase in outputs]
    return torch.tensor(found, dtype=torch.bool)


def _similarity(one: Tensor, other: Tensor, *, centred: bool) -> Tensor:
    heard = (one.sum(dim=-1) > 0) | (other.sum(dim=-1) > 0)
    if centred:
        one, other = (value - value.mean(dim=-1, keepdim=True) for value in (one, other))
    cosine = F.cosine_similarity(one, other, dim=-1)
    return torch.where(heard, cosine, torch.nan).nanmean(dim=-1)


def _in_any_key(phrase: Tensor) -> bytes:
    """The notes of a phrase [2, S, 84] as bytes that do not change when it is transposed."""
    cells = phrase.bool().nonzero()
    if len(cells):
        cells[:, 2] -= cells[:, 2].min()
    return cells.to(torch.int16).numpy().tobytes()
