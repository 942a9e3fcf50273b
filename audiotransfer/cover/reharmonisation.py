"""Reharmonises a song as jazz does: sevenths, ii-V's, tritone substitutes, passing chords."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.cover.band import Harmony
from audiotransfer.cover.harmony import CHORD_TYPES, add_sevenths, chord_kind, clashes, key_at
from audiotransfer.cover.plan import SEVENTHS, SUBSTITUTES, TWO_FIVES
from audiotransfer.leadsheet.leadsheet import Chord

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audiotransfer.leadsheet import LeadSheet

#: Shares of bars that may get another root, by strength: the song is to be recognised.
_SHARES = ((0.75, 0.9, 1.0), (0.12, 0.18, 0.27))
_TRITONES = 0.18  # counted: 954 of 5,404 dominants resolve down a semitone, not a fifth
_FIRST = 0.7  # share of the changes that ii-V's make up where there are substitutes too
_FIFTH = 7
_Change = tuple[int, float, tuple[Chord, ...]]  # index of the chord, weight, what replaces it


def reharmonise(
    sheet: LeadSheet,
    melody: NDArray[np.float64],
    strength: float,
    generator: Generator,
    settings: Harmony | None = None,
    kept: Collection[int] = (),
) -> tuple[tuple[Chord, ...], frozenset[int]]:
    """Reharmonises the chords of a lead sheet; the same generator state gives the same chords.

    Below a strength of 0.6 the chords stay; then they get sevenths, from 0.75 on ii-V's and
    dominants before their targets, from 0.9 on tritone substitutes and diminished passing chords.
    No new chord has a tone a minor ninth below a melody note on a beat or longer than half a beat.

    Args:
        melody: ``[N, 4]``, place and length in beats, pitch, velocity.
        settings: of the band; its ``share`` scales the share of bars that may get another root,
            0.27 at strength 1.
        kept: indices of bars that keep the song's roots, as those that live by a riff.

    Returns:
        The chords, and the indices of the bars with another root than in the song.
    """
    settings = settings or Harmony()
    if strength < SEVENTHS or not sheet.chords:
        return sheet.chords, frozenset()
    fuller = sheet.chords
    if settings.sevenths:
        fuller = add_sevenths(sheet, sheet.chords, melody)
    if strength < TWO_FIVES:
        return fuller, frozenset()
    chords = list(fuller)
    share = float(np.interp(strength, *_SHARES)) * settings.share
    limit = round(share * len(sheet.bars))
    substitutes = strength >= SUBSTITUTES
    first = round(limit * (_FIRST if substitutes else 1))
    changes = _outside(sheet, chords, _two_fives(sheet, chords), kept)
    chords = _apply(sheet, fuller, chords, melody, first, generator, changes)
    if substitutes:
        candidates = [*_substitutes(sheet, chords, generator), *_passing(sheet, chords)]
        candidates = _outside(sheet, chords, candidates, kept)
        chords = _apply(sheet, fuller, chords, melody, limit, generator, candidates)
    return tuple(chords), other_roots(sheet, chords)


def other_roots(sheet: LeadSheet, chords: Sequence[Chord]) -> frozenset[int]:
    """Indices of the bars in which some beat has another root than in the lead sheet."""
    places = _places(sheet)
    differ = _roots(sheet.chords, places) != _roots(chords, places)
    return frozenset(int(index) for index in np.flatnonzero(_bars(_starts(sheet), differ)))


def _places(sheet: LeadSheet) -> NDArray[np.float64]:
    return np.arange(len(sheet.beats) - 1, dtype=np.float64) + 0.01


def _roots(chords: Sequence[Chord], places: NDArray[np.float64]) -> NDArray[np.int64]:
    roots = np.array([-1 if chord.root is None else chord.root for chord in chords], np.int64)
    return _at(roots, chords, places)


def _at(
    values: NDArray[np.int64], chords: Sequence[Chord], places: NDArray[np.float64]
) -> NDArray[np.int64]:
    """The values of the chords that sound at places in beats."""
    starts = np.array([chord.beat for chord in chords])
    index = np.searchsorted(starts, places, "right") - 1
    return np.asarray(values[np.maximum(index, 0)], np.int64)


def _outside(
    sheet: LeadSheet, chords: Sequence[Chord], changes: Iterable[_Change], bars: Collection[int]
) -> list[_Change]:
    """The changes of chords that sound in none of some bars."""
    inside = list(changes)
    if not bars:
        return inside
    spans = [(chords[index].beat, new[-1].beat + new[-1].beats) for index, _, new in inside]
    first = sheet.bar_at(np.array([start for start, _ in spans]) + 0.01)
    last = sheet.bar_at(np.array([end for _, end in spans]) - 0.01)
    return [
        change
        for change, start, end in zip(inside, first.tolist(), last.tolist(), strict=True)
        if not any(bar in bars for bar in range(start, end + 1))
    ]


def _apply(
    sheet: LeadSheet,
    fuller: Sequence[Chord],
    chords: Sequence[Chord],
    melody: NDArray[np.float64],
    limit: int,
    generator: Generator,
    candidates: list[_Change],
) -> list[Chord]:
    """Makes candidate changes in random order, as long as the melody and the limit allow.

    ``fuller`` are the song's chords with sevenths; ``limit`` is the most bars that may differ.
    """
    draws = generator.random(len(candidates))
    order = np.argsort([draw / change[1] for draw, change in zip(draws, candidates, strict=True)])
    places, starts, known = _places(sheet), _starts(sheet), set(chords)
    song = _sounds(fuller, places)
    changed = _sounds(chords, places) != song
    changes: dict[int, tuple[Chord, ...]] = {}
    for candidate in order:
        index, _, new = candidates[candidate]
        moved = new[0].root != chords[index].root
        approached = index - 1 in changes and moved  # what leads to this chord would miss it
        misses = index + 1 in changes and changes[index + 1][0].root != chords[index + 1].root
        if index in changes or approached or misses:
            continue
        if any(clashes(chord, melody) for chord in new if chord not in known):
            continue
        inside = (places >= chords[index].beat) & (places < new[-1].beat + new[-1].beats)
        after = np.where(inside, _sounds(new, places) != song, changed)
        if _bars(starts, after).sum() <= max(limit, _bars(starts, changed).sum()):
            changes[index], changed = new, after
    return [new for index, chord in enumerate(chords) for new in changes.get(index, (chord,))]


def _sounds(chords: Sequence[Chord], places: NDArray[np.float64]) -> NDArray[np.int64]:
    """Root and kind of the chords at places in beats, as one number each."""
    numbers = [CHORD_TYPES.index(chord_kind(chord.quality)) for chord in chords]
    return _roots(chords, places) + 20 * _at(np.array(numbers, np.int64), chords, places)


def _starts(sheet: LeadSheet) -> NDArray[np.int64]:
    return np.array([bar.beat for bar in sheet.bars], np.int64)


def _bars(starts: NDArray[np.int64], differ: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether any beat of each bar differs; bars begin at ``starts``."""
    return np.logical_or.reduceat(differ, starts)


