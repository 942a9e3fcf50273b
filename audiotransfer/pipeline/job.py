"""The main job on one song: measure, separate, transfer, mix, finish, write."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from audiotransfer import files, sound
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.finishing import (
    Listener,
    MixFile,
    Sink,
    ceiling_for,
    finish,
    matching_gain,
)
from audiotransfer.pipeline.mixing import Mixer
from audiotransfer.pipeline.options import Report, StemReport, TransferOptions, decibels, finite
from audiotransfer.pipeline.planning import Plan, prepare
from audiotransfer.pipeline.progress import ProgressCallback, Tracker
from audiotransfer.pipeline.sources import FileSource, Measured, Source, folding, measure
from audiotransfer.pipeline.workers import Workers

STEM_SUFFIX = ".wav"


def transfer_file(
    source: str | Path,
    output: str | Path,
    options: TransferOptions,
    progress: ProgressCallback | None = None,
    *,
    plan: Plan | None = None,
) -> Report:
    """Writes the song in the style that `options` name: same length, rate, channels, loudness and
    tags.

    Args:
        source: a song; more than two channels come out as stereo.
        output: wav, flac, ogg or mp3 by its suffix.
        options: the request.
        progress: is called often; whatever it raises stops the job, which leaves nothing behind.
        plan: what :func:`prepare` made of the same options, for many songs with one loading of
            weights.

    Raises:
        AudioTransferError, separation.SeparationError, vocoder.VocoderError: in one line, with
        nothing written.
    """
    started = time.monotonic()
    song = FileSource(source)
    path = Path(output)
    files.check_output(
        path,
        options.overwrite,
        sample_rate=song.sample_rate,
        channels=min(2, song.channels),
        encoding=options.encoding,
    )
    if _same(path, song.path):
        raise AudioTransferError(f"{path} is the song itself: give another output")
    check_stems_folder(options.stems_out)
    plan = plan or prepare(options)
    check_stem_files(plan, song.path, path)
    tracker = Tracker(progress)
    measured = measure(song, tracker)
    with files.Writer(
        path,
        song.sample_rate,
        measured.channels,
        encoding=options.encoding,
        tags=files.read_tags(song.path),
        overwrite=options.overwrite,
    ) as writer:
        report = run(song, measured, plan, writer, tracker, output=path)
    return replace(report, wall_seconds=time.monotonic() - started)


def separate_file(
    source: str | Path,
    folder: str | Path,
    options: TransferOptions | None = None,
    progress: ProgressCallback | None = None,
) -> Report:
    """Writes the song's stems into a folder: ``drums.wav`` …, float32 at 44.1 kHz stereo; they sum
    to the song.

    Of the options the separator, device, seed, overwrite and block count. Raises as
    :func:`transfer_file` does.
    """
    started = time.monotonic()
    asked = options or TransferOptions()
    options = TransferOptions(
        separator=asked.separator,
        device=asked.device,
        seed=asked.seed,
        stems_out=Path(folder),
        overwrite=asked.overwrite,
        block=asked.block,
    )
    song = FileSource(source)
    check_stems_folder(options.stems_out)
    plan = prepare(options, separate_only=True)
    check_stem_files(plan, song.path)
    tracker = Tracker(progress)
    measured = measure(song, tracker)
    report = run(song, measured, plan, None, tracker)
    return replace(report, wall_seconds=time.monotonic() - started)


@torch.no_grad()
def run(
    source: Source,
    measured: Measured,
    plan: Plan,
    sink: Sink | None,
    tracker: Tracker,
    *,
    output: Path | None = None,
) -> Report:
    """One measured song through a plan into a sink (``None``: only its stems are wanted)."""
    notices = list(plan.notices)
    notices += source.notices
    if fold := folding(source):
        notices.append(fold)
    if measured.rms == 0.0:
        notices.append("the song is silent: so is the result")
        plan = plan.for_silence()
    loudness, true_peak = measured.loudness, measured.true_peak
    with ExitStack() as stack:
        cores = torch.get_num_threads() if plan.device == "cpu" else 1
        mixer = Mixer(plan, source, measured, tracker, stack.enter_context(Workers(cores)))
        stems = _stems_written(mixer, stack)
        if sink is None:
            for _ in stems:
                pass
        else:
            folder = output.parent if output else None
            mix = stack.enter_context(
                MixFile(folder, source.sample_rate, measured.channels, measured.scale)
            )
            for piece in mixer.mixed(stems):
                mix.write(piece)
            loudness, true_peak = _finish(mix, mixer, sink, output)
    return Report(
        input=source.name,
        output=os.fspath(output) if output else None,
        seconds=measured.frames / source.sample_rate,
        sample_rate=source.sample_rate,
        channels=measured.channels,
        frames=measured.frames,
        loudness_in=finite(measured.loudness),
        loudness_out=finite(loudness),
        true_peak_in=decibels(measured.true_peak),
        true_peak_out=decibels(true_peak),
        separator=plan.label,
        stems=_stem_reports(plan),
        notices=notices,
        wall_seconds=0.0,
    )


def stem_files(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Names of the files that each stem gets in the stems' folder: ``drums.wav``,
    ``drums.jazz.wav``.
    """
    names = {}
    for name, stem in plan.stems.items():
        wet = (f"{name}.{stem.style}{STEM_SUFFIX}",) if stem.action == "style" else ()
        names[name] = (f"{name}{STEM_SUFFIX}", *wet)
    return names


