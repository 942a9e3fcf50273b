"""Spectral envelopes of a recorded voice, and singing made of them at other pitches.

Envelopes by the true-envelope method: A. Röbel and X. Rodet, "Efficient spectral envelope
estimation and its application to pitch shifting and envelope preservation", DAFx 2005.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr
from scipy import ndimage, signal

from audiotransfer.audio.reading import read_audio
from audiotransfer.data.rendering.excerpts.singing import (
    FRAMES,
    HOP,
    VoiceType,
    filtered,
    loudness_curve,
    pitch_curve,
    pulses,
)
from audiotransfer.data.rendering.excerpts.sound import SAMPLE_RATE
from audiotransfer.data.rendering.production import stretched

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]
    Sound = NDArray[np.float32]

_N_FFT = 1024
_ORDER, _ROUNDS = 40, 8  # cepstral coefficients of an envelope, and rounds of its estimation
_FLOOR = 1e-4  # of the loudest bin
_PITCHES = (70.0, 420.0)  # Hz of a voice that speaks
_PERIODIC = 0.45  # autocorrelation of a voiced frame
_QUIET_DB = -38.0  # against the loudest frame
_APART = round(0.12 * SAMPLE_RATE / HOP)  # frames between the middles of syllables
_ONSET, _CODA = round(0.16 * SAMPLE_RATE / HOP), round(0.12 * SAMPLE_RATE / HOP)


@dataclass(frozen=True)
class VoiceEnvelopes:
    """Frames of 256 samples of a voice: amplitudes ``[F, 513]`` and which are voiced ``[F]``.

    ``syllables`` ``[S, 3]`` are first frame, loudest frame, and end.
    """

    gains: NDArray[np.float32]
    voiced: NDArray[np.bool_]
    syllables: NDArray[np.int64]


@lru_cache(maxsize=32)
def read_envelopes(path: str) -> VoiceEnvelopes:
    """The envelopes of a recording of one voice. Raises AudioTransferError: it is unreadable."""
    samples, rate = read_audio(Path(path))
    sound = soxr.resample(samples.mean(0).numpy(), rate, SAMPLE_RATE).astype(np.float32)
    return envelopes_of(sound)


def envelopes_of(sound: Sound) -> VoiceEnvelopes:
    """The envelopes of one voice ``[T]`` at 22 050 Hz."""
    window = signal.windows.hann(_N_FFT, sym=False)
    transform = signal.ShortTimeFFT(window, HOP, SAMPLE_RATE)
    frames = len(sound) // HOP + 1
    power = np.abs(transform.stft(sound, p0=0, p1=frames)).T  # [F, bins]
    levels = np.log(power + _FLOOR * power.max() + 1e-9)
    smooth = levels
    for _ in range(_ROUNDS):
        cepstrum = np.fft.irfft(np.maximum(levels, smooth), axis=1)
        cepstrum[:, _ORDER : _N_FFT - _ORDER + 1] = 0.0
        smooth = np.fft.rfft(cepstrum, axis=1).real
    voiced, energy = _voicing(sound, window, frames)
    return VoiceEnvelopes(np.exp(smooth).astype(np.float32), voiced, _syllables(voiced, energy))


def _voicing(sound: Sound, window: Rows, frames: int) -> tuple[NDArray[np.bool_], Rows]:
    """Which frames are voiced, by their autocorrelation, and the frames' levels in dB."""
    padded = np.pad(sound, (_N_FFT // 2, _N_FFT))
    cut = np.lib.stride_tricks.sliding_window_view(padded, _N_FFT)[::HOP][:frames] * window
    own = np.fft.irfft(np.abs(np.fft.rfft(window, 2 * _N_FFT)) ** 2)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(cut, 2 * _N_FFT, axis=1)) ** 2, axis=1)
    energy = correlation[:, 0]
    low, high = (round(SAMPLE_RATE / hertz) for hertz in reversed(_PITCHES))
    peaks = (correlation[:, low:high] / own[low:high]).max(1) * own[0] / (energy + 1e-9)
    decibels: Rows = 10 * np.log10(energy / energy.max() + 1e-9)
    return (peaks > _PERIODIC) & (decibels > _QUIET_DB), decibels


