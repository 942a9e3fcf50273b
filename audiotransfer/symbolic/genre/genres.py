"""Genres as packs of scores, with the same pieces held out for whoever trains on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from audiotransfer.errors import AudioTransferError
from audiotransfer.symbolic.genre.phrases import PhraseSet, PhraseSettings, phrases_of, split_pieces

Packs = dict[str, dict[str, PhraseSettings]]
"""Genre -> folder or zip of its scores -> which phrases of it are taken."""

PARTS = ("train", "validation", "test")


def genre_phrases(
    packs: Mapping[str, Mapping[str, PhraseSettings]],
    data: str | Path = "",
    cache: Path | None = None,
) -> dict[str, dict[str, PhraseSet]]:
    """Part (train, validation, test) -> genre -> phrases; packs are named relative to ``data``.

    Which part a piece is in depends on its pack alone, so that networks that are trained apart
    have the same pieces held out. Raises AudioTransferError where a genre has no phrase in a part.
    """
    found: dict[str, dict[str, PhraseSet]] = {part: {} for part in PARTS}
    for genre, places in packs.items():
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
                    f"genre {genre!r} has no phrases in its {part} part; add scores by others"
                )
    return found


def joined(sets: Sequence[PhraseSet]) -> PhraseSet:
    """The phrases of several packs as one set."""
    before = np.cumsum([0, *(len(phrases.names) for phrases in sets)])[:-1]
    return PhraseSet(
        np.concatenate([phrases.bits for phrases in sets]),
        np.concatenate([s.pieces + first for s, first in zip(sets, before, strict=True)]),
        [name for phrases in sets for name in phrases.names],
    )