def _finish(mix: MixFile, mixer: Mixer, sink: Sink, output: Path | None) -> tuple[float, float]:
    options, measured = mixer.plan.options, mixer.measured
    ceiling = ceiling_for(
        measured.true_peak,
        changed=mixer.changed,
        # A song in memory is clipped by nobody.
        encoding=options.encoding if output else "float32",
        suffix=output.suffix.lower() if output else "",
    )
    gain, target = 1.0, None
    if mixer.changed:
        target = mixer.loudness.integrated()
        gain = matching_gain(mix.loudness, target)
    listener = Listener(sink, mix.sample_rate, mix.channels)
    finish(mix, gain, target, ceiling, listener, mixer.tracker)
    return listener.loudness, listener.true_peak


def _stems_written(mixer: Mixer, stack: ExitStack) -> Iterator[tuple[Tensor, Tensor]]:
    """The stems pass through, and into the stems' folder where one is wanted."""
    options = mixer.plan.options
    if options.stems_out is None:
        yield from mixer.stems()
        return
    _make_folder(options.stems_out, stack)
    writers: Mapping[str, list[files.Writer]] = {
        name: [
            stack.enter_context(
                files.Writer(
                    options.stems_out / file,
                    sound.STEREO_RATE,
                    2,
                    encoding="float32",
                    overwrite=options.overwrite,
                )
            )
            for file in stem
        ]
        for name, stem in stem_files(mixer.plan).items()
    }
    for dry, wet in mixer.stems():
        after = dict(zip(mixer.styled, wet, strict=True))
        for (name, stem), before in zip(writers.items(), dry, strict=True):
            stem[0].write(before)
            for writer in stem[1:]:
                writer.write(after.get(name, before))
        yield dry, wet


def _make_folder(folder: Path, stack: ExitStack) -> None:
    """Makes the stems' folder; a job that fails takes an empty one away again."""
    if folder.is_dir():
        return
    folder.mkdir()

    def remove(kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            return
        # A signal may come after a file was begun and before its writer would clear it away.
        for part in folder.glob(".*.part"):
            part.unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()

    stack.push(remove)


def check_stems_folder(folder: Path | None) -> None:
    """Raises :class:`AudioTransferError` unless stems can be written there."""
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise AudioTransferError(f"stems folder {folder} is a file: give a folder")
    place = folder if folder.exists() else folder.absolute().parent
    if not place.is_dir():
        raise AudioTransferError(f"folder {place} does not exist: make it first")
    if not os.access(place, os.W_OK | os.X_OK):
        raise AudioTransferError(f"folder {place} is not writable: give another stems folder")


def check_stem_files(plan: Plan, *taken: Path) -> None:
    """Raises :class:`AudioTransferError` where a stem's file would stand over another, or over one
    that is taken.
    """
    folder = plan.options.stems_out
    if folder is None:
        return
    for stem in stem_files(plan).values():
        for file in stem:
            path = folder / file
            if any(_same(path, other) for other in taken):
                raise AudioTransferError(
                    f"stem {path} would stand over the song: give another stems folder"
                )
            if folder.is_dir():
                files.check_output(path, plan.options.overwrite, encoding="float32")


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _stem_reports(plan: Plan) -> dict[str, StemReport]:
    out = plan.options.stems_out
    named = stem_files(plan)
    return {
        name: StemReport(
            stem.action,
            stem.style,
            stem.strength,
            stem.gain_db,
            tuple(os.fspath(out / file) for file in named[name]) if out else (),
        )
        for name, stem in plan.stems.items()
    }
