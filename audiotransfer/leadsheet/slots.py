"""Pitch-class features of notes over slots of a beat: what chords, keys and form are read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiotransfer.leadsheet.leadsheet import Bar

_BASS_RANGE = 4.0  # semitones above the lowest note at which a note's bass weight falls to 1/e
_SHORTEST = 0.15  # share of a slot that a note must fill to be counted
_HALF_NOTE = 2  # denominator up to which a beat has two slots


@dataclass(frozen=True)
class Slots:
    """Spans of a beat, or of half a beat where a beat is a half note.

    ``edges`` ``[S + 1]`` are places in beats; ``bars`` ``[S]`` the index of each slot's bar;
    ``places`` ``[S]`` are 0 at the start of a bar, 1 in its middle, 2 on other beats, 3 between
    beats.
    """

    edges: NDArray[np.float64]
    bars: NDArray[np.int64]
    places: NDArray[np.int64]

    @classmethod
    def of(cls, bars: Sequence[Bar]) -> Slots:
        """The slots of all beats of some bars."""
        edges: list[float] = []
        number: list[int] = []
        places: list[int] = []
        for index, bar in enumerate(bars):
            parts = 2 if bar.denominator <= _HALF_NOTE else 1
            for slot in range(bar.beats * parts):
                edges.append(bar.beat + slot / parts)
                number.append(index)
                middle = bar.beats % 2 == 0 and slot == bar.beats * parts // 2
                places.append(0 if slot == 0 else 1 if middle else 3 if slot % parts else 2)
        edges.append(bars[-1].beat + bars[-1].beats)
        return cls(np.array(edges), np.array(number), np.array(places))


def chroma_of(
    notes: NDArray[np.float64], edges: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pitch classes of all notes, and of the bass, in S slots: two arrays ``[S, 12]``.

    ``notes`` ``[N, >=4]`` are start and end in beats, pitch and velocity. Each note counts by the
    share of the slot that it fills, times the square root of its velocity; for the bass, the less
    the higher it is over the slot's lowest note.
    """
    slot, note, share = overlaps(notes[:, :2], edges)
    kept = (share >= _SHORTEST) | (notes[note, 0] >= edges[slot] - 1e-6)
    slot, note, share = slot[kept], note[kept], share[kept]
    pitch = notes[note, 2].astype(np.int64)
    weight = share * np.sqrt(notes[note, 3] / 127.0)
    chroma = np.zeros((len(edges) - 1, 12))
    np.add.at(chroma, (slot, pitch % 12), weight)
    lowest = np.full(len(edges) - 1, 128)
    np.minimum.at(lowest, slot, pitch)
    bass = np.zeros_like(chroma)
    np.add.at(bass, (slot, pitch % 12), weight * np.exp((lowest[slot] - pitch) / _BASS_RANGE))
    return chroma, bass


def overlaps(
    spans: NDArray[np.float64], edges: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Pairs of slots and spans that overlap: slot, span, and the share of the slot, each ``[M]``.

    ``spans`` ``[N, 2]`` are start and end, ``edges`` ``[S + 1]`` the slots' edges.
    """
    count = len(edges) - 1
    first = np.clip(np.searchsorted(edges, spans[:, 0], side="right") - 1, 0, count - 1)
    last = np.clip(np.searchsorted(edges, spans[:, 1], side="left") - 1, first, count - 1)
    lengths = last - first + 1
    span = np.repeat(np.arange(len(spans)), lengths)
    slot = np.arange(len(span)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + first[span]
    inside = np.minimum(spans[span, 1], edges[slot + 1]) - np.maximum(spans[span, 0], edges[slot])
    share = inside / (edges[slot + 1] - edges[slot])
    kept = share > 0
    return slot[kept], span[kept], share[kept]


def normalised(chroma: NDArray[np.float64]) -> NDArray[np.float64]:
    """Square roots of the shares of pitch classes ``[S, 12]``; zeros where nothing sounds."""
    total = chroma.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = np.sqrt(chroma / np.maximum(total, 1e-9))
    return shares
