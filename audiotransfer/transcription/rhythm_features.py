"""Log-frequency levels for rhythm: sharp in time over all bands, sharp in pitch in the low ones."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from vocoder.mel import filterbank

#: Sample rate of the features' input in Hz, and samples and seconds from frame to frame.
RHYTHM_RATE = 22_050
HOP = 256
#: Frames a second.
FRAME_RATE = RHYTHM_RATE / HOP
#: Mel bands, and semitone bands with the MIDI pitch of the first.
MEL_BANDS, SEMITONES, LOWEST_SEMITONE = 80, 48, 28
BANDS = MEL_BANDS + SEMITONES
_SHORT, _LONG = 1024, 4096  # samples of the two windows
_HALF = _LONG // 2
_LOWEST_HZ, _HIGHEST_HZ = 30.0, 10_500.0
_RANGE = 90.0  # dB below full scale at which a level is 0
_BLOCK = 2048  # frames transformed at once


class RhythmFeatures:
    """Levels of `BANDS` bands, frame by frame, of mono samples at 22.05 kHz pushed in blocks.

    Frame l is centred on sample ``l * HOP``. The first `MEL_BANDS` bands are mel bands of 46 ms
    windows, which show drum hits; the others are semitones of 186 ms windows, which show the bass
    and changes of harmony. A level of 1 is full scale, 0 is 90 dB below or less.
    """

    def __init__(self) -> None:
        self._held = torch.zeros(_HALF)  # samples from `_HALF` before the next frame's centre
        self._taken = self._given = 0

    def push(self, samples: Tensor) -> Tensor:
        """Takes samples ``[t]`` and returns the levels ``[BANDS, l]`` of the finished frames."""
        self._taken += len(samples)
        self._held = torch.cat([self._held, samples.detach().float()])
        return self._frames((len(self._held) - _LONG) // HOP + 1)

    def finish(self) -> Tensor:
        """The levels ``[BANDS, l]`` of the remaining frames; in all ``ceil(T / HOP)``."""
        missing = -(-self._taken // HOP) - self._given
        self._held = torch.cat([self._held, torch.zeros(_LONG)])
        return self._frames(missing)

    def _frames(self, count: int) -> Tensor:
        blocks = []
        for first in range(0, max(count, 0), _BLOCK):
            number = min(_BLOCK, count - first)
            span = self._held[first * HOP : (first + number - 1) * HOP + _LONG]
            blocks.append(_levels(span.unfold(0, _LONG, HOP)))
        if count > 0:
            self._held = self._held[count * HOP :].clone()
            self._given += count
        return torch.cat(blocks, 1) if blocks else torch.zeros(BANDS, 0)


def rhythm_features(samples: Tensor) -> Tensor:
    """The levels ``[BANDS, L]`` of a whole recording, mono ``[T]`` at 22.05 kHz."""
    features = RhythmFeatures()
    return torch.cat([features.push(samples), features.finish()], 1)


def _levels(frames: Tensor) -> Tensor:
    """Levels ``[BANDS, l]`` of frames ``[l, _LONG]``."""
    middle = frames[:, (_LONG - _SHORT) // 2 : (_LONG + _SHORT) // 2]
    mel, semitones = _weights()
    bands = torch.cat([_magnitudes(middle) @ mel, _magnitudes(frames) @ semitones], 1)
    decibels = 20 * torch.log10(bands.clamp(min=1e-6))
    levels: Tensor = (1 + decibels / _RANGE).clamp_(0, 1).T.contiguous()
    return levels


def _magnitudes(frames: Tensor) -> Tensor:
    """Magnitude spectra of frames under a Hann window; a sine of amplitude 1 peaks at 1."""
    window = _window(frames.shape[1])
    magnitudes: Tensor = torch.fft.rfft(frames * window).abs() * (2 / window.sum())
    return magnitudes


@lru_cache(maxsize=2)
def _window(length: int) -> Tensor:
    with torch.inference_mode(False):
        return torch.hann_window(length)


@lru_cache(maxsize=1)
def _weights() -> tuple[Tensor, Tensor]:
    """Weights of the mel bands and of the semitones, ``[F, bands]``, each band's with sum 1."""
    with torch.inference_mode(False):
        cpu = torch.device("cpu")
        mel = filterbank(RHYTHM_RATE, _SHORT, MEL_BANDS, _LOWEST_HZ, _HIGHEST_HZ, cpu)
        spacing = RHYTHM_RATE / _LONG
        hz = torch.arange(_HALF + 1) * spacing
        pitches = LOWEST_SEMITONE + torch.arange(SEMITONES)
        centres = 440 * 2 ** ((pitches - 69) / 12)
        # Low semitones are narrower than the bins: there the triangle is widened to a bin's width.
        widths = (centres * (2 ** (1 / 12) - 1)).clamp(min=1.5 * spacing)
        semitones = (1 - (hz[:, None] - centres).abs() / widths).clamp(min=0)
        return mel / mel.sum(0), semitones / semitones.sum(0)
