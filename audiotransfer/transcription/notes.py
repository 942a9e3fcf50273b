"""Decodes pitch activations to notes: lead, second voice, bass and polyphonic notes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numba
import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from audiotransfer.leadsheet import Note
from audiotransfer.leadsheet.spans import runs
from audiotransfer.transcription.activations import BASSES, LOWEST, LOWEST_BASS, PITCHES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiotransfer.transcription.activations import PitchActivations

_LEAST = 1e-4  # probability
_ALONE = 0.04  # s: notes of a line are no shorter
_SNAP = 3  # frames within which a line's note is moved to its onset's maximum
_SECOND = (48 - LOWEST, 91 - LOWEST)  # pitches of a second voice


@dataclass(frozen=True)
class LineDecoding:
    """Constants of decoding a line of single notes, chosen on the validation split.

    ``none`` is added to the log probability that nothing plays, ``voiced`` times the probability of
    a voice as well. A note's beginning costs ``begin`` nats less ``onset`` times its onset's
    log odds; an onset above ``again`` begins the same pitch once more.
    """

    none: float = -0.8
    voiced: float = -2.0
    begin: float = 5.0
    onset: float = 1.0
    again: float = 0.45


LEAD = LineDecoding()
BASS = LineDecoding(none=0.0, voiced=0.0, begin=4.0, onset=0.9, again=0.5)
SECOND = LineDecoding(none=0.0, voiced=0.0, begin=4.0, onset=0.3, again=0.4)


@dataclass(frozen=True)
class NoteDecoding:
    """Constants of decoding polyphonic notes, chosen on the validation split."""

    onset: float = 0.45
    sounding: float = 0.4
    gap: int = 2  # frames that a sounding note may fall below
    shortest: int = 2  # frames


NOTES = NoteDecoding()


def lead_notes(activations: PitchActivations, decoding: LineDecoding = LEAD) -> list[Note]:
    """The notes of the lead, none of which overlap."""
    none = decoding.none + decoding.voiced * activations.voice.astype(np.float32)
    onsets = activations.lead_onsets
    path = _line(activations.lead, onsets, none, decoding)
    return _notes(path, activations.lead, onsets, LOWEST, activations, decoding)


def bass_notes(activations: PitchActivations, decoding: LineDecoding = BASS) -> list[Note]:
    """The notes of the bass, none of which overlap."""
    low = LOWEST_BASS - LOWEST
    onsets = activations.note_onsets[:, low : low + BASSES]
    none = np.full(len(activations.bass), decoding.none, dtype=np.float32)
    path = _line(activations.bass, onsets, none, decoding)
    return _notes(path, activations.bass, onsets, LOWEST_BASS, activations, decoding)


def second_voice(
    activations: PitchActivations, lead: Sequence[Note], decoding: LineDecoding = SECOND
) -> list[Note]:
    """The notes of the strongest line beside the lead, between C3 and F#6."""
    low, high = _SECOND
    notes = np.zeros((len(activations.notes), high - low + 1), dtype=np.float16)
    notes[:, :-1] = activations.notes[:, low:high]
    for note in lead:
        first = round(note.start * activations.rate) - 1
        last = round((note.start + note.duration) * activations.rate) + 2
        pitch = note.pitch - LOWEST - low
        for masked in (pitch - 12, pitch - 1, pitch, pitch + 1, pitch + 12):
            if 0 <= masked < high - low:
                notes[max(0, first) : last, masked] = 0
    notes[:, -1] = 1.0 - notes[:, :-1].max(1, initial=0.0)
    none = np.full(len(notes), decoding.none, dtype=np.float32)
    onsets = activations.note_onsets[:, low:high]
    path = _line(notes, onsets, none, decoding)
    return _notes(path, notes, onsets, LOWEST + low, activations, decoding)


def polyphonic_notes(activations: PitchActivations, decoding: NoteDecoding = NOTES) -> list[Note]:
    """All pitched notes, in the order of their onsets.

    A note begins at a maximum of its onset's probability, and sounds as long as its pitch does.
    """
    found: list[Note] = []
    for index in range(PITCHES):
        onsets = activations.note_onsets[:, index].astype(np.float32)
        sounding = activations.notes[:, index].astype(np.float32)
        peaks = (onsets >= decoding.onset) & (onsets == maximum_filter1d(onsets, 3))
        if not peaks.any():
            continue
        begins, ends = _spans(peaks, sounding, decoding.sounding, decoding.gap)
        kept = ends - begins >= decoding.shortest
        for begin, end in zip(begins[kept].tolist(), ends[kept].tolist(), strict=True):
            confidence = float(sounding[begin:end].mean())
            found.append(
                Note(
                    _refined(onsets, begin) / activations.rate,
                    (end - begin) / activations.rate,
                    LOWEST + index,
                    confidence=round(min(1.0, confidence), 3),
                )
            )
    return with_velocities(sorted(found, key=lambda n: (n.start, n.pitch)), activations)


def with_velocities(notes: Sequence[Note], activations: PitchActivations) -> list[Note]:
    """Notes with velocities by their levels in the sound: 80 at the song's median, 2 a dB."""
    if not notes:
        return []
    rate, frames = activations.rate, len(activations.levels)
    levels = np.empty(len(notes))
    for index, note in enumerate(notes):
        first = min(frames - 1, round(note.start * rate))
        last = min(frames, max(first + 2, round((note.start + min(note.duration, 0.3)) * rate)))
        levels[index] = activations.levels[first:last, note.pitch - LOWEST].max()
    velocities = np.clip(80 + 2.0 * (levels - np.median(levels)), 20, 120).round().astype(int)
    return [replace(n, velocity=v) for n, v in zip(notes, velocities.tolist(), strict=True)]


