"""Baselines for genre transfer of phrases: each has either the content or the style."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from audiotransfer.evaluation.metrics.midi import chroma
from audiotransfer.midi.piano_rolls import draw, notes_of

Transfer = Callable[[Tensor, str], Tensor]
"""A system: (phrases [N, 2, S, 84] of 0 and 1, target genre) -> as many phrases."""

_FARTHEST = 6  # semitones
_AT_ONCE = 256


def do_nothing(phrases: Tensor, genre: str) -> Tensor:
    """The phrases themselves: content 1, style 0."""
    return phrases


class RandomPhrases:
    """Random real phrases of the genre from ``pools`` (genre -> phrases): style 1, content 0."""

    def __init__(self, pools: Mapping[str, Tensor], seed: int = 0) -> None:
        self.pools = pools
        self.seed = seed

    def __call__(self, phrases: Tensor, genre: str) -> Tensor:
        pool = self.pools[genre]
        generator = torch.Generator().manual_seed(self.seed)
        # Without replacement, until all have been drawn.
        rounds = -(-len(phrases) // len(pool))
        order = torch.cat([torch.randperm(len(pool), generator=generator) for _ in range(rounds)])
        return pool[order[: len(phrases)]]


class Retrieval:
    """Nearest neighbours: the phrase of the genre in ``pools`` whose chroma is most similar."""

    def __init__(self, pools: Mapping[str, Tensor]) -> None:
        self.pools = pools
        self._directions = {genre: _direction(pool) for genre, pool in pools.items()}

    def __call__(self, phrases: Tensor, genre: str) -> Tensor:
        nearest = [
            (part @ self._directions[genre].T).argmax(dim=1)
            for part in _direction(phrases).split(_AT_ONCE)
        ]
        return self.pools[genre][torch.cat(nearest)]


class Transposed:
    """Transposition at random, by one to six semitones up or down."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def __call__(self, phrases: Tensor, genre: str) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        shifts = torch.randint(1, 2 * _FARTHEST + 1, (len(phrases),), generator=generator)
        shifts = torch.where(shifts > _FARTHEST, _FARTHEST - shifts, shifts)
        return transpose(phrases, shifts)


class Scattered:
    """Moves each note of a phrase to a random step and a random pitch in the phrase's range."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def __call__(self, phrases: Tensor, genre: str) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        return torch.stack([self._scatter(phrase, generator) for phrase in phrases])

    def _scatter(self, phrase: Tensor, generator: torch.Generator) -> Tensor:
        notes = notes_of(phrase.bool().numpy())
        if not len(notes):
            return phrase
        steps, lowest = phrase.shape[1], notes[:, 2].min()
        rows = int(notes[:, 2].max() - lowest) + 1
        cells = torch.randperm(steps * rows, generator=generator)[: len(notes)].numpy()
        begin, row = np.divmod(cells, rows)
        length = np.minimum(notes[:, 1], steps - begin)
        roll = draw(np.stack([begin, length, lowest + row], axis=1), steps)
        return torch.from_numpy(roll).to(phrase.dtype)


def transpose(phrases: Tensor, semitones: Tensor) -> Tensor:
    """Transposes phrases [N, 2, S, 84], each by its own semitones [N]; notes outside are lost."""
    pitches = phrases.shape[-1]
    source = torch.arange(pitches) - semitones[:, None]
    index = source.clamp(0, pitches - 1)[:, None, None].expand_as(phrases)
    inside = ((source >= 0) & (source < pitches))[:, None, None]
    return phrases.gather(-1, index) * inside


def _direction(phrases: Tensor) -> Tensor:
    """Centred chroma of phrases as unit vectors [N, W * 12]."""
    parts = [chroma(part) for part in phrases.split(_AT_ONCE)]
    classes = torch.cat(parts)
    return F.normalize((classes - classes.mean(dim=-1, keepdim=True)).flatten(1), dim=1)
