"""Activations of a true lead sheet, ideal or noisy, in place of the networks' answers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from audiotransfer.leadsheet import LeadSheet, Note
from audiotransfer.transcription.activations import (
    BASSES,
    CHORD_QUALITIES,
    DRUM_CLASSES,
    LOWEST,
    LOWEST_BASS,
    PITCHES,
    PitchActivations,
    RhythmActivations,
)

RATE = 22050 / 512
RHYTHM_RATE = 22050 / 256
#: General MIDI keys of the network's drums.
DRUMS = {36: "kick", 38: "snare", 42: "hat", 45: "tom", 49: "cymbal"}


def pitch_activations(
    sheet: LeadSheet, noise: float = 0.0, random: np.random.Generator | None = None
) -> PitchActivations:
    """What a network would say that knew the sheet: probabilities of .9, and next to 0 elsewhere.

    ``noise`` is the standard deviation of a normal error of all log odds.
    """
    frames = int(np.ceil((sheet.seconds + 0.5) * RATE))
    lead = _spans(sheet.melody, frames, LOWEST, PITCHES)
    bass = _spans(sheet.bass, frames, LOWEST_BASS, BASSES)
    everything = [*sheet.melody, *sheet.bass, *sheet.others]
    chords = np.zeros((frames, 12 * len(CHORD_QUALITIES) + 1), dtype=bool)
    for chord in sheet.chords:
        start, end = np.rint(sheet.time_at([chord.beat, chord.beat + chord.beats]) * RATE)
        index = -1
        if chord.root is not None:
            index = 12 * CHORD_QUALITIES.index(chord.quality) + chord.root
        chords[int(start) : int(end), index] = True
    voice = np.zeros(frames, dtype=bool)
    for start, end in sheet.sung:
        voice[round(start * RATE) : round(end * RATE)] = True

    def odds(truth: NDArray[np.bool_], least: float) -> NDArray[np.float64]:
        values = np.where(truth, 2.2, least)
        return values if random is None else values + random.normal(0.0, noise, truth.shape)

    def own(truth: NDArray[np.bool_]) -> NDArray[np.float16]:
        return (1.0 / (1.0 + np.exp(-odds(truth, -4.0)))).astype(np.float16)

    def shared(truth: NDArray[np.bool_]) -> NDArray[np.float16]:
        values = np.exp(odds(truth, -5.0))
        return (values / values.sum(axis=1, keepdims=True)).astype(np.float16)

    return PitchActivations(
        rate=RATE,
        lead=shared(_with_none(lead)),
        lead_onsets=own(_onsets(sheet.melody, frames, LOWEST, PITCHES)),
        notes=own(_spans(everything, frames, LOWEST, PITCHES)),
        note_onsets=own(_onsets(everything, frames, LOWEST, PITCHES)),
        bass=shared(_with_none(bass)),
        chords=shared(chords),
        voice=own(voice),
        levels=np.where(_spans(everything, frames, LOWEST, PITCHES), -20, -60).astype(np.float16),
    )


def rhythm_activations(
    sheet: LeadSheet, noise: float = 0.0, random: np.random.Generator | None = None
) -> RhythmActivations:
    """Beats, downbeats and drum hits of a sheet, as peaks of three frames (see above)."""
    frames = int(np.ceil((sheet.seconds + 0.5) * RHYTHM_RATE))
    beats = sheet.beat_times[:-1]
    rows = [beats, beats[sheet.bar_lines[:-1].astype(int)]]
    for name in DRUM_CLASSES:
        hits = [note.start for note in sheet.drums if DRUMS[note.pitch] == name]
        rows.append(np.array(hits))
    peaks = np.zeros((frames, len(rows)))
    for column, times in enumerate(rows):
        at = np.arange(frames)[:, None] - np.asarray(times)[None] * RHYTHM_RATE
        peaks[:, column] = np.exp(-0.5 * (at / 0.8) ** 2).max(axis=1, initial=0.0)
    odds = -4.0 + 6.2 * peaks
    if random is not None:
        odds = odds + random.normal(0.0, noise, odds.shape)
    values = (1.0 / (1.0 + np.exp(-odds))).astype(np.float32)
    return RhythmActivations(RHYTHM_RATE, values[:, 0], values[:, 1], values[:, 2:])


def _spans(notes: Iterable[Note], frames: int, lowest: int, count: int) -> NDArray[np.bool_]:
    roll = np.zeros((frames, count), dtype=bool)
    for note in notes:
        end = round((note.start + note.duration) * RATE)
        roll[round(note.start * RATE) : end, note.pitch - lowest] = True
    return roll


def _onsets(notes: Iterable[Note], frames: int, lowest: int, count: int) -> NDArray[np.bool_]:
    roll = np.zeros((frames, count), dtype=bool)
    for note in notes:
        roll[round(note.start * RATE), note.pitch - lowest] = True
    return roll


def _with_none(roll: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.concatenate([roll, ~roll.any(axis=1, keepdims=True)], axis=1)
