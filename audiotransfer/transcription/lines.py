"""Lines from detected notes: a clean melody, and what is neither melody nor bass.

A table of notes ``[N, 5]`` holds start and end in seconds, MIDI pitch, velocity, and confidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.leadsheet import Note

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

START, END, PITCH, VELOCITY, SURE = range(COLUMNS := 5)
_SPECK, _BRIEF = 0.045, 0.085  # seconds: of no note, and of a note only where it is sure
_LEAST_SURE = 0.5  # confidence of a brief note that stands alone
_ALONE = 0.15  # seconds to its neighbours
_TOUCH = 0.035  # seconds between notes of one sound
_GLIDE, _FLICKER = 0.075, 0.11  # seconds of a turn into a note, and of one inside it
_OCTAVE, _RETURN = 12, 5  # semitones of a jump, and between a line's notes without it
_PHRASE = 1.0  # seconds of rest after which a jump is no mistake
_UNSURE = 0.75  # of the neighbours' confidence, below which a note may be in the wrong octave
_LONGEST_RUN = 3  # notes that are in the wrong octave together
_SAME_START = 0.08  # seconds between detections of one note
_SAME = 0.5  # least share of a note that another detection of it covers
_PARTIALS = (12, 19, 24)  # semitones of overtones
_PARTIAL_SURE = 0.6  # confidence below which they are no notes of their own


def table_of(notes: Iterable[Note]) -> NDArray[np.float64]:
    """Notes as a table, sorted by start, then pitch."""
    rows = [(n.start, n.start + n.duration, n.pitch, n.velocity, n.confidence) for n in notes]
    table = np.array(rows, dtype=np.float64).reshape(-1, COLUMNS)
    return table[np.lexsort((table[:, PITCH], table[:, START]))]


def notes_of(table: NDArray[np.float64]) -> tuple[Note, ...]:
    """The notes of a table; pitches and velocities are rounded."""
    return tuple(
        Note(round(start, 6), round(end - start, 6), round(pitch), round(velocity), round(sure, 3))
        for start, end, pitch, velocity, sure in table.tolist()
    )


def clean_melody(notes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The melody with one note at a time, without specks, flickers and jumps by an octave.

    A brief note a semitone beside the one that it touches is part of it (a glide, or vibrato).
    One to three notes that are less sure than their neighbours, and an octave away from both, take
    their octave.
    """
    if not len(notes):
        return np.zeros((0, COLUMNS))
    notes = notes[np.lexsort((notes[:, PITCH], notes[:, START]))]
    notes = _without_glides(_one_voice(notes))
    notes = _without_specks(notes)
    return _in_octave(notes)