def sung_spans(
    activations: PitchActivations, threshold: float = 0.3, seconds: float = 0.6
) -> list[tuple[float, float]]:
    """Where somebody sings, as spans in seconds: the voice, averaged over ``seconds``."""
    voice = activations.voice.astype(np.float32)
    if len(voice) == 0:
        return []
    smooth = uniform_filter1d(voice, max(1, round(seconds * activations.rate)))
    starts, ends = (runs(smooth > threshold) / activations.rate).T
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def _line(
    distribution: NDArray[np.float16],
    onsets: NDArray[np.float16],
    none: NDArray[np.float32],
    decoding: LineDecoding,
) -> NDArray[np.int16]:
    """The likeliest state of each frame by the Viterbi algorithm: a pitch's index, or the last."""
    if len(distribution) == 0:
        return np.empty(0, dtype=np.int16)
    return _viterbi(
        distribution.astype(np.float32),
        onsets.astype(np.float32),
        none,
        decoding.begin,
        decoding.onset,
    )


def _notes(
    path: NDArray[np.int16],
    distribution: NDArray[np.float16],
    onsets: NDArray[np.float16],
    lowest: int,
    activations: PitchActivations,
    decoding: LineDecoding,
) -> list[Note]:
    """The notes of a path: its runs, begun anew where the onset says so."""
    silent = distribution.shape[1] - 1
    edges = np.flatnonzero(np.diff(path, prepend=-1, append=-1))
    notes: list[Note] = []
    for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        state = int(path[begin])
        if state == silent:
            continue
        own = onsets[max(0, begin - _SNAP) : end, state].astype(np.float32)
        offset = begin - max(0, begin - _SNAP)
        inner = own[offset:]
        peaks = np.flatnonzero((inner >= decoding.again) & (inner == maximum_filter1d(inner, 5)))
        starts = [begin, *(begin + p for p in peaks.tolist() if p > 2 * _SNAP)]
        for first, last in zip(starts, [*starts[1:], end], strict=True):
            around = max(0, first - _SNAP)
            near = onsets[around : min(end, first + _SNAP + 1), state].astype(np.float32)
            peak = around + int(near.argmax()) if near.max() >= decoding.again / 2 else first
            start = _refined(onsets[:, state], peak) / activations.rate
            duration = last / activations.rate - start
            if duration < _ALONE:
                continue
            confidence = float(distribution[first:last, state].astype(np.float32).mean())
            notes.append(
                Note(start, duration, lowest + state, confidence=round(min(1.0, confidence), 3))
            )
    return with_velocities(_without_overlaps(notes), activations)


def _without_overlaps(notes: list[Note]) -> list[Note]:
    """Each note ended where the next one begins."""
    ended = [
        replace(note, duration=min(note.duration, after.start - note.start))
        for note, after in pairwise(notes)
    ]
    return [note for note in [*ended, *notes[-1:]] if note.duration >= _ALONE]


def _refined(values: NDArray[np.floating], peak: int) -> float:
    """The place of a maximum between frames, by a parabola through it and its neighbours."""
    if not 0 < peak < len(values) - 1:
        return float(peak)
    a, b, c = (float(v) for v in values[peak - 1 : peak + 2])
    bend = a - 2 * b + c
    return peak + (float(np.clip(0.5 * (a - c) / bend, -0.5, 0.5)) if bend < -1e-6 else 0.0)


@numba.njit(cache=True)
def _viterbi(
    distribution: NDArray[np.float32],
    onsets: NDArray[np.float32],
    none: NDArray[np.float32],
    begin: float,
    onset: float,
) -> NDArray[np.int16]:
    frames, states = distribution.shape
    silent = states - 1
    came = np.empty((frames, states), dtype=np.int16)
    score = np.empty(states, dtype=np.float32)
    for state in range(states):
        score[state] = np.log(max(distribution[0, state], _LEAST))
        came[0, state] = state
    score[silent] += none[0]
    for frame in range(1, frames):
        best = 0
        for state in range(1, states):
            if score[state] > score[best]:
                best = state
        top = score[best]
        for state in range(states):
            entered = top
            if state != silent:
                chance = min(max(onsets[frame, state], 0.01), 0.99)
                entered += min(0.0, onset * np.log(chance / (1.0 - chance)) - begin)
            if score[state] >= entered:
                came[frame, state] = state
            else:
                came[frame, state] = best
                score[state] = entered
            score[state] += np.log(max(distribution[frame, state], _LEAST))
        score[silent] += none[frame]
    path = np.empty(frames, dtype=np.int16)
    path[-1] = np.argmax(score)
    for frame in range(frames - 1, 0, -1):
        path[frame - 1] = came[frame, path[frame]]
    return path


@numba.njit(cache=True)
def _spans(
    peaks: NDArray[np.bool_], sounding: NDArray[np.float32], threshold: float, gap: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Beginnings and ends of notes at the peaks, each ended by silence or the next peak."""
    starts = np.flatnonzero(peaks)
    ends = np.empty_like(starts)
    for index in range(len(starts)):
        limit = int(starts[index + 1]) if index + 1 < len(starts) else len(sounding)
        end = int(starts[index]) + 1
        low = 0
        for frame in range(end, limit):
            if sounding[frame] >= threshold:
                end = frame + 1
                low = 0
            else:
                low += 1
                if low > gap:
                    break
        ends[index] = end
    return starts, ends
