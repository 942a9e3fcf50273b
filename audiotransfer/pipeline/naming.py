"""Finds the songs of a command, and names their outputs."""

from __future__ import annotations

import os
import re
import string
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

from audiotransfer.atomic import check_regular
from audiotransfer.audio.reading import AUDIO_SUFFIXES, find_audio
from audiotransfer.audio.writing import FORMATS
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.own_outputs import is_own
from audiotransfer.suggest import nearest

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
    """Files to transfer, each once, and files in folders that the program wrote itself."""

    songs: list[SongFile]
    own: list[Path]


def find_songs(
    places: Iterable[str | Path],
    styles: Collection[str] = (),
    suffixes: Collection[str] = AUDIO_SUFFIXES,
) -> FoundSongs:
    """Files as they are; folders become the songs in them and in the folders below them.

    In folders, stems and outputs of the named ``styles`` are left out (`own.is_own`).

    Raises AudioTransferError for a folder without songs.
    """
    songs: dict[str, SongFile] = {}
    own: dict[str, Path] = {}
    for place in map(Path, places):
        if not is_folder(place):
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
            f"{', '.join(map(str, places))}: only outputs of this program or stems are there "
            f"({len(own)} {'file' if len(own) == 1 else 'files'}); name one to work on it, or mix "
            "them with `audiotransfer remix`"
        )
    return FoundSongs(
        list(songs.values()), [path for place, path in own.items() if place not in songs]
    )


def output_paths(
    songs: Sequence[SongFile], ending: Callable[[Path], str], folder: str | Path | None = None
) -> list[Path]:
    """The output path of each song in a folder (``None``: the current one): its name
    without its suffix, and the ``ending`` for it.

    A song that was found in a folder keeps its path below that folder. Where songs of different
    folders would get the same path, all keep their paths below the folder that they share; where
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


def name_clashes(songs: Sequence[str | Path], outputs: Sequence[str | Path]) -> list[str | None]:
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
    if text.endswith(("/", os.sep)) or is_folder(Path(text)):
        return True
    if not _FILE_TYPE.fullmatch(Path(text).suffix):
        return True
    if songs > 1:
        raise AudioTransferError(
            f"-o {out} is no folder, and {songs} songs need one; end it in / to make one"
        )
    return False


@contextmanager
def ensure_folder(folder: Path) -> Iterator[None]:
    """Makes a folder and its parents; at the end removes those of them that stayed empty.

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


def is_same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two paths lead to the same file, links followed."""
    return _real(one) == _real(other)


def is_folder(path: Path) -> bool:
    """Whether a path is an existing folder; False for a name that the file system refuses."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def ignores_case(folder: Path) -> bool:
    """Whether ``song.wav`` and ``Song.wav`` are one file in a folder, or where it will be made."""
    place = next((p for p in (folder, *folder.absolute().parents) if is_folder(p)), Path("."))
    try:
        with tempfile.NamedTemporaryFile(prefix=".Case-", suffix=".part", dir=place) as file:
            path = Path(file.name)
            return path.with_name(path.name.swapcase()).exists()
    except OSError:  # nothing can be written there anyway
        return False


def _below_common(songs: Sequence[SongFile]) -> list[Path]:
    """Each path relative to the deepest folder that contains all of them."""
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


def check_pattern(text: str, fields: Collection[str], *, needed: Collection[str] = ()) -> str:
    """Checks a pattern of file names, and returns it.

    Raises AudioTransferError for a field that is none of ``fields``, one that is ``needed`` and
    lacks, and for a name that leads out of the folder or carries the suffix of a kind of file.
    """
    listed = ", ".join(f"{{{name}}}" for name in fields)
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        raise AudioTransferError(
            f"name {text!r} has a brace without its other half: fields are {listed}; write {{{{"
            " for a brace"
        ) from None
    used = [name for _, name, _, _ in parts if name is not None]
    for _, name, specification, conversion in parts:
        if name is None:
            continue
        if name not in fields:
            near = nearest(name, fields)
            hint = f"did you mean {{{near[0]}}}?" if near else f"there are {listed}"
            raise AudioTransferError(f"name {text!r} has an unknown field {{{name}}}: {hint}")
        if specification or conversion:
            raise AudioTransferError(f"name {text!r}: write {{{name}}} and nothing else in braces")
    for name in needed:
        if name not in used:
            raise AudioTransferError(
                f"name {text!r} lacks {{{name}}}, without which several files would have one name"
            )
    if "\0" in text:
        raise AudioTransferError(f"name {text!r} has a NUL in it, which no name has")
    path = PurePath(text)
    if path.is_absolute() or ".." in path.parts or text.endswith("/") or not path.name:
        raise AudioTransferError(
            f"name {text!r} has to name a file below the folder of the output (-o)"
        )
    if path.suffix.lower() in FORMATS:
        raise AudioTransferError(
            f"name {text!r} ends in {path.suffix}: leave it out, --format says the kind of file"
        )
    return text


def has_field(text: str, name: str) -> bool:
    """Whether a pattern has this field."""
    return any(field == name for _, field, _, _ in string.Formatter().parse(text))


def fill_pattern(text: str, **values: str) -> str:
    """Fills in a checked pattern: a name without suffix; slashes in values become underscores."""
    return text.format(**{name: value.replace("/", "_") for name, value in values.items()})