def _syllables(voiced: NDArray[np.bool_], levels: Rows) -> NDArray[np.int64]:
    """Syllables ``[S, 3]`` around loudest voiced frames, bounded by the quietest between them."""
    smooth = ndimage.gaussian_filter1d(np.where(voiced, levels, levels - 20.0), 3.0)
    tops, _ = signal.find_peaks(smooth, distance=_APART, prominence=3.0)
    tops = tops[voiced[tops] & (levels[tops] > _QUIET_DB + 12)]
    edges = [0, *(a + int(smooth[a:b].argmin()) for a, b in pairwise(tops.tolist())),
             len(levels)]  # fmt: skip
    rows = [
        (max(edges[number], top - _ONSET), top, min(edges[number + 1], top + _CODA))
        for number, top in enumerate(tops.tolist())
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def sing_syllables(
    notes: Rows, seconds: float, voice: VoiceType, recorded: VoiceEnvelopes, random: Generator
) -> Sound:
    """Sings notes ``[N, 3]`` (start s, end s, MIDI pitch) on a recording's syllables: ``[T]``.

    A note takes the next syllable: its beginning comes before and into the note, its loudest
    frame is held, its end is the note's. ``voice`` gives habits of pitch and the vocal tract.
    """
    count = int(seconds * FRAMES) + 2
    curve, loudness = pitch_curve(notes, count, voice, random), loudness_curve(notes, count, random)
    hops = round(seconds * SAMPLE_RATE) // HOP + 1
    source = np.zeros(hops, dtype=np.int64)
    voiced, gain = np.zeros(hops, dtype=bool), np.zeros(hops)
    wander = 2.0 * ndimage.gaussian_filter1d(random.standard_normal(hops), 6.0) * 5.0
    number = int(random.integers(len(recorded.syllables)))
    for start, end, _ in notes:
        first, top, last = recorded.syllables[number % len(recorded.syllables)]
        number += 1 if random.random() < 0.9 else int(random.integers(1, len(recorded.syllables)))
        begin, stop = round(start * SAMPLE_RATE / HOP), round(end * SAMPLE_RATE / HOP)
        lead_in = round((top - first) * random.uniform(0.4, 0.8))
        coda = min(last - top, max(0, (stop - begin) // 3))
        place = np.arange(max(0, begin - lead_in), min(hops, stop))
        frame = np.clip(first + place - (begin - lead_in), first, top)
        held = frame == top
        frame = frame + np.where(held, np.round(wander[place]).astype(int), 0)
        frame = np.where(place >= stop - coda, last - (stop - place), frame)
        source[place] = np.clip(frame, 0, len(recorded.gains) - 1)
        voiced[place] = recorded.voiced[source[place]] | (held & (place < stop - coda))
        gain[place] = 1.0 / (np.sqrt(np.mean(recorded.gains[top] ** 2.0)) + 1e-9)
        quiet = (place < begin) & (loudness[np.minimum((place * HOP * FRAMES) // SAMPLE_RATE,
                                                       count - 1)] < 0.3)  # fmt: skip
        gain[place] *= np.where(quiet, 0.5, 1.0)
    time = np.arange(hops) * HOP / SAMPLE_RATE * FRAMES
    shape = np.interp(time, np.arange(count), loudness)
    shape = np.where(voiced, shape, np.maximum(shape, 0.7 * (gain > 0)))
    pitch = np.interp(time, np.arange(count), curve)
    gains = recorded.gains[source] * (gain * shape)[:, None]
    sound = _resynthesised(gains, pitch, voiced, voice, random)
    return np.pad(sound, (0, round(seconds * SAMPLE_RATE) - len(sound)))


def repitched(
    recorded: VoiceEnvelopes, pitch: Rows, semitones: float, formants: float, random: Generator
) -> Sound:
    """A recorded voice at another pitch: ``pitch`` is its own (MIDI, NaN: unvoiced), by frame.

    ``formants`` multiplies the frequencies of its envelopes.
    """
    count = min(len(pitch), len(recorded.gains))
    voiced = np.isfinite(pitch[:count])
    if not voiced.any():
        return np.zeros((count - 1) * HOP, dtype=np.float32)
    filled = np.interp(np.arange(count), np.flatnonzero(voiced), pitch[:count][voiced]) + semitones
    voice = VoiceType("repitched", 0, 0, formants, 0.0, float(random.uniform(0.02, 0.08)), 0.0)
    return _resynthesised(recorded.gains[:count], filled, voiced, voice, random)


def _resynthesised(
    gains: NDArray[np.floating],
    pitch: Rows,
    voiced: NDArray[np.bool_],
    voice: VoiceType,
    random: Generator,
) -> Sound:
    """Pulses where a frame is voiced, else noise, through envelopes ``[F, 513]``: ``[F * 256]``."""
    total = (len(gains) - 1) * HOP
    time = np.arange(total) / HOP
    hertz = 440.0 * 2 ** ((np.interp(time, np.arange(len(pitch)), pitch) - 69) / 12)
    share = np.interp(time, np.arange(len(voiced)), ndimage.uniform_filter1d(voiced * 1.0, 3))
    noise = random.standard_normal(total)
    source = share * (pulses(hertz / SAMPLE_RATE) + voice.breath * noise)
    source += 0.7 * (1.0 - share) * noise
    sound = filtered(source, stretched(gains.T, voice.formants), SAMPLE_RATE)
    result: Sound = (sound / (np.abs(sound).max() + 1e-9)).astype(np.float32)
    return result
