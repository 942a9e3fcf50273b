"""Songs of a benchmark: rendered ones with true renderings, prepared ones, recordings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from audiotransfer.audio.channels import to_stereo
from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.resampling import STEREO_RATE, resample
from audiotransfer.data.manifest import NAME, Manifest
from audiotransfer.errors import AudioTransferError

_CARD = "song.json"


@dataclass(frozen=True)
class BenchmarkSong:
    """A song: files whose sum it is, and those of its true rendering.

    ``truth`` is empty where there is none, ``genre`` None where it is unknown.
    """

    name: str
    files: tuple[Path, ...]
    truth: tuple[Path, ...] = ()
    genre: str | None = None

    def source(self, seconds: float | None = None) -> Tensor:
        """The song [2, T] at 44.1 kHz: its middle ``seconds``, or all of it."""
        return _middle(self.files, seconds)

    def true_rendering(self, seconds: float | None = None) -> Tensor | None:
        """The same excerpt, rendered with the target's instruments."""
        return _middle(self.truth, seconds) if self.truth else None


def is_rendered(folder: Path) -> bool:
    """Whether a folder is the output of `audiotransfer render`."""
    return folder.is_dir() and any(folder.glob(f"*/{_CARD}"))


def is_prepared(folder: Path) -> bool:
    """Whether a folder is the output of `audiotransfer prepare`."""
    return (folder / NAME).is_file()


def rendered_songs(folder: Path, genre: str, split: str = "test") -> list[BenchmarkSong]:
    """The rendered songs of a split with their true renderings in a genre.

    Raises AudioTransferError where the split is empty or a song's rendering is missing.
    """
    found = []
    for card in sorted(folder.glob(f"*/{_CARD}")):
        if json.loads(card.read_text(encoding="utf-8"))["split"] != split:
            continue
        song = card.parent
        truth = _truth(song, genre)
        if not truth:
            raise AudioTransferError(
                f"{song} has no rendering in {genre!r}; render songs with that target, or ask "
                "about another --genre"
            )
        found.append(BenchmarkSong(song.name, _stems(song / "source"), truth))
    if not found:
        raise AudioTransferError(
            f"{folder} holds no rendered songs of split {split!r}; "
            "`audiotransfer render` makes them"
        )
    return found


def prepared_songs(manifest: Manifest, splits: Sequence[str] = ("test",)) -> list[BenchmarkSong]:
    """The songs of some splits of a prepared collection, of all genres.

    Raises AudioTransferError where the collection has no sound, or none in these splits.
    """
    manifest.require_sound("a benchmark")
    found = [
        BenchmarkSong(
            song.id if song.id.startswith(f"{song.genre}/") else f"{song.genre}/{song.id}",
            tuple(manifest.folder / file for file in song.files.values()),
            genre=song.genre,
        )
        for song in manifest.songs
        if song.split in splits and song.files
    ]
    if not found:
        raise AudioTransferError(
            f"{manifest.folder} has no songs in {', '.join(splits)}: add songs by other artists "
            "and prepare again"
        )
    return found


def recorded_songs(paths: Iterable[Path]) -> list[BenchmarkSong]:
    """Recordings; the genre of each is the name of its folder."""
    return [BenchmarkSong(f"{p.parent.name}/{p.stem}", (p,), genre=p.parent.name) for p in paths]


def _truth(song: Path, genre: str) -> tuple[Path, ...]:
    """The target rendering: finished with effects where there is one, else its stems."""
    mix = song / "finished" / f"{genre}.wav"
    return (mix,) if mix.is_file() else _stems(song / "target" / genre)


def _stems(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(folder.glob("*.wav")))


def _middle(paths: Sequence[Path], seconds: float | None) -> Tensor:
    audio = torch.stack([_stereo(path) for path in paths]).sum(0)
    if seconds is None:
        return audio
    length = min(audio.shape[-1], round(seconds * STEREO_RATE))
    start = (audio.shape[-1] - length) // 2
    return audio[:, start : start + length]


def _stereo(path: Path) -> Tensor:
    audio, rate = read_audio(path)
    return to_stereo(resample(audio, rate, STEREO_RATE))
