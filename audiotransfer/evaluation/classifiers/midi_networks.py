"""Networks of the MIDI classifiers: convolutions over octaves, histograms of notes, a GRU."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotransfer.midi.piano_rolls import BAR, ONSET, SOUND

_LEAK = 0.2
LAGS = 16
REACH = 20
_LENGTHS = (2, 3, 4, 6, 8, 12, 16)
_TOGETHER, _SOUNDING, _SPREAD = 6, 8, 25
_SPREAD_SEMITONES = 3
COUNTS = LAGS * (2 * REACH + 1) + BAR * (len(_LENGTHS) + 1) + _TOGETHER + _SOUNDING + _SPREAD
"""Number of features of a phrase."""


class OctaveClassifier(nn.Module):
    """The classifier of Brunner et al. (2018): phrases [B, 2, 64, 84] -> logits [B, genres].

    Its input is what sounds, as -1 and +1. The first layer spans an octave, the others only time;
    convolutions without bias, instance norm, leaky ReLU. 1.15 M parameters at ``width`` 64, the
    published size.
    """

    def __init__(self, genres: int, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, (1, 12), (1, 12), bias=False),
            nn.LeakyReLU(_LEAK),
            *_layer(width, 2 * width, 4),
            *_layer(2 * width, 4 * width, 2),
            *_layer(4 * width, 8 * width, 8),
            nn.Conv2d(8 * width, genres, (1, 7), (1, 7), bias=False),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, 0.0, 0.02)

    def forward(self, phrases: Tensor) -> Tensor:
        return cast(Tensor, self.layers(2 * phrases[:, [SOUND]] - 1)).flatten(1)


class CountingClassifier(nn.Module):
    """A hidden layer on histograms (`counts`): phrases [B, 2, S, 84] -> logits [B, genres].

    Histograms do not change under small edits that mislead a convolution.
    """

    def __init__(self, genres: int, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Dropout(0.3),
            nn.Linear(COUNTS, width),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(width, genres),
        )

    def forward(self, phrases: Tensor) -> Tensor:
        return cast(Tensor, self.layers(counts(phrases)))


class BeatClassifier(nn.Module):
    """A GRU over beats and the mean of its states: phrases [B, 2, S, 84] -> logits [B, genres]."""

    def __init__(self, genres: int, width: int = 64) -> None:
        super().__init__()
        self.beat = nn.Linear(8 * 84, width)
        self.memory = nn.GRU(width, width, batch_first=True)
        self.name = nn.Linear(width, genres)

    def forward(self, phrases: Tensor) -> Tensor:
        batch, channels, steps, pitches = phrases.shape
        beats = phrases.view(batch, channels, steps // 4, 4 * pitches).transpose(1, 2).flatten(2)
        states, _ = self.memory(F.relu(self.beat(beats)))
        return cast(Tensor, self.name(states.mean(1)))


NETWORKS: dict[str, Callable[[int, int], nn.Module]] = {
    "octaves": OctaveClassifier,
    "counts": CountingClassifier,
    "beats": BeatClassifier,
}
"""Architecture -> network: (number of genres, width) -> module on phrases [B, 2, S, 84]."""


def _layer(before: int, after: int, steps: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(before, after, (steps, 1), (steps, 1), bias=False),
        nn.InstanceNorm2d(after, affine=True),
        nn.LeakyReLU(_LEAK),
    )


def counts(phrases: Tensor) -> Tensor:
    """Histogram features of phrases [B, 2, S, 84] of 0 and 1 (onsets, what sounds): [B, COUNTS].

    Five histograms, as square roots of shares: onset differences up to four beats by
    intervals up to 20 semitones (as in Groove2Groove's style profile), onset in the bar by length,
    notes struck together, notes sounding together, and distance from the phrase's mean pitch in
    steps of three semitones. All are 0 for silence.
    """
    onsets, sounding = phrases[:, ONSET] > 0.5, phrases[:, SOUND] > 0.5
    histograms = (
        intervals(onsets).flatten(1),
        rhythm(onsets, sounding).flatten(1),
        _how_many(onsets, _TOGETHER),
        _how_many(sounding, _SOUNDING),
        _around_the_mean(onsets),
    )
    return torch.cat([_shares(found) for found in histograms], dim=1)


def intervals(onsets: Tensor) -> Tensor:
    """Pairs of notes by onset difference and interval: onsets [B, S, 84] -> [B, 16, 41].

    Differences are 0 to 15 sixteenths, intervals -20 to 20 semitones; of notes struck together only
    upward intervals count. Computed as an autocorrelation by FFT.
    """
    steps, pitches = onsets.shape[-2:]
    size = (steps + LAGS, pitches + REACH)  # so that no lag wraps around
    spectrum = torch.fft.rfft2(onsets.float(), s=size)
    found = torch.fft.irfft2(spectrum.abs().square(), s=size).round()
    found = torch.cat([found[..., :LAGS, -REACH:], found[..., :LAGS, : REACH + 1]], dim=-1)
    found[:, 0, : REACH + 1] = 0
    return found


def rhythm(onsets: Tensor, sounding: Tensor) -> Tensor:
    """Notes by onset in the bar and by length: [B, 16, 8].

    Length classes end below 2, 3, 4, 6, 8, 12 and 16 sixteenths; the last holds longer notes.
    """
    steps = onsets.shape[1]
    length = torch.zeros_like(onsets[:, 0], dtype=torch.int64)
    lengths = torch.zeros_like(onsets, dtype=torch.int64)
    for step in reversed(range(steps)):
        length = torch.where(sounding[:, step], length + 1, 0)
        lengths[:, step] = length
        length = torch.where(onsets[:, step], 0, length)
    edges = torch.tensor(_LENGTHS, device=onsets.device)
    phrase, begin, pitch = onsets.nonzero(as_tuple=True)
    kind = torch.bucketize(lengths[phrase, begin, pitch], edges, right=True)
    found = torch.zeros(len(onsets), BAR, len(_LENGTHS) + 1, device=onsets.device)
    ones = torch.ones(len(phrase), device=onsets.device)
    return found.index_put_((phrase, begin % BAR, kind), ones, accumulate=True)


def _how_many(cells: Tensor, most: int) -> Tensor:
    """Histogram over steps of the number of set cells [B, S, 84]: [B, most]."""
    number = cells.sum(dim=-1).clamp(max=most - 1)
    found = F.one_hot(number, most).sum(dim=1).float()
    return found * cells.any(dim=(1, 2))[:, None]


def _around_the_mean(onsets: Tensor) -> Tensor:
    """Histogram of the distance of onsets [B, S, 84] from their mean pitch: [B, bins]."""
    notes = onsets.sum(dim=1).float()
    pitch = torch.arange(notes.shape[-1], device=notes.device)
    mean = (notes @ pitch.float()) / notes.sum(dim=1).clamp(min=1)
    middle = _SPREAD // 2
    bins = ((pitch - mean[:, None]) / _SPREAD_SEMITONES).round().long() + middle
    found = torch.zeros(len(notes), _SPREAD, device=notes.device)
    return found.scatter_add_(1, bins.clamp(0, _SPREAD - 1), notes)


def _shares(histogram: Tensor) -> Tensor:
    """Square roots of shares, whose Euclidean distance is Hellinger's."""
    return (histogram / histogram.sum(dim=1, keepdim=True).clamp(min=1)).sqrt()
