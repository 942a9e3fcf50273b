"""Preparation of a collection: stems and spectrograms of every song, and one manifest."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiotransfer.data.datasets.base import AUTO, Found, Skipped, Song, create, recognise
from audiotransfer.data.manifest import NAME, Manifest, PreparedSong, load_manifest
from audiotransfer.data.splits import split_songs
from audiotransfer.errors import AudioTransferError
from audiotransfer.parallel import count_workers, each
from audiotransfer.pipeline import resolve_device, resolve_separator
from audiotransfer.preparation.song import GIVEN, MIX, Task, already_prepared, prepare_song
from audiotransfer.preparation.spectrograms import spectrogram_settings
from separation import fingerprint

Show = Callable[[str, float], None]


@dataclass(frozen=True)
class Settings:
    """Settings of the preparation of a collection.

    ``kind``: the name of its data set, or ``auto``. ``genres``: these only. ``separator``: the
    separator by name; ``None`` uses the stems that come with songs, else ``auto``.
    ``spectrogram``: its settings, the defaults where ``None``. ``jobs`` songs at a time (``None``:
    as many as cores) here, or on a ``backend`` (``dask``, ``ray``). ``seed`` draws splits; another
    one draws them all anew.
    """

    kind: str = AUTO
    genres: tuple[str, ...] = ()
    separator: str | None = None
    spectrogram: Mapping[str, Any] | None = None
    device: str = "cpu"
    seed: int = 0
    jobs: int | None = None
    backend: str | None = None


def prepare_collection(
    folders: Sequence[Path], out: Path, settings: Settings, show: Show | None = None
) -> Manifest:
    """Writes the stems and spectrograms that are missing in ``out``, and ``manifest.json``.

    Songs that cannot be used are in the manifest, with the reason. Songs that an earlier run
    prepared are not prepared again, and stay in the splits that they were in. Raises
    AudioTransferError where the request cannot be met: see ``Corpus.find``; mixed sample rates; a
    separator for a collection without sound; a genre of which no song is left.
    """
    kind = _kind(folders, settings.kind)
    _check_out(folders, out)
    device = resolve_device(settings.device)
    workers = count_workers(settings.jobs, device)
    if show is not None:
        show("listing", 0.0)
    found = create(kind).find(folders, settings.genres)
    spectrogram = _spectrogram(found, kind, settings)
    before, redrawn = _before(out, settings.seed)
    songs = split_songs(found.songs, settings.seed, found.held_out, before)
    if found.spectrogram is None:
        _check_rates(songs, float(spectrogram["sample_rate"]))
    separator, made_by, notices = _separator(songs, kind, settings.separator, device)
    root = os.path.realpath(out)
    tasks = [Task(song, root, separator, spectrogram, device, made_by) for song in songs]
    ready, missing = _sort_out(tasks)
    skipped = list(found.skipped)
    weights = {task.song.id: task.song.seconds or 1.0 for task in missing}
    total = sum(weights.values())
    done = 0.0
    for result in each(prepare_song, missing, workers, settings.backend, _lost):
        if isinstance(result, Skipped):
            skipped.append(result)
        else:
            ready.append(result)
        done += weights[result.id]
        if show is not None:
            stage = f"{len(ready) + len(skipped) - len(found.skipped)} of {len(tasks)} songs"
            show(stage, done / total)
    _check_genres(songs, ready, skipped)
    manifest = Manifest(
        folder=out,
        kind=kind,
        separator=None if separator == GIVEN else separator,
        spectrogram=dict(spectrogram),
        songs=tuple(sorted(ready, key=lambda song: song.id)),
        skipped=tuple(skipped),
        notes=(
            *found.notes,
            *notices,
            *redrawn,
            *_bandwidth(songs, float(spectrogram["sample_rate"])),
        ),
        sampling=found.sampling,
        seed=settings.seed,
    )
    manifest.save()
    return manifest


def _lost(task: Task, why: str) -> Skipped:
    return Skipped(task.song.id, why)


def _kind(folders: Sequence[Path], kind: str) -> str:
    if kind != AUTO:
        return kind
    return recognise(folders[0]) if len(folders) == 1 else "folders"


def _check_out(folders: Sequence[Path], out: Path) -> None:
    place = Path(os.path.realpath(out))
    for folder in folders:
        if place.is_relative_to(os.path.realpath(folder)):
            raise AudioTransferError(
                f"-o {out} lies in {folder}, whose songs it would be taken for; name another place"
            )
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudioTransferError(
            f"-o {out} cannot be made ({error.strerror}); name another place"
        ) from None


def _before(out: Path, seed: int) -> tuple[tuple[PreparedSong, ...], list[str]]:
    """The songs of an earlier preparation, whose splits are kept, and notes for the manifest."""
    if not (out / NAME).exists():
        return (), []
    try:
        there = load_manifest(out)
    except AudioTransferError as error:
        return (), [f"splits were drawn anew, as those that were there are lost: {error}"]
    if there.seed != seed:
        return (), [f"splits were drawn anew, by seed {seed} instead of {there.seed}"]
    return there.songs, []


def _spectrogram(found: Found, kind: str, settings: Settings) -> Mapping[str, Any]:
    if found.spectrogram is None:
        return settings.spectrogram or spectrogram_settings()
    if settings.separator is not None:
        raise AudioTransferError(
            f"{kind} has spectrograms of {found.spectrogram['bins']} bands and no sound: there is"
            f" nothing to separate, so leave out --separator {settings.separator}"
        )
    if settings.spectrogram is not None:
        raise AudioTransferError(
            f"{kind} comes as spectrograms of {found.spectrogram['bins']} bands and has no sound to"
            " make others from; leave out --spectrogram and --style-of"
        )
    return found.spectrogram


def _separator(
    songs: Sequence[Song], kind: str, wanted: str | None, device: str
) -> tuple[str, str, list[str]]:
    """The separator's name, or ``given``, its fingerprint, and notes for the manifest."""
    with_stems = all(song.files.keys() - {MIX} for song in songs)
    if with_stems and wanted is None:
        return GIVEN, "", []
    if not all(MIX in song.files for song in songs):
        raise AudioTransferError(
            f"{kind} has stems and no mixes: leave out --separator {wanted} to take them as they"
            " are"
        )
    separator, label, notices = resolve_separator(wanted or "auto", device)
    return label, fingerprint(separator), notices


