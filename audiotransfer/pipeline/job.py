"""The main job on one song: measure, separate, transfer, mix, finish, write."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from audiotransfer.audio.tags.reading import read_tags
from audiotransfer.audio.writing import AudioWriter, check_output
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.finishing import (
    Listener,
    MixFile,
    Sink,
    finish,
    level_for,
    matching_gain,
)
from audiotransfer.pipeline.mixing import Mixer
from audiotransfer.pipeline.naming import ensure_folder, is_folder, is_same_file
from audiotransfer.pipeline.options import Report, StemReport, TransferOptions, decibels, finite
from audiotransfer.pipeline.own_outputs import mark_tags
from audiotransfer.pipeline.planning import Plan, StemPlan, prepare
from audiotransfer.pipeline.progress import ProgressCallback, Tracker
from audiotransfer.pipeline.sources import FileSource, Measured, Source, folding, measure, part_of
from audiotransfer.pipeline.stem_files import StemWriters, check_stem_files, stem_files
from audiotransfer.pipeline.workers import Workers
from audiotransfer.styles import Keep, style_label


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
    song = part_of(FileSource(source), options.cut)
    path = Path(output)
    check_output(
        path,
        options.overwrite,
        sample_rate=song.sample_rate,
        channels=min(2, song.channels),
        encoding=options.encoding,
    )
    if is_same_file(path, source):
        raise AudioTransferError(f"{path} is the song itself: give another output")
    if options.stem_format.two_stems:
        raise AudioTransferError(
            "two stems can be separated, not transferred: use `audiotransfer separate`"
        )
    check_stems_folder(options.stems_out)
    plan = plan or prepare(options)
    check_stem_files(plan, song, Path(source), path)
    tracker = Tracker(progress)
    measured = measure(song, tracker)
    with AudioWriter(
        path,
        song.sample_rate,
        measured.channels,
        encoding=options.encoding,
        tags=mark_tags(read_tags(source), style_label(options.style)),
        overwrite=options.overwrite,
    ) as writer:
        report = run(song, measured, plan, writer, tracker, output=path)
    notices = [*report.notices, *_unkept(path, writer.unkept)]
    return replace(report, notices=notices, wall_seconds=time.monotonic() - started)


def separate_file(
    source: str | Path,
    folder: str | Path,
    options: TransferOptions | None = None,
    progress: ProgressCallback | None = None,
) -> Report:
    """Writes the song's stems into a folder, ``drums.wav`` …, as ``stem_format`` of the options
    says; all of them sum to the song.

    Of the options the separator, device, seed, overwrite, block, stem format and cut count. Raises
    as :func:`transfer_file` does.
    """
    started = time.monotonic()
    asked = options or TransferOptions()
    options = TransferOptions(
        separator=asked.separator,
        device=asked.device,
        seed=asked.seed,
        stems_out=Path(folder),
        stem_format=asked.stem_format,
        cut=asked.cut,
        overwrite=asked.overwrite,
        block=asked.block,
    )
    song = part_of(FileSource(source), options.cut)
    check_stems_folder(options.stems_out)
    plan = prepare(options, separate_only=True)
    check_stem_files(plan, song, Path(source))
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
        stems = _stems_written(mixer, stack, notices)
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
            loudness, true_peak = _finish(mix, mixer, sink, output, notices)
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
        stems=_stem_reports(plan, source, only_written=sink is None),
        notices=notices,
        wall_seconds=0.0,
    )


def _finish(
    mix: MixFile, mixer: Mixer, sink: Sink, output: Path | None, notices: list[str]
) -> tuple[float, float]:
    options, measured = mixer.plan.options, mixer.measured
    level = level_for(
        max(measured.peaks),
        measured.true_peak,
        changed=mixer.changed,
        # A song in memory is clipped by nobody.
        encoding=options.encoding if output else "float32",
        suffix=output.suffix.lower() if output else "",
    )
    if level.notice and measured.rms:
        notices.append(level.notice)
    gain, target = level.gain, None
    if mixer.changed:
        loudness = mixer.loudness.integrated()
        target = loudness + 20.0 * math.log10(gain)
        gain *= matching_gain(mix.loudness, loudness)
    listener = Listener(sink, mix.sample_rate, mix.channels)
    finish(mix, gain, target, level.ceiling, listener, mixer.tracker)
    return listener.loudness, listener.true_peak


def _stems_written(
    mixer: Mixer, stack: ExitStack, notices: list[str]
) -> Iterator[tuple[Tensor, Tensor]]:
    """The stems pass through, and into the stems' folder where one is wanted."""
    if mixer.plan.options.stems_out is None:
        yield from mixer.stems()
        return
    writers = StemWriters(mixer.plan, list(mixer.styled), mixer.source, mixer.measured, stack)
    for dry, wet in mixer.stems():
        writers.write(dry, wet)
        yield dry, wet
    notices += writers.finish(mixer.tracker)


def check_stems_folder(folder: Path | None) -> None:
    """Raises :class:`AudioTransferError` unless stems can be written there."""
    if folder is None:
        return
    if os.path.lexists(folder) and not is_folder(folder):
        raise AudioTransferError(f"stems folder {folder} is a file: give a folder")
    with ensure_folder(folder):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise AudioTransferError(f"folder {folder} is not writable: give another stems folder")


def _unkept(path: Path, tags: Sequence[str]) -> list[str]:
    """A notice of the tags that the output does not hold."""
    return [f"tags that {path.name} does not hold: {', '.join(tags)}"] if tags else []


def _stem_reports(plan: Plan, source: Source, *, only_written: bool) -> dict[str, StemReport]:
    written: dict[str, list[str]] = {}
    for file in stem_files(plan, source):
        written.setdefault(file.name, []).append(os.fspath(file.path))
    separated = StemPlan("keep", Keep())
    stems = dict.fromkeys(written, separated) if only_written else plan.stems
    return {
        name: StemReport(
            stem.action, stem.style, stem.strength, stem.gain_db, tuple(written.get(name, ()))
        )
        for name, stem in stems.items()
    }
