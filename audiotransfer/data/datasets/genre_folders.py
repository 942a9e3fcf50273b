"""Reader of a user's own songs, in a folder for each genre."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from audiotransfer.audio.reading import (
    AUDIO_SUFFIXES,
    AudioInfo,
    find_audio,
    open_audio,
    probe_audio,
)
from audiotransfer.audio.tags.reading import read_tags
from audiotransfer.data.datasets.base import (
    Found,
    Sampling,
    Skipped,
    Song,
    check_folder,
    choose_genres,
)
from audiotransfer.data.splits import unique
from audiotransfer.errors import AudioTransferError

#: Beginnings and ends of songs are introductions, fades and applause.
TRIM_SECONDS = 10.0
CLIP_SECONDS = 40.0
CROP_SECONDS = (10.0, 15.0)
SHORTEST_SECONDS = 1.0
LICENCE = "not stated"


class GenreFolders:
    """``ROOT/GENRE/…/song.*``, or two and more folders that are a genre each.

    The first and last ten seconds of a song are left out, as far as forty seconds remain: clips of
    half a minute are used whole.
    """

    def recognises(self, folder: Path) -> bool:
        return sum(_holds_audio(inner) for inner in _folders(folder)) >= 2

    def find(self, folders: Sequence[Path], genres: Sequence[str]) -> Found:
        places = self._places(folders)
        chosen = choose_genres(list(places), genres, _called(folders))
        songs: list[Song] = []
        skipped: list[Skipped] = []
        for genre in chosen:
            of_genre, unreadable = _songs(genre, places[genre])
            if not of_genre:
                raise AudioTransferError(
                    f"genre {genre!r} is empty: {places[genre]} holds no song that can be read"
                )
            songs += of_genre
            skipped += unreadable
        kept, doubled = unique(songs)
        return Found(tuple(kept), (*skipped, *doubled), sampling=Sampling(CROP_SECONDS))

    @staticmethod
    def _places(folders: Sequence[Path]) -> dict[str, Path]:
        for folder in folders:
            check_folder(folder)
        inner = list(folders) if len(folders) > 1 else _folders(folders[0])
        places: dict[str, Path] = {}
        for place in inner:
            name = place.resolve().name
            if name in places:
                raise AudioTransferError(f"{place} and {places[name]} are both called {name!r}")
            places[name] = place
        return places


def artist_of(path: Path, genre_folder: Path) -> str | None:
    """The artist of a file by its tag, its name ``Artist - Title``, or the folder it is in.

    A track number in front of the name is ignored. None where the artist is not known.
    """
    if tagged := read_tags(path).get("artist"):
        return tagged
    parts = [part.strip() for part in path.stem.split(" - ")]
    if parts[0].rstrip(".").isdigit():
        del parts[0]
    if len(parts) > 1 and parts[0]:
        return parts[0]
    inner = path.relative_to(genre_folder).parts
    return inner[0] if len(inner) > 1 else None


def listed(paths: Sequence[Path]) -> Iterator[tuple[Path, AudioInfo | str]]:
    """Each file with the facts of its header, or with the reason why it cannot be used."""
    for path in paths:
        try:
            info = probe_audio(path)
            yield path, "; ".join(info.notices) if info.damaged else info
        except AudioTransferError as error:
            yield path, str(error)


def seconds_of(path: Path, info: AudioInfo) -> float:
    """The length of a file in seconds; it is read through where its header has none."""
    if info.frames:
        return info.frames / info.sample_rate
    with open_audio(path) as reader:
        return sum(block.shape[1] for block in reader.blocks(1 << 18)) / info.sample_rate


def _songs(genre: str, folder: Path) -> tuple[list[Song], list[Skipped]]:
    songs, skipped = [], []
    for path, info in listed(find_audio(folder)):
        if isinstance(info, str):
            skipped.append(Skipped(str(path), info))
            continue
        try:
            whole = seconds_of(path, info)
        except AudioTransferError as error:
            skipped.append(Skipped(str(path), str(error)))
            continue
        if whole < SHORTEST_SECONDS:
            skipped.append(Skipped(str(path), f"only {whole:.1f} s long"))
            continue
        trim = min(TRIM_SECONDS, max(0.0, (whole - CLIP_SECONDS) / 2))
        name = path.relative_to(folder).with_suffix("").as_posix()
        songs.append(
            Song(
                id=f"{genre}/{name}",
                split="",
                genre=genre,
                artist=artist_of(path, folder),
                licence=LICENCE,
                files={"mix": (str(path.resolve()),)},
                seconds=whole - 2 * trim,
                start=trim,
                sample_rate=info.sample_rate,
            )
        )
    return songs, skipped


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _holds_audio(folder: Path) -> bool:
    return any(path.suffix.lower() in AUDIO_SUFFIXES for path in folder.rglob("*"))


def _called(folders: Sequence[Path]) -> str:
    return ", ".join(map(str, folders))
