"""Voice leading: parallel fifths and octaves, crossed voices, and pitches that avoid them.

A model that samples step by step learns most rules of the style from data. Parallels it makes
twenty times as often as the chorales, which is plainly audible.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator

from audiotransfer.symbolic.accompaniment.chorales import Voices
from audiotransfer.symbolic.accompaniment.masked_voices import LOWEST, PITCHES

_PERFECT = (0, 7)  # semitones, octaves aside


def parallels(voices: Voices) -> NDArray[np.bool_]:
    """Parallel fifths and octaves: [..., T, V] -> bool [..., T - 1, pairs].

    Two voices move in the same direction from a fifth or octave to the same interval. Pitches are
    MIDI, below 0 for a rest; pairs are in the order of `combinations`.
    """
    upper, lower = _pairs(voices)
    ways = np.sign(np.diff(voices, axis=-2))
    together = (ways[..., upper] == ways[..., lower]) & (ways[..., upper] != 0)
    intervals = (voices[..., upper] - voices[..., lower]) % 12
    perfect = np.isin(intervals, _PERFECT) & (voices[..., upper] >= 0) & (voices[..., lower] >= 0)
    same_interval = perfect[..., 1:, :] & perfect[..., :-1, :] & (np.diff(intervals, axis=-2) == 0)
    found: NDArray[np.bool_] = together & same_interval
    return found


def crossed(voices: Voices) -> NDArray[np.bool_]:
    """Steps at which a voice is above a higher one: [..., T, V] -> bool [..., T]."""
    upper, lower = _pairs(voices)
    above = (voices[..., lower] > voices[..., upper]) & (voices[..., upper] >= 0)
    return np.asarray(above.any(-1))


def _pairs(voices: Voices) -> tuple[list[int], list[int]]:
    """Indices of the upper and the lower voice of each pair."""
    upper, lower = zip(*combinations(range(voices.shape[-1]), 2), strict=True)
    return list(upper), list(lower)


@dataclass(frozen=True)
class Alternative:
    """A note of a lower voice, and pitches with fewer parallels and no more crossed voices."""

    voice: int
    steps: slice
    pitches: NDArray[np.int64]


def alternatives(
    voices: Voices, generator: Generator, fixed: NDArray[np.bool_] | None = None
) -> list[Alternative]:
    """Notes next to parallels in voices [T, 4] that can be changed at once, and their pitches.

    A random set of notes no two of which are neighbours. It is empty where no other pitch of a
    single note leaves fewer parallels. Steps that are ``fixed``, bool [T, 4], do not change: a note
    is cut where they begin and end.
    """
    if fixed is None:
        fixed = np.zeros(voices.shape, dtype=bool)
    steps, pairs = parallels(voices).nonzero()
    both = np.array(_pairs(voices))[:, pairs]
    notes = [
        (voice, step + side)
        for line in both.tolist()
        for step, voice in zip(steps.tolist(), line, strict=True)
        for side in (0, 1)
        if voice > 0
    ]
    taken = np.zeros(len(voices), dtype=bool)
    found = []
    for number in torch.randperm(len(notes), generator=generator).tolist():
        voice, step = notes[number]
        if fixed[step, voice]:
            continue
        first, after = _note(voices[:, voice], fixed[:, voice], step)
        around = slice(max(0, first - 1), after + 1)
        if taken[around].any():
            continue
        inside = slice(first - around.start, after - around.start)
        pitches = _better(voices[around], voice, inside)
        if len(pitches):
            taken[around] = True
            found.append(Alternative(voice, slice(first, after), pitches))
    return found


def _better(voices: Voices, voice: int, inside: slice) -> NDArray[np.int64]:
    """Pitches of a note that leave fewer parallels and no more crossings around it."""
    pitches = np.arange(LOWEST, LOWEST + PITCHES)
    tried = np.repeat(voices[None], len(pitches), axis=0)
    tried[:, inside, voice] = pitches[:, None]
    fewer = parallels(tried).sum((1, 2)) < parallels(voices).sum()
    better: NDArray[np.int64] = pitches[fewer & (crossed(tried).sum(1) <= crossed(voices).sum())]
    return better


def _note(line: Voices, fixed: NDArray[np.bool_], step: int) -> tuple[int, int]:
    """First step and end of the note that sounds at a step, or of its part as fixed as the step."""
    begins = np.flatnonzero((np.diff(line) != 0) | (fixed[1:] != fixed[:-1])) + 1
    place = np.searchsorted(begins, step, "right")
    first, after = np.concatenate([[0], begins, [len(line)]])[place : place + 2].tolist()
    return first, after
