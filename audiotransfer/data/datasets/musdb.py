"""MUSDB18 and MUSDB18-HQ as they are distributed: 150 songs with a training and a test split.

Z. Rafii, A. Liutkus, F.-R. Stöter, S. I. Mimilakis, R. Bittner, 2017 and 2019.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from audiotransfer.audio.reading import AudioInfo
from audiotransfer.data.datasets.base import HELD_OUT, Found, Skipped, Song, only
from audiotransfer.data.datasets.genre_folders import listed
from audiotransfer.data.splits import hold_apart
from audiotransfer.data.stem_mixes import STEMS
from audiotransfer.errors import AudioTransferError

Roles = dict[str, tuple[str, ...]]

_HALVES = ("train", "test")
_LICENCE = "academic use; each song under its own terms"
_MIXTURE = "mixture.wav"


class Musdb18:
    """``{train,test}/ARTIST - TITLE.stem.mp4``: only the mixes are read, to be separated.

    Only the first of a stem file's five tracks is read, the mix.
    """

    def recognises(self, folder: Path) -> bool:
        return any(_in_halves(folder, "*.stem.mp4"))

    def find(self, folders: Sequence[Path], genres: Sequence[str]) -> Found:
        folder = only(folders, "MUSDB18")
        paths = _in_halves(folder, "*.stem.mp4")
        if not paths:
            raise AudioTransferError(f"{folder} is no MUSDB18: it has no train/*.stem.mp4")
        songs: list[Song] = []
        skipped: list[Skipped] = []
        for path, info in listed(paths):
            if isinstance(info, str):
                skipped.append(Skipped(str(path), info))
                continue
            name = path.name.removesuffix(".stem.mp4")
            mix: Roles = {"mix": (str(path.resolve()),)}
            songs.append(_song("musdb18", name, path.parent.name, mix, info))
        if not songs:
            raise AudioTransferError(
                f"none of the {len(paths)} stem.mp4 files in {folder} can be decoded"
                f" ({skipped[0].why}); use MUSDB18-HQ"
            )
        note = "only the mix of a stem.mp4 is read, and separated; MUSDB18-HQ has the true stems"
        return _found(songs, skipped, note)


class Musdb18Hq:
    """``{train,test}/ARTIST - TITLE/{mixture,drums,bass,other,vocals}.wav``."""

    def recognises(self, folder: Path) -> bool:
        return any(_in_halves(folder, f"*/{_MIXTURE}"))

    def find(self, folders: Sequence[Path], genres: Sequence[str]) -> Found:
        folder = only(folders, "MUSDB18-HQ")
        places = [path.parent for path in _in_halves(folder, f"*/{_MIXTURE}")]
        if not places:
            raise AudioTransferError(f"{folder} is no MUSDB18-HQ: it has no train/*/{_MIXTURE}")
        songs: list[Song] = []
        skipped: list[Skipped] = []
        for place in places:
            parts = [place / _MIXTURE, *(place / f"{stem}.wav" for stem in STEMS)]
            infos = [info for _, info in listed(parts)]
            wrong = next((info for info in infos if isinstance(info, str)), None)
            if wrong is not None:
                skipped.append(Skipped(str(place), wrong))
                continue
            roles: Roles = {
                name: (str(path.resolve()),)
                for name, path in zip(("mix", *STEMS), parts, strict=True)
            }
            assert isinstance(infos[0], AudioInfo)
            songs.append(_song("musdb18-hq", place.name, place.parent.name, roles, infos[0]))
        return _found(songs, skipped)


def _song(genre: str, name: str, split: str, roles: Roles, info: AudioInfo) -> Song:
    return Song(
        id=name,
        split=split,
        genre=genre,
        artist=name.split(" - ")[0],
        licence=_LICENCE,
        files=roles,
        seconds=info.frames / info.sample_rate,
        sample_rate=info.sample_rate,
    )


def _found(songs: list[Song], skipped: Iterable[Skipped], *notes: str) -> Found:
    """The songs with the published test split; a validation split is drawn of the others."""
    kept, shared = hold_apart(songs)
    open_ = (replace(song, split="") if song.split == "train" else song for song in kept)
    genre = f"songs have no genres: all are called {songs[0].genre!r}"
    return Found(
        tuple(open_),
        (*skipped, *shared),
        (*notes, genre),
        held_out={"validation": HELD_OUT["validation"]},
    )


def _in_halves(folder: Path, pattern: str) -> list[Path]:
    return [path for half in _HALVES for path in sorted((folder / half).glob(pattern))]
