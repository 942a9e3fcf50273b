"""The protocol of a data set reader, and the registry: by name, or by a folder's layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Protocol

from audiotransfer.errors import AudioTransferError
from audiotransfer.suggest import suggest

GROUP = "audiotransfer.corpora"
AUTO = "auto"
SPLITS = ("train", "validation", "test")
#: Share of a genre's artists that are held out where a collection has no splits of its own.
HELD_OUT = {"test": 0.1, "validation": 0.1}
#: The most general layout, a folder for each genre, which is tried last.
_LAST = "folders"


@dataclass(frozen=True)
class Song:
    """A song of a collection, in one split; ``split`` is empty until it is drawn.

    ``files``: ``mix`` -> its file; or stem -> the files that add up to it; or ``features`` -> the
    spectrogram that it has instead of sound. ``seconds`` of it are used, from ``start`` (seconds).
    """

    id: str
    split: str
    genre: str
    artist: str | None
    licence: str
    files: dict[str, tuple[str, ...]]
    seconds: float
    start: float = 0.0
    sample_rate: int = 0
    """Hz of the sound; 0 where there is only a spectrogram."""

    @property
    def sources(self) -> tuple[str, ...]:
        """All its files."""
        return tuple(file for role in self.files.values() for file in role)


@dataclass(frozen=True)
class Skipped:
    """A file or song that is left out, with the reason."""

    id: str
    why: str


@dataclass(frozen=True)
class Sampling:
    """Sampling of windows: from random crops with lengths between two bounds, where given."""

    crop_seconds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Found:
    """The songs of a collection."""

    songs: tuple[Song, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    """Facts about the collection that are inferred, not stated by it."""
    held_out: Mapping[str, float] = field(default_factory=HELD_OUT.copy)
    """Shares of a genre's artists that are held out, of the songs without a split."""
    sampling: Sampling = field(default_factory=Sampling)
    spectrogram: dict[str, float | str] | None = None
    """Settings of the spectrograms that it has instead of sound."""


class Corpus(Protocol):
    """A reader of collections of one layout."""

    def recognises(self, folder: Path) -> bool:
        """Whether a folder has this layout; opens as few files as possible."""
        ...

    def find(self, folders: Sequence[Path], genres: Sequence[str]) -> Found:
        """The songs of folders, of these genres (all where none is named).

        The split is empty where the collection has none. Raises AudioTransferError for a folder
        of another layout and for genres that it does not hold.
        """
        ...


def names() -> list[str]:
    """The names of the data sets that are registered, the most general last."""
    return sorted(_registered(), key=lambda name: (name == _LAST, name))


def create(name: str) -> Corpus:
    """The data set of this name. Raises AudioTransferError for an unknown one."""
    found = _registered()
    if name not in found:
        raise AudioTransferError(f"unknown kind of collection {name!r}: {near(name, names())}")
    try:
        corpus: Corpus = found[name].load()()
    except (ImportError, AttributeError) as error:
        raise AudioTransferError(
            f"kind {name!r} cannot be loaded from {found[name].value} ({error}): install its"
            " package again"
        ) from None
    return corpus


def recognise(folder: Path) -> str:
    """The name of the data set whose layout a folder has.

    Raises AudioTransferError where there is none.
    """
    check_folder(folder)
    for name in names():
        if create(name).recognises(folder):
            return name
    raise AudioTransferError(
        f"{folder} is laid out like none of {', '.join(names())}; for your own songs make a folder"
        " for each genre in it"
    )


def check_folder(folder: Path) -> None:
    """Raises AudioTransferError where there is no such folder."""
    if not folder.is_dir():
        raise AudioTransferError(f"{folder} is not a folder; name the one that holds the songs")


def only(folders: Sequence[Path], kind: str) -> Path:
    """The single folder of a list. Raises AudioTransferError for any other number of folders."""
    if len(folders) != 1:
        raise AudioTransferError(f"{kind} is one folder, {len(folders)} were named: name its root")
    check_folder(folders[0])
    return folders[0]


def choose_genres(there: Sequence[str], wanted: Sequence[str], place: Path | str) -> list[str]:
    """The genres that were asked for, or all.

    Raises AudioTransferError for a genre that is not there, and for fewer than two.
    """
    if not there:
        raise AudioTransferError(f"{place} holds no genres; make a folder in it for each")
    for name in wanted:
        if name not in there:
            raise AudioTransferError(f"{place} has no genre {name!r}: {near(name, there)}")
    chosen = list(dict.fromkeys(wanted or there))
    if len(chosen) < 2:
        raise AudioTransferError(
            f"{place}: one genre only ({chosen[0]}); a style needs two, so name another or add its"
            " folder"
        )
    return chosen


def near(name: str, known: Sequence[str]) -> str:
    """A hint for an unknown name: the nearest known ones, or a list."""
    return suggest(name, sorted(known), count=2, most=20)


def _registered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
