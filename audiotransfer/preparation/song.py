"""Preparation of one song: its stems, separated once, and spectrograms without their silence.

Below ``songs/ID/SEPARATOR`` lie ``STEM.flac``, ``STEM.SPECTROGRAM.npy``, and the records
``stems.json`` and ``SPECTROGRAM.json``, written last. The files that a record names are complete;
without a record they are written again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiotransfer.atomic import temporary_path
from audiotransfer.audio.channels import to_stereo
from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.resampling import STEREO_RATE, resample
from audiotransfer.audio.writing import AudioWriter
from audiotransfer.data.datasets.base import Skipped, Song
from audiotransfer.data.datasets.melon import read_spectrogram
from audiotransfer.data.manifest import Feature, PreparedSong
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline import stages
from audiotransfer.pipeline.cut import Cut
from audiotransfer.pipeline.measuring import measure
from audiotransfer.pipeline.options import TransferOptions
from audiotransfer.pipeline.plan import Plan, prepare
from audiotransfer.pipeline.reporting import Tracker
from audiotransfer.pipeline.sources import CutSource, FileSource, MemorySource
from audiotransfer.pipeline.workers import Workers
from audiotransfer.preparation.spectrograms import draw, label, sounding, stretches
from separation import SeparationError
from vocoder import SpectrogramSettings

GIVEN = "given"
"""In place of a separator's name: the song came with its stems or its spectrogram."""
MIX = "mix"

Runs = dict[str, list[tuple[float, float]]]
Features = dict[str, Feature]


class Unwritable(AudioTransferError):
    """Files cannot be written (a full disk, a closed folder), which ends the whole preparation."""


@dataclass(frozen=True)
class Task:
    """A song, the folder that it is prepared in, the separator and the spectrogram's settings.

    ``fingerprint`` identifies the separator's weights and settings (see `separation.fingerprint`).
    """

    song: Song
    root: str
    separator: str
    spectrogram: Mapping[str, Any]
    device: str = "cpu"
    fingerprint: str = ""

    @property
    def place(self) -> Path:
        """The folder of the song's files."""
        return Path(self.root) / "songs" / self.song.id / self.separator.replace(":", "-")


def prepare_song(task: Task) -> PreparedSong | Skipped:
    """Computes the missing stems and spectrograms of a song, or returns why it is skipped.

    Raises Unwritable where nothing can be written.
    """
    try:
        if "features" in task.song.files:
            features, seconds = _keep_spectrogram(task)
            return _prepared(task, {}, features, seconds)
        runs = _known_stems(task) or _make_stems(task)
        features = _known_features(task, runs) or _make_features(task, runs)
        return _prepared(task, runs, features, task.song.seconds)
    except Unwritable:
        raise
    except (AudioTransferError, SeparationError) as error:
        return Skipped(task.song.id, str(error))


def already_prepared(task: Task) -> PreparedSong | None:
    """The song as an earlier run prepared it; None where it did not, or not all of it."""
    if "features" in task.song.files:
        known = _record(task, label(task.spectrogram))
        if known is None:
            return None
        return _prepared(task, {}, _features(known), float(known["seconds"]))
    runs = _known_stems(task)
    features = None if runs is None else _known_features(task, runs)
    if runs is None or features is None:
        return None
    return _prepared(task, runs, features, task.song.seconds)


def _prepared(task: Task, runs: Runs, features: Features, seconds: float) -> PreparedSong:
    song = task.song
    root, place = Path(task.root), task.place
    return PreparedSong(
        id=song.id,
        split=song.split,
        genre=song.genre,
        artist=song.artist,
        licence=song.licence,
        seconds=round(seconds, 3),
        sources=song.sources,
        files={stem: str((place / f"{stem}.flac").relative_to(root)) for stem in runs},
        features=features,
    )


# --- stems


def _make_stems(task: Task) -> Runs:
    """Writes each stem that is not silent, the song at RMS 0.1."""
    place = task.place
    with _writing(place):
        place.mkdir(parents=True, exist_ok=True)
        for record in place.glob("*.json"):  # of spectrograms of other stems
            record.unlink()
    writers: dict[str, AudioWriter] = {}
    try:
        for piece in _given(task.song) if task.separator == GIVEN else _separated(task):
            for stem, block in piece.items():
                if not bool(block.isfinite().all()):
                    raise AudioTransferError(f"{stem} of {task.song.sources[0]} came out as NaN")
                with _writing(place):
                    if stem not in writers:
                        writers[stem] = AudioWriter(
                            place / f"{stem}.flac", STEREO_RATE, 2, overwrite=True
                        )
                    writers[stem].write(block)
        with _writing(place):
            for writer in writers.values():
                writer.close()
    except BaseException:
        for writer in writers.values():
            writer.discard()
        raise
    runs: Runs = {}
    for stem in writers:
        path = place / f"{stem}.flac"
        found = sounding(*_read_back(path))
        if found:
            runs[stem] = found
        else:
            path.unlink()
    if not runs:
        raise AudioTransferError(f"{task.song.sources[0]} is silent")
    _write_record(task, "stems", {**_origin(task), "runs": runs})
    return runs


def _separated(task: Task) -> Iterator[dict[str, Tensor]]:
    song = task.song
    plan = _plan(task.separator, task.device)
    wanted = Cut(song.start, song.start + song.seconds)
    source = CutSource(FileSource(song.files[MIX][0]), wanted)
    measured = measure(source, Tracker(None))
    if measured.rms == 0.0:
        raise AudioTransferError(f"{source.name} is silent")
    for block in stages.play(source, measured, plan, Workers(), Tracker(None)):
        yield dict(zip(plan.stems, block.dry * measured.scale, strict=True))


