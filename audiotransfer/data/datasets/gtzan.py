"""The GTZAN data set as it is distributed: 1000 clips of 30 s in ten genres.

G. Tzanetakis, P. Cook: Musical genre classification of audio signals, 2002. The fault-filtered
split (C. Kereliuk, B. Sturm, J. Larsen, 2015) is in ``gtzan_split.txt``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from audiotransfer.audio.reading import AUDIO_SUFFIXES, find_audio
from audiotransfer.data.datasets.base import Found, Skipped, Song, choose_genres, only
from audiotransfer.data.datasets.genre_folders import listed
from audiotransfer.data.splits import unique
from audiotransfer.errors import AudioTransferError

#: Folders of the genres: in the original archive, in its copies, or unpacked in place.
_LAYOUTS = ("genres_original", "genres", "Data/genres_original", ".")
_NAME = re.compile(r"([a-z]+)\.\d{5}")
_BROKEN = "jazz.00054.wav"
_LICENCE = "not stated; for research"


class Gtzan:
    """``genres_original/GENRE/GENRE.NNNNN.{wav,au}`` with its fault-filtered split."""

    def recognises(self, folder: Path) -> bool:
        root = _root(folder)
        if root is None:
            return False
        clips = [path for genre in _genres(root) for path in find_audio(root / genre)]
        return 2 * sum(map(_is_clip, clips)) >= len(clips)  # a user's song may have such a name

    def find(self, folders: Sequence[Path], genres: Sequence[str]) -> Found:
        folder = only(folders, "GTZAN")
        root = _root(folder)
        if root is None:
            raise AudioTransferError(
                f"{folder} is no GTZAN: it has no genres_original/GENRE/GENRE.00000.wav"
            )
        chosen = choose_genres(sorted(_genres(root)), genres, folder)
        splits = fault_filtered()
        songs: list[Song] = []
        skipped: list[Skipped] = []
        for path, info in listed([p for genre in chosen for p in find_audio(root / genre)]):
            name = path.stem
            if not _is_clip(path):
                called = f"{path.parent.name}.NNNNN{path.suffix}"
                skipped.append(Skipped(str(path), f"not called {called}, as GTZAN's clips are"))
            elif name not in splits:
                skipped.append(Skipped(str(path), "left out by the fault-filtered split"))
            elif isinstance(info, str):
                known = path.name == _BROKEN
                skipped.append(Skipped(str(path), "known to be broken" if known else info))
            else:
                songs.append(
                    Song(
                        id=name,
                        split=splits[name],
                        genre=path.parent.name,
                        artist=None,
                        licence=_LICENCE,
                        files={"mix": (str(path.resolve()),)},
                        seconds=info.frames / info.sample_rate,
                        sample_rate=info.sample_rate,
                    )
                )
        for genre in chosen:
            if not any(song.genre == genre for song in songs):
                raise AudioTransferError(
                    f"genre {genre!r} is empty: {root / genre} holds no clip that can be used"
                )
        kept, doubled = unique(songs)
        return Found(
            tuple(kept),
            (*skipped, *doubled),
            notes=("artists are not named; the fault-filtered split keeps those known apart",),
        )


def fault_filtered() -> dict[str, str]:
    """The fault-filtered split: clip -> split (443 for training, 197 validation, 290 test)."""
    splits = {}
    for line in Path(__file__).with_name("gtzan_split.txt").read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        split, genre, *ranges = line.split()
        for first, _, last in (numbers.partition("-") for numbers in ranges):
            for number in range(int(first), int(last or first) + 1):
                splits[f"{genre}.{number:05d}"] = split
    return splits


def _root(folder: Path) -> Path | None:
    return next((folder / inner for inner in _LAYOUTS if len(_genres(folder / inner)) > 0), None)


def _genres(root: Path) -> list[str]:
    """The folders that hold clips named after them."""
    if not root.is_dir():
        return []
    return [
        place.name
        for place in root.iterdir()
        if place.is_dir() and any(map(_is_clip, place.iterdir()))
    ]


def _is_clip(path: Path) -> bool:
    """Whether a file is named as GTZAN's are: ``GENRE/GENRE.NNNNN.wav``."""
    match = _NAME.fullmatch(path.stem)
    known = path.suffix.lower() in AUDIO_SUFFIXES
    return known and match is not None and match[1] == path.parent.name