def others_of(
    notes: NDArray[np.float64], melody: NDArray[np.float64], bass: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The notes that are neither the melody's nor the bass's, nor overtones of these."""
    kept = np.ones(len(notes), dtype=bool)
    for line in (melody, bass):
        if not len(line) or not len(notes):
            continue
        order = np.argsort(line[:, START])
        line = line[order]
        reach = np.maximum.accumulate(line[:, END])
        for index in np.flatnonzero(kept).tolist():
            start, end, pitch, _, sure = notes[index]
            low = int(np.searchsorted(reach, start))
            high = int(np.searchsorted(line[:, START], end))
            near = line[low:high]
            shared = np.minimum(near[:, END], end) - np.maximum(near[:, START], start)
            covers = shared >= _SAME * (end - start)
            above = np.rint(pitch - near[:, PITCH])
            same = covers & (above == 0)
            together = np.abs(near[:, START] - start) <= _SAME_START
            partial = covers & together & np.isin(above, _PARTIALS) & (sure < _PARTIAL_SURE)
            kept[index] = not (same | partial).any()
    return notes[kept & (notes[:, END] - notes[:, START] >= _SPECK)]


def _one_voice(notes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Notes that end where the next one begins."""
    notes = notes.copy()
    notes[:-1, END] = np.minimum(notes[:-1, END], notes[1:, START])
    return notes[notes[:, END] > notes[:, START] + 1e-4]


def _without_glides(notes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Notes, joined with brief ones a semitone beside them that they touch."""
    kept: list[NDArray[np.float64]] = []
    for note in [*notes, None]:
        if len(kept) > 1 and _is_flicker(kept, note):
            assert note is not None
            first = kept[-2]
            whole = np.average([first, note], axis=0, weights=[_length(first), _length(note)])
            whole[START], whole[END] = first[START], note[END]
            kept[-2:] = [whole]
            continue
        if kept and note is not None and _is_glide(kept[-1], note):
            note = note.copy()
            note[START] = kept.pop()[START]
        elif len(kept) > 1 and _is_glide(kept[-1], kept[-2]):
            kept[-2][END] = kept.pop()[END]
        if note is not None:
            kept.append(note.copy())
    return np.array(kept).reshape(-1, COLUMNS)


def _is_flicker(kept: list[NDArray[np.float64]], note: NDArray[np.float64] | None) -> bool:
    """Whether the last of some notes is a turn between the one before it and ``note``."""
    if note is None:
        return False
    first, middle = kept[-2:]
    touching = max(middle[START] - first[END], note[START] - middle[END]) <= _TOUCH
    same = abs(note[PITCH] - first[PITCH]) < 0.5
    beside = abs(middle[PITCH] - first[PITCH]) <= 1.2
    return bool(touching and same and beside and _length(middle) <= _FLICKER)


def _is_glide(brief: NDArray[np.float64], note: NDArray[np.float64]) -> bool:
    """Whether a note is the way into, or out of, another one."""
    gap = max(brief[START] - note[END], note[START] - brief[END])
    beside = 0.5 <= abs(note[PITCH] - brief[PITCH]) <= 1.2
    return bool(gap <= _TOUCH and beside and _length(brief) <= min(_GLIDE, _length(note)))


def _length(note: NDArray[np.float64]) -> float:
    return float(note[END] - note[START])


def _without_specks(notes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Notes without those that are too brief, or brief, unsure and alone."""
    length = notes[:, END] - notes[:, START]
    before = np.diff(notes[:, START], prepend=-np.inf)
    before[1:] = notes[1:, START] - notes[:-1, END]
    after = np.append(before[1:], np.inf)
    alone = (before > _ALONE) & (after > _ALONE)
    speck = (length < _SPECK) | ((length < _BRIEF) & alone & (notes[:, SURE] < _LEAST_SURE))
    return notes[~speck]


def _in_octave(notes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Notes, of which short unsure runs an octave away from both their neighbours are moved."""
    notes = notes.copy()
    index = 1
    while index < len(notes) - 1:
        index += max(_move_run(notes, index), 1)
    return notes


def _move_run(notes: NDArray[np.float64], index: int) -> int:
    """Moves the run that begins at ``index`` by an octave if it should be; returns its length."""
    before = notes[index - 1]
    for length in range(1, _LONGEST_RUN + 1):
        end = index + length
        if (
            end >= len(notes)
            or (notes[index : end + 1, START] - notes[index - 1 : end, END]).max() > _PHRASE
        ):
            return 0
        after = notes[end]
        neighbours = (before[PITCH] + after[PITCH]) / 2
        shift = -_OCTAVE * np.sign(notes[index, PITCH] - neighbours)
        line = np.concatenate([[before[PITCH]], notes[index:end, PITCH] + shift, [after[PITCH]]])
        away = np.abs(notes[index:end, PITCH] - neighbours).min() > _OCTAVE / 2
        unsure = notes[index:end, SURE].mean() < _UNSURE * min(before[SURE], after[SURE])
        if away and unsure and np.abs(np.diff(line)).max() <= _RETURN:
            notes[index:end, PITCH] += shift
            return length
    return 0
