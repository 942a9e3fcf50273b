"""Rules that a network's notes are held to, on tables made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import symusic
from numpy.typing import NDArray

from audiotransfer.midi.grid import Grid
from audiotransfer.symbolic.genre.rules import constrained, melody_of, scales, top_line

Table = NDArray[np.int64]
STEP = 120  # ticks of a sixteenth
BAR = 16 * STEP


def table(*rows: tuple[int, int, int, int]) -> Table:
    """Notes of step, length in steps, pitch, track."""
    values = [(s * STEP, n * STEP, pitch, 80, track) for s, n, pitch, track in rows]
    return np.array(sorted(values, key=lambda row: (row[0], row[2])), dtype=np.int64)


GRID = Grid.of_bars(np.arange(9) * BAR, np.full(8, 16))
#: A melody in C major above chords, eight bars.
MELODY = table(*((4 * n, 4, (72, 74, 76, 79)[n % 4], 0) for n in range(32)))
CHORDS = table(*((8 * n, 8, pitch, 1) for n in range(16) for pitch in (48, 52, 55)))
SONG = np.concatenate([MELODY, CHORDS])
SONG = SONG[np.lexsort((SONG[:, 2], SONG[:, 0]))]
IS_MELODY = SONG[:, 4] == 0


def rows(notes: Table) -> set[tuple[int, ...]]:
    return set(map(tuple, notes.tolist()))


def test_the_melody_is_put_back_as_it_was() -> None:
    shortened = SONG.copy()
    shortened[IS_MELODY, 1] //= 2
    for after in (SONG[~IS_MELODY], shortened):
        assert rows(constrained(SONG, after, GRID, IS_MELODY)) == rows(SONG)


def test_without_a_mask_the_melody_may_change() -> None:
    after = constrained(SONG, SONG[~IS_MELODY], GRID)
    assert rows(after) == rows(CHORDS)


def test_no_new_note_begins_above_the_melody() -> None:
    new = table((0, 4, 84, 1), (2, 2, 72, 1), (0, 4, 67, 1))
    added = rows(constrained(SONG, np.concatenate([SONG, new]), GRID, IS_MELODY)) - rows(SONG)
    assert added == rows(table((0, 4, 67, 1)))


def test_new_notes_move_into_the_scale() -> None:
    new = table((17, 2, 66, 1), (34, 2, 61, 1), (50, 2, 62, 1))
    added = rows(constrained(SONG, np.concatenate([SONG, new]), GRID, IS_MELODY)) - rows(SONG)
    pitches = {row[0] // STEP: row[2] for row in added}
    assert pitches == {17: 65, 34: 60, 50: 62}


def test_a_chromatic_chord_is_in_its_bars_reach() -> None:
    odd = np.concatenate([SONG, table((64, 16, 44, 1))])
    reach = scales(odd, GRID)
    assert reach[4, 8] and not reach[3, 8]
    new = np.concatenate([odd, table((66, 2, 68, 1), (82, 2, 68, 1))])
    mask = np.append(IS_MELODY, False)
    added = rows(constrained(odd, new, GRID, mask)) - rows(odd)
    assert {row[2] for row in added} == {68, 67}


@pytest.mark.parametrize("pitch", [53, 54])
def test_no_semitone_with_what_sounds(pitch: int) -> None:
    """F would stand a semitone above E; it moves to G's neighbourhood or away."""
    after = constrained(SONG, np.concatenate([SONG, table((0, 8, pitch, 1))]), GRID, IS_MELODY)
    sounding = np.unique(after[after[:, 0] == 0, 2])
    assert (np.diff(sounding) > 1).all()


def test_new_notes_form_no_semitone_with_each_other() -> None:
    new = table((0, 4, 59, 1), (0, 4, 60, 1), (2, 4, 59, 1))
    after = constrained(SONG, np.concatenate([SONG, new]), GRID, IS_MELODY)
    for tick in (0, 2 * STEP, 3 * STEP):
        now = after[(after[:, 0] <= tick) & (after[:, :2].sum(axis=1) > tick), 2]
        assert (np.diff(np.unique(now)) > 1).all()


def test_clusters_of_the_song_stay() -> None:
    close = np.concatenate([SONG, table((0, 8, 53, 1))])
    after = constrained(close, close, GRID, np.append(IS_MELODY, False))
    assert rows(after) == rows(close)


def test_slabs_are_restruck_with_the_songs_chords() -> None:
    new = table((0, 32, 57, 1))
    after = constrained(SONG, np.concatenate([SONG, new]), GRID, IS_MELODY)
    struck = after[after[:, 2] == 57]
    assert struck[:, 0].tolist() == [0, 8 * STEP, 16 * STEP, 24 * STEP]
    assert (struck[:, 1] == 8 * STEP).all()


def test_a_chord_of_the_song_does_not_become_a_slab() -> None:
    longer = SONG.copy()
    first = (longer[:, 2] == 48) & (longer[:, 0] == 120 * STEP)
    longer[first, 1] = 30 * STEP
    assert rows(constrained(SONG, longer, GRID, IS_MELODY)) == rows(SONG)


def score_of(*tracks: tuple[str, Table]) -> symusic.Score:
    score = symusic.Score(4 * STEP)
    for name, notes in tracks:
        track = symusic.Track(name, 0, False)
        for start, length, pitch, velocity, _ in notes.tolist():
            track.notes.append(symusic.Note(start, length, pitch, velocity))
        score.tracks.append(track)
    return score


@pytest.mark.parametrize("names", [("MELODY", "PIANO"), ("", "")])
def test_the_melodys_track_is_known_by_its_name_or_its_notes(names: tuple[str, str]) -> None:
    score = score_of((names[0], MELODY), (names[1], CHORDS))
    assert np.array_equal(melody_of(score, SONG), IS_MELODY)


def test_a_name_outweighs_the_top_line() -> None:
    low = SONG.copy()
    low[IS_MELODY, 2] -= 36
    mask = melody_of(score_of(("Vocals", MELODY), ("Strings", CHORDS)), low)
    assert np.array_equal(mask, IS_MELODY)


def test_of_one_track_the_top_line_is_the_melody() -> None:
    alone = SONG.copy()
    alone[:, 4] = 0
    assert np.array_equal(top_line(alone), IS_MELODY)
    mask = melody_of(score_of(("Piano", alone)), alone)
    assert mask[IS_MELODY].all() and not mask[~IS_MELODY].all()
    assert not len(melody_of(score_of(), alone[:0]))
