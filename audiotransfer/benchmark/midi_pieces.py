"""MIDI files of a benchmark: their genre, the phrases that are measured, training phrases."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from audiotransfer.data.splits import spread
from audiotransfer.errors import AudioTransferError
from audiotransfer.midi.archives import contents, list_midi
from audiotransfer.midi.grid import Grid
from audiotransfer.midi.piano_rolls import PHRASE, roll_of
from audiotransfer.midi.score import SUFFIXES, note_table
from audiotransfer.symbolic.genre.phrases import (
    PhraseSettings,
    likely_metre,
    phrase_starts,
    scores_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Piece:
    """A MIDI file of a genre and its phrases of four bars.

    Attributes:
        ticks: per quarter note.
        starts: step of ``grid`` at which each phrase begins.
        phrases: [N, 2, 64, 84]; none is silent.
    """

    name: str
    path: Path
    genre: str
    ticks: int
    grid: Grid
    starts: tuple[int, ...]
    phrases: Tensor

    def cut(self, score: Any) -> Tensor:
        """The phrases of a transferred version of the piece at the same steps, [N, 2, 64, 84]."""
        if score.tpq != self.ticks:
            score = score.resample(self.ticks)
        roll = roll_of(note_table(score), self.grid)
        return torch.from_numpy(np.stack([roll[:, at : at + PHRASE] for at in self.starts]))


@dataclass(frozen=True)
class Pieces:
    """Test pieces, and training phrases [M, 2, 64, 84], both by genre."""

    tested: dict[str, list[Piece]]
    training: dict[str, Tensor]


def is_midi(places: Sequence[Path]) -> bool:
    """Whether the first of these paths is a folder or zip of MIDI files.

    Raises AudioTransferError for a single MIDI file.
    """
    first = places[0]
    if first.suffix.lower() in SUFFIXES:
        raise AudioTransferError(
            f"{first} is one MIDI file; name the folder it is in, which must be called after its "
            "genre"
        )
    try:
        return bool(list_midi(str(first)))
    except AudioTransferError:
        return False


def gather_pieces(
    places: Sequence[Path],
    genres: Sequence[str],
    work: Path,
    *,
    held_out: Collection[str] = (),
    count: int | None = None,
) -> Pieces:
    """Reads the MIDI files of folders and zips.

    The genre of a file is in the name of its folder or zip (``jazz/tune.mid``, ``jazz_wjd.zip``).

    Args:
        work: the files of zips are written into it.
        held_out: names of pieces, without suffix. Where a place has such pieces, only these are
            tested, and the others count as trained on.
        count: most pieces of a genre, evenly spread.

    Raises:
        AudioTransferError: a file's genre is unknown, or there is no phrase of four bars.
    """
    tested: dict[str, list[Piece]] = {}
    training: dict[str, list[NDArray[np.bool_]]] = {}
    for place in places:
        names = list_midi(str(place))
        chosen_names = [name for name in names if PurePosixPath(name).stem in held_out] or list(
            names
        )
        for genre, chosen in _by_genre(place, chosen_names, genres).items():
            # More than asked for: some may be too short.
            some = chosen if count is None else spread(chosen, 2 * count)
            tested.setdefault(genre, []).extend(_pieces(place, some, genre, work))
        for genre, rest in _by_genre(place, set(names) - set(chosen_names), genres).items():
            training.setdefault(genre, []).extend(
                piece.phrases.numpy() for piece in _pieces(place, rest, genre, None)
            )
    found = {genre: spread(pieces, count) for genre, pieces in tested.items() if pieces}
    if not found:
        raise AudioTransferError(
            f"{', '.join(map(str, places))}: no phrase of four bars in four to measure"
        )
    return Pieces(
        found, {g: torch.from_numpy(np.concatenate(cut)) for g, cut in training.items() if cut}
    )


def genre_of(path: PurePosixPath | Path, genres: Sequence[str]) -> str:
    """The genre in the name of a file's folder, the innermost first, or of its zip.

    Raises AudioTransferError where there is none.
    """
    for part in reversed(path.parts[:-1]):
        words = set(re.split(r"[^a-z0-9]+", part.lower()))
        named = [genre for genre in genres if genre in words]
        if len(named) == 1:
            return named[0]
    raise AudioTransferError(
        f"{path}: its genre is unknown; put it into a folder called {' or '.join(genres)}"
    )


def _by_genre(place: Path, names: Iterable[str], genres: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        found.setdefault(genre_of(place.absolute() / name, genres), []).append(name)
    return found


def _pieces(place: Path, names: Sequence[str], genre: str, work: Path | None) -> Iterator[Piece]:
    """The named files that have a phrase; without ``work`` nothing is unpacked."""
    how = PhraseSettings(metre=likely_metre(str(place), names))
    for name, score, grid in scores_of(str(place), names, how):
        roll = roll_of(note_table(score), grid)
        phrases = {at: roll[:, at : at + PHRASE] for at in phrase_starts(grid, how)}
        sounding = {at: phrase for at, phrase in phrases.items() if phrase.any()}
        if not sounding:
            continue
        path = place / name
        if work is not None and not place.is_dir():
            path = work / genre / PurePosixPath(name).name
            path.parent.mkdir(parents=True, exist_ok=True)
            ((_, data),) = contents(str(place), [name])
            path.write_bytes(data)
        yield Piece(
            f"{genre}/{PurePosixPath(name).stem}",
            path,
            genre,
            score.tpq,
            grid,
            tuple(sounding),
            torch.from_numpy(np.stack(list(sounding.values()))),
        )