@lru_cache(maxsize=1)
def _plan(separator: str, device: str) -> Plan:
    """The plan with the separator, which every process loads once."""
    return prepare(
        TransferOptions(separator=separator, device=device, cache=False), separate_only=True
    )


def _given(song: Song) -> Iterator[dict[str, Tensor]]:
    """The stems that came with a song, each the sum of its files."""
    stems: dict[str, Tensor] = {}
    for stem, parts in song.files.items():
        if stem != MIX:
            stems[stem] = _sum([_stereo(path) for path in parts])
    mix = _sum(list(stems.values()))
    measured = measure(MemorySource(mix, STEREO_RATE, song.id), Tracker(None))
    for stem, audio in stems.items():
        yield {stem: audio * measured.scale}


def _stereo(path: str) -> Tensor:
    audio, rate = read_audio(path)
    return resample(to_stereo(audio), rate, STEREO_RATE)


def _sum(parts: list[Tensor]) -> Tensor:
    total = torch.zeros(2, max(part.shape[1] for part in parts))
    for part in parts:
        total[:, : part.shape[1]] += part
    return total


def _known_stems(task: Task) -> Runs | None:
    known = _record(task, "stems")
    if known is None or any(known.get(key) != value for key, value in _origin(task).items()):
        return None
    if not all((task.place / f"{stem}.flac").is_file() for stem in known["runs"]):
        return None
    return {stem: [tuple(run) for run in runs] for stem, runs in known["runs"].items()}


def _origin(task: Task) -> dict[str, Any]:
    """The facts of the record by which stems belong to this song, stretch and separator."""
    song = task.song
    return {
        "sources": [[Path(source).name, os.path.getsize(source)] for source in song.sources],
        "stretch": [song.start, song.seconds],
        "separator": task.fingerprint,
    }


# --- spectrograms


def _make_features(task: Task, runs: Runs) -> Features:
    spectrogram = SpectrogramSettings.from_dict(dict(task.spectrogram))
    features: Features = {}
    for stem, seconds in runs.items():
        audio, rate = _read_back(task.place / f"{stem}.flac")
        drawn = draw(resample(audio, rate, spectrogram.sample_rate), spectrogram)
        scale = spectrogram.sample_rate / spectrogram.hop_length
        spans = [(round(start * scale), round(stop * scale)) for start, stop in seconds]
        features[stem] = _write_spectrogram(task, stem, drawn, spans)
    _write_record(task, label(task.spectrogram), {"features": _plain(features)})
    return features


def _keep_spectrogram(task: Task) -> tuple[Features, float]:
    """Keeps the spectrogram that came with a song, without the frames that are at its floor."""
    drawn = read_spectrogram(task.song.files["features"][0])
    seconds = (
        len(drawn) * float(task.spectrogram["hop_length"]) / float(task.spectrogram["sample_rate"])
    )
    spans = stretches((drawn > drawn.min()).any(1))
    if not spans:
        raise AudioTransferError(f"{task.song.sources[0]} is silent")
    with _writing(task.place):
        task.place.mkdir(parents=True, exist_ok=True)
    with np.errstate(over="raise"):
        try:
            halved = drawn.astype(np.float16)
        except FloatingPointError:
            raise AudioTransferError(
                f"{task.song.sources[0]} has values up to {drawn.max():.3g}, which are no"
                " logarithms"
            ) from None
    features = {MIX: _write_spectrogram(task, MIX, halved, spans)}
    known = {"features": _plain(features), "seconds": seconds}
    _write_record(task, label(task.spectrogram), known)
    return features, seconds


def _write_spectrogram(
    task: Task, stem: str, drawn: NDArray[np.float16], spans: list[tuple[int, int]]
) -> Feature:
    """Writes the frames of the spans, concatenated."""
    path = task.place / f"{stem}.{label(task.spectrogram)}.npy"
    runs = [(start, len(drawn[start:stop])) for start, stop in spans]
    part = temporary_path(path)
    with _writing(task.place):
        with part.open("wb") as file:
            np.save(file, np.concatenate([drawn[start:stop] for start, stop in spans]))
        os.replace(part, path)
    return Feature(str(path.relative_to(task.root)), tuple(run for run in runs if run[1]))


def _known_features(task: Task, runs: Runs) -> Features | None:
    known = _record(task, label(task.spectrogram))
    if known is None:
        return None
    features = _features(known)
    there = all((Path(task.root) / one.file).is_file() for one in features.values())
    return features if there and features.keys() == runs.keys() else None


def _features(known: Mapping[str, Any]) -> Features:
    return {
        stem: Feature(one["file"], tuple((start, frames) for start, frames in one["runs"]))
        for stem, one in known["features"].items()
    }


def _plain(features: Features) -> dict[str, Any]:
    return {stem: {"file": one.file, "runs": one.runs} for stem, one in features.items()}


# --- files


def _record(task: Task, name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((task.place / f"{name}.json").read_text())
    except (OSError, ValueError):
        return None
    return found


def _write_record(task: Task, name: str, values: dict[str, Any]) -> None:
    path = task.place / f"{name}.json"
    part = temporary_path(path)
    with _writing(task.place):
        part.write_text(json.dumps(values))
        os.replace(part, path)


def _read_back(path: Path) -> tuple[Tensor, int]:
    """Reads a stem that was written, which fails where the disk filled up unnoticed."""
    with _writing(path.parent):
        return read_audio(path)


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, AudioTransferError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise Unwritable(
            f"{place} cannot be written ({reason}); what is done stays, so make room and give the"
            " same command again"
        ) from None
