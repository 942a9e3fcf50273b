"""Reader of songs that `audiotransfer render` wrote: with random and with styles' instruments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from audiotransfer.audio.reading import AudioInfo
from audiotransfer.data.datasets.base import Found, Skipped, Song, choose_genres, only
from audiotransfer.data.datasets.genre_folders import listed
from audiotransfer.errors import AudioTransferError

_CARD = "song.json"
_LICENCE = "that of its score and soundfont"


class Rendered:
    """``NAME/{source,target/STYLE}/{stem}.wav`` beside a ``song.json``.

    The genre is the folder's name: ``source`` for random instruments, and the styles' names.
    """

    def recognises(self, folder: Path) -> bool:
        return any(folder.glob(f"*/{_CARD}"))

    def find(self, folders: Sequence[Path], genres: Sequence[str]) -> Found:
        folder = only(folders, "a rendered collection")
        songs: list[Song] = []
        skipped: list[Skipped] = []
        for card in sorted(folder.glob(f"*/{_CARD}")):
            about = json.loads(card.read_text(encoding="utf-8"))
            for genre, place in _sides(card.parent):
                name = f"{card.parent.name}/{genre}"
                song = _song(name, genre, str(about["split"]), place)
                if isinstance(song, str):
                    skipped.append(Skipped(name, song))
                else:
                    songs.append(song)
        if not songs:
            raise AudioTransferError(
                f"{folder} holds no rendered songs; `audiotransfer render` makes them"
            )
        there = list(dict.fromkeys(song.genre for song in songs))
        chosen = choose_genres(there, genres, folder)
        return Found(tuple(song for song in songs if song.genre in chosen), tuple(skipped))


def _sides(place: Path) -> list[tuple[str, Path]]:
    styles = sorted((place / "target").glob("*/"))
    return [("source", place / "source"), *((side.name, side) for side in styles)]


def _song(name: str, genre: str, split: str, place: Path) -> Song | str:
    roles: dict[str, tuple[str, ...]] = {}
    known: list[AudioInfo] = []
    for path, info in listed(sorted(place.glob("*.wav"))):
        if isinstance(info, str):
            return info
        roles[path.stem] = (str(path.resolve()),)
        known.append(info)
    if not roles:
        return f"{place} holds no stems"
    return Song(
        id=name,
        split=split,
        genre=genre,
        artist=None,
        licence=_LICENCE,
        files=roles,
        seconds=max(info.frames / info.sample_rate for info in known),
        sample_rate=known[0].sample_rate,
    )
