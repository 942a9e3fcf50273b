"""The singer that is kept: the separated voice without what is left of the old band in it.

Separators leave accompaniment in the vocals and take partials of the voice away. The lead sheet
knows where somebody sings, the sung notes and those of the accompaniment: the mask that turned the
mix into the vocals is raised where the voice has its partials and lowered elsewhere (score-informed
source separation; Ewert, Pardo, Müller and Plumbley 2014).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from audiotransfer.audio.resampling import STEREO_RATE
from audiotransfer.leadsheet.spans import joined
from separation.stft import HOP_LENGTH, N_FFT, istft, stft

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiotransfer.leadsheet import LeadSheet, Note

_BEFORE, _AFTER = 0.25, 0.35  # seconds by which sung spans are longer: breaths, and ends in a room
_RISE, _FALL = 0.08, 0.3  # seconds of the ramps outside of that
_PAUSE = 0.8  # seconds: shorter rests are breaths
_RAISED = 0.8  # exponent by which the mask goes towards 1 at partials of the voice
_FLOOR = 0.7  # least of the mask there, where the note is sure: separators lose whole phrases
_LOWERED = 0.35  # share that is taken away between its partials
_OLD = 0.8  # and where notes of the accompaniment have partials
_MAKEUP = 1.12  # 1 dB: what all this takes from the voice itself, .6 to 1.0 dB on four songs
_TO_HZ = 5000.0  # where partials of a voice can be told apart
_LOW_HZ = 80.0  # below which nobody sings
_EARLY, _LATE = 0.05, 0.08  # seconds by which notes may sound before and after they are written
_CENTS = np.arange(-100, 101, 10)  # searched around a note for the pitch that is sung
_SEARCHED, _PARTIALS = 8, 30  # partials
_OCTAVE = 0.7  # weight of the octaves of a note, which a transcription may confuse
_WIDTH_HZ, _WIDTH_CENTS = 22.0, 25.0  # half width of a partial: of the window, and of vibrato
_SLOPE_HZ = 6.0
#: Level of the vocals against the mix in dB from which somebody may sing where no span says so, and
#: at which the vocals are let through there: a lost singer is worse than an echo of the old band,
#: and the detection of singing misses up to nine tenths of a quiet or treated voice.
_MAY_SING_DB, _SINGS_DB = -18.0, -12.0
_LEVEL_FRAMES = 31  # of the window, 0.7 s, in which that level is measured
#: Samples of context on each side, and the grid that blocks start on.
CONTEXT, GRID = 8 * N_FFT, HOP_LENGTH
_LOWEST_MASK = 1e-3


class KeptVoice:
    """Removes what is left of the accompaniment from separated vocals, by a song's lead sheet."""

    def __init__(self, sheet: LeadSheet) -> None:
        self._spans = voice_spans(sheet.sung)
        tuning = sheet.tuning / 100.0
        # Of the melody what is outside of sung spans too: a span may be missing.
        self._sung = _table(sheet.melody, tuning)
        self._accompaniment = _table([*sheet.others, *sheet.bass], tuning)

    def __call__(self, vocals: Tensor, mix: Tensor, start: int = 0) -> Tensor:
        """The voice ``[2, T]`` of separated vocals ``[2, T]`` in their mix ``[2, T]``, at 44.1 kHz.

        ``start`` is the first sample's place in the song, a multiple of `GRID`; the result is right
        but for `CONTEXT` samples at both ends. Silent where nobody sings: outside of sung spans,
        unless the vocals are so loud there that a span may be missing.
        """
        length = vocals.shape[-1]
        if not length or not len(self._spans):
            return torch.zeros_like(vocals)
        gains = torch.from_numpy(self.gains(start, length)).to(vocals)
        spectra, whole = stft(vocals), stft(mix)
        mask = (spectra.abs() / whole.abs().clamp_min(1e-9)).clamp(_LOWEST_MASK, 1.0)
        times = (start + HOP_LENGTH * np.arange(mask.shape[-1])) / STEREO_RATE
        pitches, confidence = _sounding(times, self._sung)
        magnitude = (spectra.abs() * whole.abs()).sqrt().mean(0).numpy().T
        hertz = torch.from_numpy(sung_hertz(magnitude, pitches)).float()
        voice, sure = partials(hertz), torch.from_numpy(confidence).float()
        # Without a sung note the voice may be among the others.
        old = self._old_partials(times) * torch.isfinite(hertz)
        # A note that may be wrong changes less, and where both have a partial the separator counts.
        lowered = 1.0 - torch.maximum(_LOWERED * sure, _OLD * old) * (1.0 - voice)
        raised = _RAISED * sure * voice * (1.0 - old)
        below = (_bins() < _TO_HZ)[:, None]
        mask = mask ** (1.0 - raised * below) * torch.where(below, lowered, 1.0)
        mask = torch.maximum(mask, _FLOOR * sure * voice * (1.0 - 0.5 * old) * below)
        mask = (_MAKEUP * mask).clamp_max(1.0) * _high_pass()[:, None]
        unsure = _may_sing(spectra, whole, length)
        return istft(mask * whole, length) * torch.maximum(gains, unsure)

    def gains(self, start: int, length: int) -> NDArray[np.float32]:
        """Gain ``[length]`` from sample ``start`` of the song on: 1 where somebody sings, else 0.

        Edges are soft, and breaths between phrases are kept.
        """
        gains = np.zeros(length, dtype=np.float32)
        for begin, end in self._spans * STEREO_RATE:
            rise, fall = _RISE * STEREO_RATE, _FALL * STEREO_RATE
            first = max(0, int(np.floor(begin - rise)) - start)
            last = min(length, int(np.ceil(end + fall)) + 1 - start)
            if first < last:
                at = np.arange(start + first, start + last)
                ramp = np.minimum((at - begin + rise) / rise, (end + fall - at) / fall)
                shape = np.sin(np.pi / 2 * np.clip(ramp, 0.0, 1.0)) ** 2
                gains[first:last] = np.maximum(gains[first:last], shape)
        return gains

    def _old_partials(self, times: NDArray[np.float64]) -> Tensor:
        """Where notes of the accompaniment have partials, by their confidence: ``[F, L]``, 0..1."""
        total = torch.zeros(N_FFT // 2 + 1, len(times))
        pitches = self._accompaniment[:, 2]
        for pitch in np.unique(pitches):
            notes = self._accompaniment[pitches == pitch]
            at = torch.from_numpy(_sounding(times, notes)[1]).float()
            if at.any():
                total = torch.maximum(total, partials(torch.tensor([_hertz(pitch)]).float()) * at)
        return total


def voice_spans(sung: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """Spans in seconds ``[S, 2]`` in which the voice is let through, from those that are sung."""
    spans = np.array(joined(sung, _PAUSE), dtype=np.float64).reshape(-1, 2)
    widened: NDArray[np.float64] = spans + np.array([-_BEFORE, _AFTER])
    return widened


def sung_hertz(magnitude: NDArray[np.float32], pitches: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fundamental frequency in Hz ``[L]`` that is sung, nearest to what is written; else NaN.

    ``magnitude`` ``[L, F]`` is that of the separated vocals. The largest sum of the square roots of
    partials within 100 cents of the written ``pitches`` ``[L]`` (MIDI, NaN without a note) counts,
    or of an octave, where that is clearly larger.
    """
    found = np.full(len(pitches), np.nan)
    frames = np.flatnonzero(np.isfinite(pitches))
    if not len(frames):
        return found
    roots = np.sqrt(magnitude[frames])
    weights = 0.85 ** np.arange(_SEARCHED)
    best = np.zeros(len(frames))
    for octave, weight in ((0, 1.0), (-12, _OCTAVE), (12, _OCTAVE)):
        hertz = _hertz(pitches[frames, None] + octave + _CENTS / 100.0)
        place = hertz[..., None] * np.arange(1, _SEARCHED + 1) * N_FFT / STEREO_RATE
        low = np.minimum(place.astype(np.int64), roots.shape[1] - 2)
        share = np.clip(place - low, 0.0, 1.0)
        rows = np.arange(len(frames))[:, None, None]
        values = (1 - share) * roots[rows, low] + share * roots[rows, low + 1]
        salience = weight * (values @ weights)
        highest = salience.argmax(axis=1)
        value = salience[np.arange(len(frames)), highest]
        better = value > best
        best = np.maximum(best, value)
        found[frames[better]] = hertz[better, highest[better]]
    return found


def partials(hertz: Tensor) -> Tensor:
    """Where a sound of fundamental ``hertz`` ``[L]`` (NaN: none) has partials: ``[F, L]``, 0..1."""
    bins, fundamental = _bins()[:, None], torch.nan_to_num(hertz, nan=1.0)[None]
    number = torch.round(bins / fundamental).clamp(1, _PARTIALS)
    away = (bins - number * fundamental).abs()
    width = (number * fundamental * (2.0 ** (_WIDTH_CENTS / 1200.0) - 1.0)).clamp_min(_WIDTH_HZ)
    near = torch.sigmoid((width - away) / _SLOPE_HZ)
    return torch.where(torch.isfinite(hertz)[None], near, 0.0)


def _may_sing(vocals: Tensor, mix: Tensor, length: int) -> Tensor:
    """How likely somebody sings by the level of the vocals alone: ``[length]``, 0..1.

    Spectra are ``[2, F, L]``.
    """
    window = torch.hann_window(_LEVEL_FRAMES + 2)[1:-1]
    powers = torch.stack([one.abs().square().sum((0, 1)) for one in (vocals, mix)])[:, None]
    near = functional.conv1d(powers, window[None, None], padding=_LEVEL_FRAMES // 2)[:, 0]
    level = 10.0 * torch.log10((near[0] + 1e-12) / (near[1] + 1e-9))
    share = ((level - _MAY_SING_DB) / (_SINGS_DB - _MAY_SING_DB)).clamp(0.0, 1.0)
    size = (share.shape[-1] - 1) * HOP_LENGTH + 1
    smooth = functional.interpolate(share[None, None], size, mode="linear", align_corners=True)
    return functional.pad(smooth, (0, max(0, length - size)), mode="replicate")[0, 0, :length]


def _table(notes: Sequence[Note], tuning: float) -> NDArray[np.float64]:
    """Start and end in seconds, MIDI pitch and confidence of notes ``[N, 4]``, sorted."""
    rows = sorted((n.start, n.start + n.duration, n.pitch + tuning, n.confidence) for n in notes)
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def _sounding(
    times: NDArray[np.float64], notes: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """MIDI pitch and confidence ``[L]`` of the last begun of notes ``[N, 4]`` at ``times`` ``[L]``.

    NaN and 0 where none sounds.
    """
    if not len(notes):
        return np.full(len(times), np.nan), np.zeros(len(times))
    index = np.searchsorted(notes[:, 0] - _EARLY, times, side="right") - 1
    last = notes[np.maximum(index, 0)]
    sounding = (index >= 0) & (times < last[:, 1] + _LATE)
    return np.where(sounding, last[:, 2], np.nan), np.where(sounding, last[:, 3], 0.0)


def _hertz(pitch: NDArray[np.float64] | float) -> NDArray[np.float64]:
    hertz: NDArray[np.float64] = 440.0 * 2.0 ** ((np.asarray(pitch) - 69.0) / 12.0)
    return hertz


def _bins() -> Tensor:
    """Frequencies in Hz of the bins ``[F]``."""
    return torch.arange(N_FFT // 2 + 1) * (STEREO_RATE / N_FFT)


def _high_pass() -> Tensor:
    """Gain of the bins ``[F]``: of second order below what is sung."""
    power = (_bins() / _LOW_HZ) ** 4
    return torch.sqrt(power / (1.0 + power))
