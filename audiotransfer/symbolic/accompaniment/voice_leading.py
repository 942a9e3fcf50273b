"""Voice leading: parallel fifths and octaves, crossed voices, and notes that would do better.

What a model draws step by step keeps most rules of its school without being told. Parallels it
makes twenty times as often as the chorales, and a listener who knows them hears it at once.
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
    """Where two voices leave a fifth or octave together, the same way, for another of its kind.

    voices: MIDI pitches [..., T, V], below 0 where one rests. Returns [..., T - 1, pairs], of the
    moves from each step to the next; pairs as `combinations` has them.
    """
    upper, lower = _pairs(voices)
    ways = np.sign(np.diff(voices, axis=-2))
    together = (ways[..., upper] == ways[..., lower]) & (ways[..., upper] != 0)
    kinds = (voices[..., upper] - voices[..., lower]) % 12
    perfect = np.isin(kinds, _PERFECT) & (voices[..., upper] >= 0) & (voices[..., lower] >= 0)
    stays = perfect[..., 1:, :] & perfect[..., :-1, :] & (np.diff(kinds, axis=-2) == 0)
    found: NDArray[np.bool_] = together & stays
    return found


def crossed(voices: Voices) -> NDArray[np.bool_]:
    """Where a voice is above one that should be above it: [..., T, V] -> [..., T]."""
    upper, lower = _pairs(voices)
    above = (voices[..., lower] > voices[..., upper]) & (voices[..., upper] >= 0)
    return np.asarray(above.any(-1))


def _pairs(voices: Voices) -> tuple[list[int], list[int]]:
    """The upper and the lower voice of each pair."""
    upper, lower = zip(*combinations(range(voices.shape[-1]), 2), strict=True)
    return list(upper), list(lower)


@dataclass(frozen=True)
class Choice:
    """A note of a lower voice, and the pitches by which there would be fewer parallels and no more
    crossed voices.
    """

    voice: int
    steps: slice
    pitches: NDArray[np.int64]


def choices(voices: Voices, generator: Generator) -> list[Choice]:
    """Notes next to parallels in voices [T, 4] that may be led otherwise, all at the same time.

    They are as many as have no step in common with another one's surroundings, drawn at random.
    There are none where no other pitch of a single note leaves fewer parallels.
    """
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
        first, after = _note(voices[:, voice], step)
        around = slice(max(0, first - 1), after + 1)
        if taken[around].any():
            continue
        inside = slice(first - around.start, after - around.start)
        pitches = _better(voices[around], voice, inside)
        if len(pitches):
            taken[around] = True
            found.append(Choice(voice, slice(first, after), pitches))
    return found


def _better(voices: Voices, voice: int, inside: slice) -> NDArray[np.int64]:
    """The pitches that a note may have, by what becomes of it and the steps around it."""
    pitches = np.arange(LOWEST, LOWEST + PITCHES)
    tried = np.repeat(voices[None], len(pitches), axis=0)
    tried[:, inside, voice] = pitches[:, None]
    fewer = parallels(tried).sum((1, 2)) < parallels(voices).sum()
    return pitches[fewer & (crossed(tried).sum(1) <= crossed(voices).sum())]


def _note(line: Voices, step: int) -> tuple[int, int]:
    """The first step of the note that sounds at a step, and the one after its last."""
    begins = np.flatnonzero(np.diff(line)) + 1
    place = np.searchsorted(begins, step, "right")
    first, after = np.concatenate([[0], begins, [len(line)]])[place : place + 2].tolist()
    return first, after