def _two_fives(sheet: LeadSheet, chords: Sequence[Chord]) -> Iterator[_Change]:
    """A ii before a dominant that resolves; ii-V's or dominants at the end of longer chords."""
    for index, chord, following, bar in _changes(sheet, chords):
        root, target = chord.root or 0, following.root or 0
        minor = chord_kind(following.quality) in ("min", "hdim", "dim")
        if chord_kind(chord.quality) == "dom" and (target - root) % 12 == 12 - _FIFTH:
            before = chords[index - 1].root if index else None
            if chord.beats >= bar > 1 and before != (root + _FIFTH) % 12:
                two = ("m7b5" if minor else "m7", root + _FIFTH)
                yield index, 1.0, _split(chord, [two, (chord.quality, root)], chord.beats / 2)
            continue
        key = key_at(sheet, chord.beat)
        four = key.mode == "major" and (root - key.tonic) % 12 == 5
        if four and chord_kind(following.quality) == "dom" and target == (key.tonic + _FIFTH) % 12:
            new = replace(chord, root=(key.tonic + 2) % 12, quality="m7")
            if chord.beats <= bar:
                yield index, 1.0, (new,)
                continue
        diminished = {chord_kind(chord.quality), chord_kind(following.quality)} & {"hdim", "dim"}
        if following.beats < 2 or target in (root, (root + 5) % 12 if minor else -1) or diminished:
            continue
        five = ("7b9" if minor else "7", target + _FIFTH)
        if chord_kind(following.quality) == "dom" and chord.beats < 2 * bar:
            five = ("m7", target + _FIFTH)  # its ii rather than its dominant
        two = ("m7b5" if minor else "m7", target + 2)
        alike = chord_kind(five[0]) == chord_kind(chord.quality) or chord.quality == ""
        if chord.beats < 2 * bar and five[1] % 12 == root and alike:
            continue
        if chord.beats >= 2 * bar:
            keep = [(chord.quality, root)]
            yield index, 1.0, _split(chord, [*keep, two, five], bar / 2)
        elif chord.beats >= bar > 1:
            yield index, 0.5, _split(chord, [(chord.quality, root), five], bar // 2)


def _substitutes(
    sheet: LeadSheet, chords: Sequence[Chord], generator: Generator
) -> Iterator[_Change]:
    """Dominants a tritone away, of dominants that resolve down a fifth; of long ones the end."""
    for index, chord, following, bar in _changes(sheet, chords):
        root = chord.root or 0
        resolves = ((following.root or 0) - root) % 12 == 12 - _FIFTH
        if chord_kind(chord.quality) == "dom" and resolves and generator.random() < 2 * _TRITONES:
            new = replace(chord, root=(root + 6) % 12, quality="7", bass=None)
            parts = _split(chord, [(chord.quality, root), ("7", root + 6)], bar)
            yield index, 1.0, parts if chord.beats > bar else (new,)


def _passing(sheet: LeadSheet, chords: Sequence[Chord]) -> Iterator[_Change]:
    """Diminished chords between roots a tone apart; the third or sixth degree for the tonic."""
    for index, chord, following, bar in _changes(sheet, chords):
        root, target = chord.root or 0, following.root or 0
        if (target - root) % 12 == 2 and chord.beats >= bar > 1:
            passing = [(chord.quality, root), ("dim7", root + 1)]
            yield index, 0.6, _split(chord, passing, bar // 2)
        key = key_at(sheet, chord.beat)
        tonic = key.mode == "major" and root == key.tonic and chord_kind(chord.quality) == "maj"
        if tonic and index and chord.beats <= bar and target not in (root, (root + 4) % 12):
            yield index, 0.25, (replace(chord, root=(root + 4) % 12, quality="m7"),)
        if tonic and chord.beats == 2 * bar:
            yield index, 0.5, _split(chord, [(chord.quality, root), ("m7", root + 9)], bar)


def _changes(sheet: LeadSheet, chords: Sequence[Chord]) -> Iterator[tuple[int, Chord, Chord, int]]:
    """Chords in root position before another, with their index and the beats of their bar."""
    for index, (chord, following) in enumerate(pairwise(chords)):
        if chord.root is None or following.root is None or chord.bass is not None:
            continue
        yield index, chord, following, sheet.bars[sheet.bar_at(chord.beat)].beats


def _split(chord: Chord, parts: list[tuple[str, int]], tail: float) -> tuple[Chord, ...]:
    """Divides a chord: the first part, then the others of ``tail`` beats each up to its end."""
    tail = max(float(round(tail)), 1.0)
    end = chord.beat + chord.beats
    starts = [chord.beat, *(end - tail * left for left in range(len(parts) - 1, 0, -1))]
    ends = [*starts[1:], end]
    if any(after <= before for before, after in zip(starts, ends, strict=True)):
        return (chord,)
    return tuple(
        replace(chord, beat=start, beats=stop - start, root=root % 12, quality=quality)
        for (quality, root), start, stop in zip(parts, starts, ends, strict=True)
    )
