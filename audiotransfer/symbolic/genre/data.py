"""Training data of genre transfer: phrases of MIDI archives by genre, and random batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.symbolic.genre.cycle_gan import MIXED
from audiotransfer.symbolic.genre.phrases import PhraseSet, PhraseSettings, phrases_of, split_pieces

#: Range of random transpositions in semitones: every key once.
KEYS = (-6, 5)
Archives = dict[str, dict[str, PhraseSettings]]
"""Genre -> folder or zip of MIDI files -> which phrases of it are used."""

PARTS = ("train", "validation", "test")


class PairBatches:
    """Random phrases of two genres, and "mixed" ones of the genres in ``mixed``.

    A batch has an entry for each, float32 [B, 2, 64, 84], and depends on seed and step alone. As in
    the paper all genres have as many phrases as the smallest, selected once.
    """

    def __init__(
        self,
        phrases: Mapping[str, PhraseSet],
        pair: tuple[str, str],
        batch: int,
        seed: int = 0,
        *,
        mixed: Sequence[str] = (),
        transpose: bool = False,
    ) -> None:
        require(phrases, {*pair, *mixed})
        self.pair, self.size, self.seed, self.transpose = pair, batch, seed, transpose
        fewest = min(len(phrases[genre]) for genre in {*pair, *mixed})
        self.sets = {
            genre: (phrases[genre], np.sort(_random(seed, 0, n).permutation(
                len(phrases[genre]))[:fewest]))
            for n, genre in enumerate(dict.fromkeys((*pair, *mixed)))
        }  # fmt: skip
        self.mixed = tuple(mixed)

    def batch(self, step: int) -> dict[str, Tensor]:
        random = _random(self.seed, 1, step)
        found = {genre: self._draw((genre,), random) for genre in self.pair}
        if self.mixed:
            found[MIXED] = self._draw(self.mixed, random)
        return found

    def _draw(self, genres: Sequence[str], random: Generator) -> Tensor:
        rolls = []
        for _ in range(self.size):
            phrases, kept = self.sets[genres[int(random.integers(len(genres)))]]
            rolls.append(phrases[int(random.choice(kept))])
        return as_batch(rolls, random, transpose=self.transpose)


class GenreBatches:
    """Random phrases: "rolls" [B, 2, 64, 84], their "genres" [B] and target genres "targets" [B].

    Every pair of different genres is equally frequent. A batch depends on seed and step alone.
    """

    def __init__(
        self, phrases: Mapping[str, PhraseSet], batch: int, seed: int = 0, *, transpose: bool = True
    ) -> None:
        ways = len(phrases) * (len(phrases) - 1)
        if len(phrases) < 2 or batch % ways:
            raise AudioTransferError(
                f"{batch} phrases do not go evenly from each of {len(phrases)} genres to each "
                f"other; set a batch that is a multiple of {max(2, ways)}"
            )
        self.phrases, self.seed, self.transpose = dict(phrases), seed, transpose
        count = range(len(phrases))
        pairs = [(a, b) for a in count for b in count if a != b] * (batch // ways)
        self.genres = torch.tensor([genre for genre, _ in pairs])
        self.targets = torch.tensor([target for _, target in pairs])

    def batch(self, step: int) -> dict[str, Tensor]:
        random = _random(self.seed, 1, step)
        sets = list(self.phrases.values())
        chosen = [sets[genre] for genre in self.genres.tolist()]
        rolls = [phrases[int(random.integers(len(phrases)))] for phrases in chosen]
        return {
            "rolls": as_batch(rolls, random, transpose=self.transpose),
            "genres": self.genres,
            "targets": self.targets,
        }


def as_batch(
    rolls: Sequence[NDArray[np.bool_]], random: Generator, *, transpose: bool = False
) -> Tensor:
    """Stacks rolls [2, 64, 84] to float32 [B, 2, 64, 84]; ``transpose``: each by a random interval.

    Notes outside the range of pitches are lost.
    """
    batch = torch.from_numpy(np.stack(rolls)).float()
    if not transpose:
        return batch
    return torch.stack(
        [transposed(roll, int(random.integers(KEYS[0], KEYS[1] + 1))) for roll in batch]
    )


def transposed(roll: Tensor, semitones: int) -> Tensor:
    """Notes [.., 84] transposed up by some semitones; notes outside the range are lost."""
    moved = torch.zeros_like(roll)
    if semitones >= 0:
        moved[..., semitones:] = roll[..., : roll.shape[-1] - semitones]
    else:
        moved[..., :semitones] = roll[..., -semitones:]
    return moved


def require(phrases: Mapping[str, PhraseSet], genres: set[str]) -> None:
    """Raises AudioTransferError for a genre without phrases."""
    for genre in sorted(genres):
        if genre not in phrases:
            raise AudioTransferError(
                f"genre {genre!r} has no archives; there are {', '.join(phrases)}"
            )


def _random(*key: int) -> Generator:
    return np.random.default_rng(key)


def genre_phrases(
    archives: Mapping[str, Mapping[str, PhraseSettings]],
    data: str | Path = "",
    cache: Path | None = None,
) -> dict[str, dict[str, PhraseSet]]:
    """Part (train, validation, test) -> genre -> phrases; archives are relative to ``data``.

    The part of a piece depends on its archive alone, so that networks of different trainings have
    the same pieces held out. Raises AudioTransferError where a genre has no phrase in a part.
    """
    found: dict[str, dict[str, PhraseSet]] = {part: {} for part in PARTS}
    for genre, places in archives.items():
        cut = [phrases_of(str(Path(data) / place), how, cache) for place, how in places.items()]
        splits = [split_pieces(phrases.names) for phrases in cut]
        for part in PARTS:
            chosen = [
                phrases.of([name for name in phrases.names if split[name] == part])
                for phrases, split in zip(cut, splits, strict=True)
            ]
            found[part][genre] = joined(chosen)
            if not len(found[part][genre]):
                raise AudioTransferError(
                    f"genre {genre!r} has no phrases in its {part} part; add pieces by others"
                )
    return found


def joined(sets: Sequence[PhraseSet]) -> PhraseSet:
    """Concatenates the phrases of several archives."""
    before = np.cumsum([0, *(len(phrases.names) for phrases in sets)])[:-1]
    return PhraseSet(
        np.concatenate([phrases.bits for phrases in sets]),
        np.concatenate([s.pieces + first for s, first in zip(sets, before, strict=True)]),
        [name for phrases in sets for name in phrases.names],
    )
