"""How much of a song is left in its cover: in the notes, and in the rendered sound.

Of the song are known: its melody, chords, beats and bars. What has no truth to compare with gives
NaN.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import librosa
import numpy as np

from audiotransfer.evaluation.metrics.signals import mono

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from audiotransfer.leadsheet import LeadSheet

_LOWEST_MELODY = 54  # MIDI pitch above which a melody note may be found again
_TOLERANCE = 0.23  # beats
_SHIFTS = range(-8, 9)  # bars
_SAMPLE_RATE, _HOP_LENGTH = 22050, 512
_LOWEST, _PITCHES, _FINE = 24, 84, 3  # MIDI pitch, semitones and bins a semitone of the transform
_CHORDS, _BASS = (48, 89), (24, 51)  # MIDI pitches, both included
_BASS_WEIGHT = 0.8
_OUTSTANDING = 1.15  # times the neighbours
_AFTER = (0.0, 0.06, 0.12)  # seconds after a note's onset
_TRIADS = ((0, 4, 7), (0, 3, 7))


def melody_kept(notes: NDArray[np.float64], sheet: LeadSheet) -> tuple[float, float]:
    """Share of the melody's notes that are found again in an output, and of those a semitone up.

    ``notes`` ``[N, 4]`` are start and duration in seconds, MIDI pitch and velocity of all its
    pitched notes; ``sheet`` is what is known of the song. A note is found with its pitch class
    above MIDI 54 within 0.23 of a beat, after the best shift by whole bars. The same melody moved
    up by a semitone, with the same shift, gives what chance would find.
    """
    if not sheet.melody:
        return float("nan"), float("nan")
    high = notes[notes[:, 2] > _LOWEST_MELODY]
    places, classes = sheet.beat_at(high[:, 0]), high[:, 2].astype(int) % 12
    by_class = [np.sort(places[classes == k]) for k in range(12)]
    melody = sheet.beat_at([note.start for note in sheet.melody])
    wanted = np.array([note.pitch for note in sheet.melody])
    length = float(np.median([bar.beats for bar in sheet.bars])) if sheet.bars else 4.0

    def share_kept(semitones: int, shift: float) -> float:
        pairs = zip((wanted + semitones) % 12, melody + shift, strict=True)
        return float(np.mean([_near(by_class[pitch], place) for pitch, place in pairs]))

    best = max(
        (shift * length for shift in _SHIFTS), key=lambda shift: (share_kept(0, shift), -abs(shift))
    )
    return share_kept(0, best), share_kept(1, best)


@dataclass(frozen=True)
class Spectrum:
    """Constant-Q magnitudes of a sound: semitones from MIDI 24 ``[84, L]``, and frames' seconds.

    ``peaks`` ``[84, L]`` are those at the semitones themselves, ``levels`` the sums of the bins
    within a quarter tone.
    """

    peaks: NDArray[np.float64]
    levels: NDArray[np.float64]
    times: NDArray[np.float64]


def spectrum(audio: Tensor, sample_rate: int) -> Spectrum:
    """Constant-Q transform (36 bins an octave) of a sound ``[C, T]``, at least a second long."""
    signal = librosa.resample(mono(audio, sample_rate), orig_sr=44100, target_sr=_SAMPLE_RATE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        bins = np.abs(
            librosa.cqt(
                signal,
                sr=_SAMPLE_RATE,
                hop_length=_HOP_LENGTH,
                fmin=librosa.midi_to_hz(_LOWEST - 1 / _FINE),
                n_bins=_PITCHES * _FINE,
                bins_per_octave=12 * _FINE,
                tuning=0.0,
            )
        )
    split = bins.reshape(_PITCHES, _FINE, -1)
    frames = np.arange(bins.shape[1])
    return Spectrum(
        split[:, 1],
        split.sum(axis=1),
        librosa.frames_to_time(frames, sr=_SAMPLE_RATE, hop_length=_HOP_LENGTH),
    )


def pitch_classes(
    sound: Spectrum, low: int = _CHORDS[0], high: int = _CHORDS[1]
) -> NDArray[np.float64]:
    """Levels of the pitch classes in each frame ``[12, L]``, of MIDI ``low`` to ``high``."""
    pitches = np.arange(low, high + 1)
    classes = np.zeros((12, sound.levels.shape[1]))
    np.add.at(classes, pitches % 12, sound.levels[pitches - _LOWEST])
    return classes


def span_means(
    frames: NDArray[np.float64], times: NDArray[np.float64], spans: ArrayLike
) -> NDArray[np.float64]:
    """Means of frames ``[12, L]`` at ``times`` ``[L]`` in spans of seconds ``[B, 2]``: ``[B, 12]``.

    A span after the end is 0.
    """
    edges = np.searchsorted(times, np.asarray(spans, dtype=np.float64).reshape(-1, 2))
    sums = np.concatenate([np.zeros((len(frames), 1)), np.cumsum(frames, axis=1)], axis=1)
    first = np.minimum(edges[:, 0], frames.shape[1])
    last = np.clip(np.maximum(edges[:, 1], first + 1), 0, frames.shape[1])
    means: NDArray[np.float64] = ((sums[:, last] - sums[:, first]) / np.maximum(last - first, 1)).T
    return means


def bar_chroma(sound: Spectrum, spans: ArrayLike) -> NDArray[np.float64]:
    """Mean chroma of MIDI 48 to 89 in spans of seconds ``[B, 2]``: ``[B, 12]``."""
    return span_means(pitch_classes(sound), sound.times, spans)


def bar_chroma_correlation(
    output: Spectrum, source: Spectrum, spans: ArrayLike, later: ArrayLike | None = None
) -> float:
    """Mean Pearson correlation of the chroma of bars ``[B, 2]`` (s), output and source.

    ``later`` are the bars' spans in the output, where they aren't those of the source.
    """
    before = bar_chroma(source, spans)
    after = bar_chroma(output, spans if later is None else later)
    before, after = (c - c.mean(axis=1, keepdims=True) for c in (before, after))
    norms = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    sounding = norms > 0
    if not sounding.any():
        return float("nan")
    return float(np.mean((before * after).sum(axis=1)[sounding] / norms[sounding]))


def chord_roots(sound: Spectrum, spans: ArrayLike) -> NDArray[np.int64]:
    """The root (pitch class) of the likeliest triad in spans of seconds ``[B, 2]``.

    Major and minor triads are compared with the chroma of MIDI 48 to 89, and the bass (below 52)
    adds 0.8 of its own chroma to each root.
    """
    folded = (pitch_classes(sound, *range_) for range_ in (_CHORDS, _BASS))
    means = (span_means(frames, sound.times, spans) for frames in folded)
    chords, bass = (c / np.maximum(np.linalg.norm(c, axis=1, keepdims=True), 1e-9) for c in means)
    scores = np.full(chords.shape, -np.inf)
    for triad in _TRIADS:
        template = np.zeros(12)
        template[list(triad)] = 1 / np.sqrt(3)
        fit = np.stack([chords @ np.roll(template, root) for root in range(12)], axis=1)
        scores = np.maximum(scores, fit)
    roots: NDArray[np.int64] = np.argmax(scores + _BASS_WEIGHT * bass, axis=1)
    return roots


def lead_stands_out(sound: Spectrum, sheet: LeadSheet, semitones: int = 0) -> float:
    """Share of the melody's notes whose pitch stands out of its neighbours in a sound.

    The note's bin, or one an octave or two below, is 1.15 times each of the four semitones around
    it, at its onset or 60 or 120 ms later. ``semitones`` moves the melody: 1 gives chance.
    """
    notes = [note for note in sheet.melody if note.start < sound.times[-1]]
    if not notes:
        return float("nan")
    return float(np.mean([_stands_out(sound, n.start, n.pitch + semitones) for n in notes]))


def _stands_out(sound: Spectrum, start: float, pitch: int) -> bool:
    frames = np.searchsorted(sound.times, start + np.array(_AFTER)).clip(0, len(sound.times) - 1)
    for row in (pitch - _LOWEST - octave for octave in (0, 12, 24)):
        if 2 <= row < _PITCHES - 2:
            around = sound.peaks[[row - 2, row - 1, row + 1, row + 2]][:, frames].max(axis=0)
            if np.any(sound.peaks[row, frames] > _OUTSTANDING * around):
                return True
    return False


def _near(places: NDArray[np.float64], place: float) -> bool:
    index = int(np.searchsorted(places, place))
    return any(abs(p - place) <= _TOLERANCE for p in places[max(index - 1, 0) : index + 1])
