"""What any transfer of phrases has to beat: each looks like one, and has one thing only."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from audiotransfer.evaluation.metrics.midi import chroma
from audiotransfer.midi.piano_rolls import draw, notes_of

Transfer = Callable[[Tensor, str], Tensor]
"""Phrases [N, 2, S, 84] of 0 and 1, and the genre asked for -> as many phrases."""

_FARTHEST = 6  # semitones
_AT_ONCE = 256


def do_nothing(phrases: Tensor, genre: str) -> Tensor:
    """All of the content and none of the style."""
    return phrases


class RandomPhrases:
    """Real phrases of the genre, drawn from ``pools``: all of the style and none of the content."""

    def __init__(self, pools: Mapping[str, Tensor], seed: int = 0) -> None:
        self.pools = pools
        self.seed = seed

    def __call__(self, phrases: Tensor, genre: str) -> Tensor:
        pool = self.pools[genre]
        generator = torch.Generator().manual_seed(self.seed)
        # All are drawn once before any is drawn again.
        rounds = -(-len(phrases) // len(pool))
        order = torch.cat([torch.randperm(len(pool), generator=generator) for _ in range(rounds)])
        return pool[order[: len(phrases)]]


class Retrieval:
    """The training phrase of the genre whose chroma is nearest: style, what content there is in
    the collection, and nothing new.
    """

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
    """Every phrase by some semitones, up to six up or down: what a change of key alone does."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def __call__(self, phrases: Tensor, genre: str) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        shifts = torch.randint(1, 2 * _FARTHEST + 1, (len(phrases),), generator=generator)
        shifts = torch.where(shifts > _FARTHEST, _FARTHEST - shifts, shifts)
        return transpose(phrases, shifts)


class Scattered:
    """As many notes of the same lengths, anywhere in the phrase and in its range of pitches."""

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
    """Phrases [N, 2, S, 84], each by its own number of semitones [N]; what leaves is lost."""
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
