"""Which songs a command works on, and where what becomes of each one goes."""

from __future__ import annotations

import os
import re
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from audiotransfer.errors import AudioTransferError
from audiotransfer.files.own import is_own
from audiotransfer.files.reading import SUFFIXES, find_audio
from audiotransfer.files.writing import check_regular

_FILE_TYPE = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}")


@dataclass(frozen=True)
class SongFile:
    """A file to work on, and the folder in which it was found; ``None`` where it was named."""

    path: Path
    folder: Path | None = None

    @property
    def below(self) -> Path:
        """Its path below that folder, or its name."""
        return self.path.relative_to(self.folder) if self.folder else Path(self.path.name)


@dataclass(frozen=True)
class FoundSongs:
    """Files to work on, each once, and those in folders that the program wrote itself."""

    songs: list[SongFile]
    own: list[Path]


def find_songs(
    places: Iterable[str | Path],
    styles: Collection[str] = (),
    suffixes: Collection[str] = SUFFIXES,
) -> FoundSongs:
    """Files as they are; folders become the songs in them and in the folders below them.

    In folders, stems and outputs of the named ``styles`` are left out (`own.is_own`).

    Raises AudioTransferError for a folder without songs.
    """
    songs: dict[str, SongFile] = {}
    own: dict[str, Path] = {}
    for place in map(Path, places):
        if not is_dir(place):
            songs.setdefault(os.path.abspath(place), SongFile(place))
            continue
        found = find_audio(place, suffixes)
        made = {path for path in found if is_own(path, styles)}
        if not found:
            raise AudioTransferError(
                f"folder {place} holds no audio: name a song, or another folder"
            )
        own |= {os.path.abspath(path): path for path in made}
        for path in found:
            if path not in made:
                songs.setdefault(os.path.abspath(path), SongFile(path, place))
    if not songs:
        raise AudioTransferError(
            f"{', '.join(map(str, places))}: only outputs of this program are there "
            f"({len(own)} {'file' if len(own) == 1 else 'files'}); name one to work on it"
        )
    return FoundSongs(
        list(songs.values()), [path for place, path in own.items() if place not in songs]
    )


def name_outputs(
    songs: Sequence[SongFile], ending: Callable[[Path], str], folder: str | Path | None = None
) -> list[Path]:
    """The place in a folder (``None``: the current one) of what becomes of each song: its name
    without its suffix, and the ``ending`` for it.

    A song that was found in a folder keeps its path below that folder. Where songs of different
    folders would get the same place, all keep their paths below the folder that they share; where
    songs of one folder still would, those keep their suffixes: ``x.mp3.jazz.wav``,
    ``x.flac.jazz.wav``.
    """
    root = Path(folder or ".")
    fold = ignores_case(root)

    def keys(below: Sequence[Path], whole: Collection[int] = ()) -> list[str]:
        named = (
            path.parent / ((path.name if i in whole else path.stem) + ending(songs[i].path))
            for i, path in enumerate(below)
        )
        return [str(path) for path in named]

    below = [song.below for song in songs]
    folders: dict[str, set[str]] = {}
    for song, key in zip(songs, keys(below), strict=True):
        folders.setdefault(_folded(key, fold), set()).add(os.path.abspath(song.path.parent))
    if any(len(several) > 1 for several in folders.values()):
        below = _below_common(songs)
    whole: set[int] = set()
    while True:
        names = keys(below, whole)
        count = Counter(_folded(name, fold) for name in names)
        more = {i for i, name in enumerate(names) if count[_folded(name, fold)] > 1} - whole
        if not more:
            return [root / name for name in names]
        whole |= more


def clashes(songs: Sequence[str | Path], outputs: Sequence[str | Path]) -> list[str | None]:
    """For each song, why it must not be written to its output: it is one of the songs, or that of
    an earlier one. ``None`` where it may.
    """
    inputs = {_real(song) for song in songs}
    folds: dict[Path, bool] = {}
    owners: dict[str, str | Path] = {}
    errors: list[str | None] = []
    for song, output in zip(songs, outputs, strict=True):
        folder, place = Path(output).parent, _real(output)
        if folder not in folds:
            folds[folder] = ignores_case(folder)
        if place in inputs:
            which = "the song itself" if place == _real(song) else "one of the songs"
            errors.append(f"{output} is {which}: give another output")
            continue
        key = _folded(place, folds[folder])
        errors.append(
            f"{output} is the output of {owners[key]} already: give {song} another one"
            if key in owners
            else None
        )
        owners.setdefault(key, song)
    return errors


def names_folder(out: str | Path, songs: int = 1) -> bool:
    """Whether ``-o OUT`` is a folder: it is one, ends in a slash, or does not end as files do.

    Raises AudioTransferError where several songs would have one file for them all, and for a pipe
    or a device.
    """
    text = os.fspath(out)
    check_regular(text)
    if text.endswith(("/", os.sep)) or is_dir(Path(text)):
        return True
    if not _FILE_TYPE.fullmatch(Path(text).suffix):
        return True
    if songs > 1:
        raise AudioTransferError(
            f"-o {out} is no folder, and {songs} songs need one; end it in / to make one"
        )
    return False


@contextmanager
def making(folder: Path) -> Iterator[None]:
    """Makes a folder and those above it; in the end takes away those of them that are empty.

    Raises AudioTransferError where it cannot be made.
    """
    made = [place for place in (folder, *folder.parents) if not os.path.lexists(place)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        _remove_empty(made)
        reason = getattr(error, "strerror", None) or error
        raise AudioTransferError(
            f"folder {folder} cannot be made ({reason}); choose another place"
        ) from None
    try:
        yield
    finally:
        _remove_empty(made)


def is_same(one: str | Path, other: str | Path) -> bool:
    """Whether two paths are those of one file, links followed."""
    return _real(one) == _real(other)


def is_dir(path: Path) -> bool:
    """Whether there is such a folder; a name that no file system takes is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def ignores_case(folder: Path) -> bool:
    """Whether ``song.wav`` and ``Song.wav`` are one file in a folder, or where it will be made."""
    place = next((p for p in (folder, *folder.absolute().parents) if is_dir(p)), Path("."))
    try:
        with tempfile.NamedTemporaryFile(prefix=".Case-", suffix=".part", dir=place) as file:
            path = Path(file.name)
            return path.with_name(path.name.swapcase()).exists()
    except OSError:  # nothing can be written there anyway
        return False


def _below_common(songs: Sequence[SongFile]) -> list[Path]:
    """Each path below the folder that all of them are in."""
    places = [os.path.abspath(song.path) for song in songs]
    try:
        common = os.path.commonpath([os.path.dirname(place) for place in places])
    except ValueError:  # several drives
        return [Path(place).relative_to(Path(place).anchor) for place in places]
    return [Path(place).relative_to(common) for place in places]


def _folded(name: str, fold: bool) -> str:
    return unicodedata.normalize("NFC", name).casefold() if fold else name


def _real(path: str | Path) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return os.path.abspath(path)


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with suppress(OSError, ValueError):
            folder.rmdir()
