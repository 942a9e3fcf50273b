"""The manifest of a prepared collection: its songs, splits, stems and spectrograms."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from audiotransfer.atomic import write_bytes
from audiotransfer.data.datasets.base import SPLITS, Sampling, Skipped, near
from audiotransfer.errors import AudioTransferError
from audiotransfer.renamed import present_keys

NAME = "manifest.json"
_VERSION = 1


@dataclass(frozen=True)
class Feature:
    """The spectrogram of a stem without its silence: a float16 array ``[L, F]`` in a file.

    ``runs`` are the stretches that sound, concatenated in the file: (first frame in the song,
    number of frames).
    """

    file: str
    runs: tuple[tuple[int, int], ...]

    @property
    def frames(self) -> int:
        """The number of frames L."""
        return sum(frames for _, frames in self.runs)


@dataclass(frozen=True)
class PreparedSong:
    """A song with its stems and their spectrograms; files are relative to the manifest's folder.

    ``files``: stem -> its sound (44.1 kHz stereo, the song at RMS 0.1); none where the collection
    has no sound. ``sources``: the files that it was made from.
    """

    id: str
    split: str
    genre: str
    artist: str | None
    licence: str
    seconds: float
    sources: tuple[str, ...]
    files: dict[str, str]
    features: dict[str, Feature]


@dataclass(frozen=True)
class Manifest:
    """A prepared collection, in a folder.

    ``spectrogram`` are the settings of all its spectrograms; ``seed`` drew the splits.
    """

    folder: Path
    kind: str
    separator: str | None
    spectrogram: dict[str, Any]
    songs: tuple[PreparedSong, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0

    @property
    def genres(self) -> list[str]:
        """Every genre that has a song."""
        return sorted({song.genre for song in self.songs})

    @property
    def stems(self) -> list[str]:
        """Every stem that a song has."""
        return sorted({stem for song in self.songs for stem in song.features})

    @property
    def frames_per_second(self) -> float:
        """The frame rate of the spectrograms, Hz."""
        return float(self.spectrogram["sample_rate"]) / float(self.spectrogram["hop_length"])

    def of(self, genre: str, split: str) -> list[PreparedSong]:
        """The songs of a genre in a split. Raises AudioTransferError where there are none."""
        if genre not in self.genres:
            raise AudioTransferError(
                f"{self.folder} has no genre {genre!r}: {near(genre, self.genres)}"
            )
        found = [song for song in self.songs if song.genre == genre and song.split == split]
        if not found:
            raise AudioTransferError(
                f"genre {genre!r} is empty: {self.folder} has none of its songs in the {split}"
                " split; add songs by other artists and prepare again"
            )
        return found

    def require_sound(self, purpose: str) -> None:
        """Raises AudioTransferError, naming the purpose, where there are spectrograms only."""
        if not any(song.files for song in self.songs):
            raise AudioTransferError(
                f"{purpose} needs sound, and {self.folder} ({self.kind}) has only spectrograms of"
                f" {self.spectrogram['bins']} bands; prepare a collection of recordings"
            )

    def save(self) -> Path:
        """Writes ``manifest.json`` atomically.

        Raises AudioTransferError where it cannot be written.
        """
        check_apart(self.songs)
        plain = {"version": _VERSION, **asdict(self)}
        del plain["folder"]
        path = self.folder / NAME
        text = json.dumps(plain, indent=1, ensure_ascii=False) + "\n"
        write_bytes(path, text.encode(), overwrite=True)
        return path


def load_manifest(place: str | Path) -> Manifest:
    """Reads the manifest of a prepared folder. Raises AudioTransferError where there is none."""
    path = Path(place)
    path = path / NAME if path.is_dir() else path
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if plain.pop("version") != _VERSION:
            raise AudioTransferError(f"{path} is of another version: prepare the folder again")
        crop = plain.pop("sampling")["crop_seconds"]
        manifest = Manifest(
            folder=path.parent,
            songs=tuple(_song(song) for song in plain.pop("songs")),
            skipped=tuple(Skipped(**one) for one in plain.pop("skipped")),
            sampling=Sampling(tuple(crop) if crop else None),
            notes=tuple(plain.pop("notes")),
            **present_keys(plain, str(path)),
        )
    except FileNotFoundError:
        raise AudioTransferError(
            f"{path} does not exist; `audiotransfer prepare` makes it"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AudioTransferError(
            f"{path} is damaged ({error!r}); run `audiotransfer prepare` again"
        ) from None
    check_apart(manifest.songs)
    return manifest


def check_apart(songs: Iterable[PreparedSong]) -> None:
    """Raises AudioTransferError for a repeated song, an unknown split, an artist in two splits."""
    seen: set[str] = set()
    splits: dict[str, str] = {}
    for song in songs:
        if song.split not in SPLITS:
            raise AudioTransferError(
                f"song {song.id!r} is in the split {song.split!r}: there are {', '.join(SPLITS)}"
            )
        if song.id in seen:
            raise AudioTransferError(f"song {song.id!r} is there twice: rename one of them")
        seen.add(song.id)
        if song.artist and splits.setdefault(song.artist, song.split) != song.split:
            raise AudioTransferError(
                f"artist {song.artist!r} is in two splits ({splits[song.artist]}, {song.split}):"
                " draw the splits by artist"
            )


def _song(plain: dict[str, Any]) -> PreparedSong:
    features = {
        stem: Feature(one["file"], _runs(one["runs"])) for stem, one in plain["features"].items()
    }
    return PreparedSong(**{**plain, "sources": tuple(plain["sources"]), "features": features})


def _runs(listed: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((int(start), int(frames)) for start, frames in listed)
