"""Drum patterns as text: a beat is a word, a character a part of the beat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from numpy.random import Generator

#: Letter -> General MIDI key; capitals are accents, small letters soft.
KEYS = {"k": 36, "s": 38, "x": 37, "h": 48, "l": 45, "c": 49, "r": 51, "b": 53, "f": 44, "t": 42}
REST = "."


def hits(pattern: str) -> Iterator[tuple[float, int, bool]]:
    """The hits of a pattern: place in beats from its start, General MIDI key, accent.

    ``"S. hhh LK"`` are three beats: in eighths a loud snare and a rest, in triplets the high tom,
    in eighths low tom and kick. Raises AudioTransferError for an unknown letter.
    """
    for beat, word in enumerate(pattern.split()):
        for part, letter in enumerate(word):
            if letter == REST:
                continue
            if letter.lower() not in KEYS:
                raise AudioTransferError(f"drum pattern {pattern!r} has an unknown letter {letter}")
            yield beat + part / len(word), KEYS[letter.lower()], letter.isupper()


def onsets(rhythm: str, division: int = 2) -> list[float]:
    """Places in beats of a rhythm like ``x. xx``, with ``division`` characters a beat."""
    marks = rhythm.replace(" ", "")
    return [index / division for index, mark in enumerate(marks) if mark != REST]


def beats(pattern: str) -> int:
    """Length of a pattern in beats."""
    return len(pattern.split())


def draw(table: Mapping[str, float], random: Generator) -> str:
    """One of the patterns of a table of weights."""
    names = list(table)
    weights = np.array([table[name] for name in names], dtype=np.float64)
    return names[int(random.choice(len(names), p=weights / weights.sum()))]
