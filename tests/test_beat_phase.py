"""Beats of MIDI files whose notes were not put to the bar lines."""

from __future__ import annotations

import numpy as np
import pytest
import symusic

from audiotransfer.leadsheet.downbeats import SHIFTED, beat_phase
from audiotransfer.leadsheet.from_midi import lead_sheet

QUARTER = 480


def song(shift: float, metre: tuple[int, int] = (4, 4), beats: int = 64) -> symusic.Score:
    """Basses on the beats, long notes on every fourth, a melody of eighths; shifted in quarters."""
    score = symusic.Score(QUARTER)
    score.time_signatures.append(symusic.TimeSignature(0, *metre))
    score.tempos.append(symusic.Tempo(0, qpm=120.0))
    track = symusic.Track("piano", 0)
    random = np.random.default_rng(0)

    def add(place: float, length: float, pitch: int) -> None:
        ticks = round((place + shift) * QUARTER), round(length * QUARTER)
        track.notes.append(symusic.Note(*ticks, pitch, 80))

    for beat in range(beats):
        add(beat, 0.9, 36 + 5 * (beat // 4 % 2))
        if beat % 4 == 0:
            for pitch in (60, 64, 67):
                add(beat, 3.5, pitch + 5 * (beat // 4 % 2))
        for off in (0.0, 0.5):
            if random.random() < 0.8:
                add(beat + off, 0.45, 72 + int(random.integers(0, 8)))
    score.tracks.append(track)
    return score


@pytest.mark.parametrize("shift", [0.0, 0.25, 0.5, 0.75])
def test_beats_are_where_long_and_low_notes_begin(shift: float) -> None:
    score = song(shift)
    sixteenths, odds = beat_phase(score, 0.0)
    assert sixteenths % 4 == 4 * shift
    assert (odds > SHIFTED) == (shift > 0)
    sheet = lead_sheet(score)
    place = sheet.beat_at([note.start for note in sheet.bass])
    assert place == pytest.approx(np.round(place), abs=0.01)


def test_few_notes_and_compound_metres_stay() -> None:
    assert beat_phase(song(0.25, beats=4), 0.0) == (0, 0.0)
    assert beat_phase(song(0.25, metre=(6, 8)), 0.0) == (0, 0.0)
    assert beat_phase(symusic.Score(QUARTER), 0.0) == (0, 0.0)


def test_syncopation_does_not_move_the_beats() -> None:
    score = song(0.0)
    late = symusic.Track("guitar", 25)
    for beat in range(64):
        late.notes.append(symusic.Note(beat * QUARTER + QUARTER // 2, QUARTER // 4, 64, 80))
    score.tracks.append(late)
    assert beat_phase(score, 0.0)[1] < SHIFTED
