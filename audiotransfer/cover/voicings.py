"""Voicings of chords, drawn from counts: near the last one, clear of the melody."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.cover.counts import draw_index
from audiotransfer.cover.harmony import chord_kind, chord_tones

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audiotransfer.leadsheet import Chord

_EMPTY = -99  # fills the rows of voicings with fewer notes
_WIDTH = 5
_SPREAD = 5.0  # semitones around the counted bottom note
_OUTSIDE = 0.03  # weight of a voicing with a tone that is neither the chord's nor a tension of it
_CLUSTER = 0.2  # weight of a voicing with a semitone in it
_COMING = 0.1  # weight of a voicing that soon clashes with the melody
_TENSIONS = {"maj": {2, 9}, "min": {2, 5}, "dom": {2, 9}, "hdim": {5}, "dim": {2}, "sus": {2, 9}}
_ALTERED = {1, 3, 8}  # of dominants that resolve
# Kinds without counts of their own: another kind's, with one degree changed.
_DERIVED = {"dim": ("hdim", {10: 9}), "sus": ("dom", {4: 5})}
# Weights of how far the top voice moves; counted: stays .17, stays or steps .40 of all.
_TOP = np.array([1.0, 1.0, 1.2, 0.75, 0.7, 0.7, 0.55, 0.45, 0.4, 0.3, 0.2, 0.15, 0.1])
_MIDDLE, _HEIGHT = 62, 7.0  # of the top note; counted median 62, middle half 59-65


@dataclass(frozen=True)
class CountedVoicings:
    """Chooses voicings of chords from a counted table (see ``counts.json``).

    ``sizes`` are the shares of two, three, four and five notes; ``lowest`` and ``highest`` limit
    the register; ``rooted`` scales the weight of voicings that hold the root, ``tensions`` of
    those with a tone that is not the chord's.
    """

    table: dict[str, Any]
    sizes: tuple[float, ...]
    lowest: int = 40
    highest: int = 70
    rooted: float = 1.0
    tensions: float = 1.0
    _rows: dict[tuple[str, int], tuple[NDArray[np.int64], NDArray[np.float64]]] = field(
        default_factory=dict, repr=False
    )

    def choose(
        self,
        chord: Chord,
        melody: NDArray[np.float64],
        coming: NDArray[np.float64],
        top: float,
        resolves: bool,
        generator: Generator,
        size: int | None = None,
    ) -> NDArray[np.int64]:
        """Pitches of a voicing, bottom up; none where all of them clash with the melody.

        Args:
            melody: pitches of the melody notes that sound with it.
            coming: pitches of the melody notes that come while it may still sound.
            top: top note of the last voicing.
            resolves: whether a dominant resolves, so that its tensions may be altered.
            size: number of notes, drawn from the shares where it is ``None``.
        """
        pitches, weights = self._candidates(chord, resolves)
        highest = pitches.max(axis=1)
        weights = weights * _TOP[np.minimum(np.abs(highest - round(top)), 12)]
        weights *= np.exp(-0.5 * ((highest - _MIDDLE) / _HEIGHT) ** 2)
        if len(melody):
            weights = np.where(_clash(pitches, melody), 0.0, weights)
            weights = np.where(highest >= melody.min(), 0.15 * weights, weights)
        if len(coming):
            weights = np.where(_clash(pitches, coming), _COMING * weights, weights)
        sizes = (pitches != _EMPTY).sum(axis=1)
        if size is None:
            size = 2 + int(generator.choice(len(self.sizes), p=np.array(self.sizes)))
        for wanted in (size, size - 1, size + 1):
            if weights[sizes == wanted].sum() > 0:
                weights = np.where(sizes == wanted, weights, 0.0)
                break
        if not weights.any():
            return np.zeros(0, np.int64)
        row = draw_index(weights, generator)
        return np.asarray(pitches[row][pitches[row] != _EMPTY], np.int64)

    def _candidates(
        self, chord: Chord, resolves: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """All voicings of a chord in all octaves ``[V, 5]``, and their weights."""
        root, kind = chord.root or 0, chord_kind(chord.quality)
        key = (f"{chord.quality} {resolves}", root)
        if key not in self._rows:
            tones = {(tone - root) % 12 for tone in chord_tones(chord)}
            allowed = tones | _TENSIONS[kind]
            if kind == "dom" and resolves:
                allowed = (allowed | _ALTERED) - ({2} if 1 in tones else set())
            rows, weights = [], []
            for degrees, above, count, middle in self._counted(kind):
                weight = float(count) * (1.0 if degrees <= allowed else _OUTSIDE)
                weight *= self.rooted if 0 in degrees else 1.0
                weight *= 1.0 if degrees <= tones else self.tensions
                weight *= _CLUSTER if 1 in np.diff(above) else 1.0
                for bottom in range(self.lowest, self.highest - above[-1] + 1):
                    if (bottom - root) % 12 == middle[0]:
                        near = np.exp(-0.5 * ((bottom - middle[1]) / _SPREAD) ** 2)
                        notes = [bottom + step for step in above[:_WIDTH]]
                        rows.append(notes + [_EMPTY] * (_WIDTH - len(notes)))
                        weights.append(weight * near)
            self._rows[key] = np.array(rows, np.int64), np.array(weights)
        return self._rows[key]

    def _counted(self, kind: str) -> list[tuple[set[int], list[int], int, tuple[int, int]]]:
        """Rows of a kind: degrees, semitones above the bottom, n, the bottom's degree and pitch."""
        source, changed = _DERIVED.get(kind, (kind, {}))
        shapes = []
        for bottom, above, count, quartiles in self.table[source]:
            degrees = [(bottom + step) % 12 for step in above]
            moves = [changed.get(degree, degree) - degree for degree in degrees]
            notes = [bottom + step + move for step, move in zip(above, moves, strict=True)]
            steps = [note - notes[0] for note in notes]
            place = (notes[0] % 12, quartiles[1] + moves[0])
            shapes.append(({note % 12 for note in notes}, steps, count, place))
        return shapes


def semitone_clashes(pitches: NDArray[np.int64], melody: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether a melody note is a minor ninth (or a semitone) above a note, or a semitone below.

    Args:
        pitches: ``[..., V]``.
        melody: ``[M]``.

    Returns:
        ``[M, ..., V]``.
    """
    above = melody.reshape(-1, *[1] * pitches.ndim) - pitches
    return np.asarray(((above % 12 == 1) & (above > 0)) | (above == -1), bool)


def _clash(pitches: NDArray[np.int64], melody: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which voicings ``[V]`` clash with one of the melody's notes."""
    clash = semitone_clashes(pitches, melody) & (pitches != _EMPTY)
    return np.asarray(clash.any(axis=(0, 2)), bool)
