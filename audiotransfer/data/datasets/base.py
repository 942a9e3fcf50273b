"""What every kind of collection promises, and how one is found by its name or by its layout."""

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
#: Share of a genre's artists that are held out where a collection does not say which.
HELD_OUT = {"test": 0.1, "validation": 0.1}
#: Of any folder of genres; asked last, because it knows least about what it recognises.
_LAST = "folders"


@dataclass(frozen=True)
class Song:
    """A song as a collection holds it, in one split only: ``split`` is empty until it is drawn.

    ``files``: ``mix`` -> its file; or stem -> the files that add up to it; or ``features`` -> the
    spectrogram that comes instead of sound. ``seconds`` of it are used, from ``start`` (seconds).
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
        """Every file it is made of."""
        return tuple(file for role in self.files.values() for file in role)


@dataclass(frozen=True)
class Skipped:
    """A file or song that is left out, and why."""

    id: str
    why: str


@dataclass(frozen=True)
class Sampling:
    """How windows are drawn from songs: from random crops of so many seconds, where given."""

    crop_seconds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Found:
    """What a folder holds."""

    songs: tuple[Song, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    """What is inferred about the collection rather than stated by it."""
    held_out: Mapping[str, float] = field(default_factory=HELD_OUT.copy)
    """Shares of a genre's artists that are drawn from the songs that say no split."""
    sampling: Sampling = field(default_factory=Sampling)
    spectrogram: dict[str, float | str] | None = None
    """Settings of the spectrogram that comes instead of sound."""


class Corpus(Protocol):
    """A kind of collection."""

    def recognises(self, folder: Path) -> bool:
        """Whether a folder is laid out this way; opens no more than it must."""
        ...

    def find(self, folders: Sequence[Path], genres: Sequence[str]) -> Found:
        """The songs of folders, of these genres (all where none is named).

        A split that the collection does not say stays empty. Raises AudioTransferError for a
        folder that is not of this kind and for genres that it does not hold.
        """
        ...


def names() -> list[str]:
    """The kinds that are registered, the least particular last."""
    return sorted(_registered(), key=lambda name: (name == _LAST, name))


def create(name: str) -> Corpus:
    """The kind of this name. Raises AudioTransferError for an unknown one."""
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
    """The kind whose layout a folder has. Raises AudioTransferError where there is none."""
    check_folder(folder)
    for name in names():
        if create(name).recognises(folder):
            return name
    raise AudioTransferError(
        f"{folder} is laid out like none of {', '.join(names())}; for your own songs make a folder"
        " for each genre in it"
    )


def check_folder(folder: Path) -> None:
    """Raises AudioTransferError for what is no folder."""
    if not folder.is_dir():
        raise AudioTransferError(f"{folder} is not a folder; name the one that holds the songs")


def only(folders: Sequence[Path], kind: str) -> Path:
    """The one folder of a collection that has one. Raises AudioTransferError for several."""
    if len(folders) != 1:
        raise AudioTransferError(f"{kind} is one folder, {len(folders)} were named: name its root")
    check_folder(folders[0])
    return folders[0]


def choose_genres(there: Sequence[str], wanted: Sequence[str], place: Path | str) -> list[str]:
    """The genres that were asked for, or all. Raises AudioTransferError for one that is not there,
    and where there are not two.
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
    """A hint at what was meant."""
    return suggest(name, sorted(known), count=2, most=20)


def _registered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