def _sort_out(tasks: Sequence[Task]) -> tuple[list[PreparedSong], list[Task]]:
    """The songs that earlier runs prepared, and the tasks that are left."""
    ready, missing = [], []
    for task in tasks:
        known = already_prepared(task)
        if known is None:
            missing.append(task)
        else:
            ready.append(known)
    return ready, missing


def _check_rates(songs: Sequence[Song], wanted: float) -> None:
    """Raises AudioTransferError for mixed rates: a discriminator would learn the bandwidth."""
    rates = Counter(song.sample_rate for song in songs)
    lowest = min(rates)
    if len(rates) > 1 and lowest < wanted:
        listed = ", ".join(f"{count} at {rate} Hz" for rate, count in sorted(rates.items()))
        first = next(song.sources[0] for song in songs if song.sample_rate == lowest)
        raise AudioTransferError(
            f"mixed sample rates ({listed}) give a genre away by its bandwidth: add"
            f" --spectrogram sample_rate={lowest}, or take out songs such as {first}"
        )


def _bandwidth(songs: Sequence[Song], wanted: float) -> list[str]:
    rate = min(song.sample_rate for song in songs)
    if not 0 < rate < wanted:
        return []
    return [
        f"songs have {rate} Hz: the spectrograms are empty above {rate // 2} Hz unless they are"
        f" made with --spectrogram sample_rate={rate}"
    ]


def _check_genres(
    songs: Sequence[Song], ready: Sequence[PreparedSong], skipped: Sequence[Skipped]
) -> None:
    for genre in sorted({song.genre for song in songs} - {song.genre for song in ready}):
        ids = {song.id for song in songs if song.genre == genre}
        why = next(one.why for one in skipped if one.id in ids)
        raise AudioTransferError(f"genre {genre!r} is empty: none of its songs is left ({why})")
