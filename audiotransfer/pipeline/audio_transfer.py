"""Style transfer of one song, from a file or memory: measures it, runs the stages, reports."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from audiotransfer.audio.loudness import LoudnessMeter
from audiotransfer.audio.tags.reading import read_tags
from audiotransfer.audio.tags.tags import Tags
from audiotransfer.audio.writing import AudioWriter
from audiotransfer.pipeline import stages
from audiotransfer.pipeline.finishing import (
    LoudnessMeterSink,
    MixFile,
    Sink,
    finish,
    level_for,
    matching_gain,
    write,
)
from audiotransfer.pipeline.measuring import Measured, downmix_notice, measure
from audiotransfer.pipeline.options import TransferOptions
from audiotransfer.pipeline.output import Output, StemFile
from audiotransfer.pipeline.own_outputs import mark_tags
from audiotransfer.pipeline.plan import Plan, StemPlan, prepare
from audiotransfer.pipeline.reporting import (
    ProgressCallback,
    Report,
    StemReport,
    Tracker,
    decibels,
    finite,
)
from audiotransfer.pipeline.sources import FileSource, Source, part_of
from audiotransfer.pipeline.stem_writing import StemWriters
from audiotransfer.pipeline.workers import Workers
from audiotransfer.styles import Keep


def transfer_file(
    source: str | Path,
    output: str | Path,
    options: TransferOptions,
    progress: ProgressCallback | None = None,
) -> Report:
    """Writes the song in the style that `options` name: same length, rate, channels, loudness and
    tags.

    Args:
        source: a song; more than two channels come out as stereo.
        output: wav, flac, ogg or mp3 by its suffix.
        options: the request.
        progress: is called often; whatever it raises stops the job, which leaves nothing behind.

    Raises:
        AudioTransferError, separation.SeparationError, vocoder.VocoderError: in one line, with
            nothing written.
    """
    started = time.monotonic()
    song = part_of(FileSource(source), options.cut)
    place = Output.file(output, options)
    place.check(song)
    report = transfer_song(song, prepare(options), place, progress)
    return replace(report, wall_seconds=time.monotonic() - started)


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
    options = options or TransferOptions()
    song = part_of(FileSource(source), options.cut)
    place = Output.stems(folder, options)
    place.check(song)
    separating = TransferOptions(
        separator=options.separator, device=options.device, seed=options.seed, block=options.block
    )
    plan = prepare(separating, separate_only=True)
    report = transfer_song(song, plan, place, progress)
    return replace(report, wall_seconds=time.monotonic() - started)


def transfer_song(
    song: Source | str | Path,
    plan: Plan,
    output: Output,
    progress: ProgressCallback | None = None,
    *,
    sink: Sink | None = None,
) -> Report:
    """Transfers one song by a plan, and writes it and its stems to the output.

    Args:
        song: a file, or a source whose output was checked already (`output.check`).
        sink: takes the song where the output has no path for it; without either, only stems are
            written.

    Raises:
        AudioTransferError: as :func:`transfer_file`.
    """
    started = time.monotonic()
    if isinstance(song, str | Path):
        song = FileSource(song)
        output.check(song)
    stem_files = output.stem_files(plan, song)
    tracker = Tracker(progress)
    measured = measure(song, tracker)
    if output.path is None:
        report = _run(song, measured, plan, output, stem_files, sink, tracker)
    else:
        tags = read_tags(song.path) if song.path else Tags()
        with AudioWriter(
            output.path,
            measured.sample_rate,
            measured.channels,
            encoding=output.encoding,
            tags=mark_tags(tags, output.label),
            overwrite=output.overwrite,
        ) as writer:
            report = _run(song, measured, plan, output, stem_files, writer, tracker)
        if writer.unkept:
            lost = f"tags that {output.path.name} does not hold: {', '.join(writer.unkept)}"
            report = replace(report, notices=[*report.notices, lost])
    return replace(report, wall_seconds=time.monotonic() - started)


@torch.no_grad()
def _run(
    song: Source,
    measured: Measured,
    plan: Plan,
    output: Output,
    stem_files: list[StemFile],
    sink: Sink | None,
    tracker: Tracker,
) -> Report:
    """The song's path: read, separate, transfer, restore, write stems, mix, finish, write."""
    notices = [*plan.notices, *song.notices]
    if notice := downmix_notice(song):
        notices.append(notice)
    if measured.rms == 0.0:
        notices.append("the song is silent: so is the result")
        plan = plan.for_silence()
    loudness, true_peak = measured.loudness, measured.true_peak
    before = LoudnessMeter(measured.sample_rate, measured.channels)
    with ExitStack() as stack:
        cores = torch.get_num_threads() if plan.device == "cpu" else 1
        workers = stack.enter_context(Workers(cores))
        stems = stages.play(song, measured, plan, workers, tracker, before)
        if stem_files:
            writers = StemWriters(plan, measured, output, stem_files, stack)
            stems = writers.tee(stems, tracker, notices)
        if sink is None:
            for _ in stems:
                pass
        else:
            folder = output.path.parent if output.path else None
            mix = MixFile(folder, measured.sample_rate, measured.channels, measured.scale)
            stack.enter_context(mix)
            mix.fill(stages.mix(stems, plan, measured))
            meter = LoudnessMeterSink(sink, measured.sample_rate, measured.channels)
            write(_finished(mix, before, measured, output, tracker, notices), meter)
            loudness, true_peak = meter.loudness, meter.true_peak
    return Report(
        input=song.name,
        output=os.fspath(output.path) if output.path else None,
        seconds=measured.frames / measured.sample_rate,
        sample_rate=measured.sample_rate,
        channels=measured.channels,
        frames=measured.frames,
        loudness_in=finite(measured.loudness),
        loudness_out=finite(loudness),
        true_peak_in=decibels(measured.true_peak),
        true_peak_out=decibels(true_peak),
        separator=plan.separator_name,
        stems=_stem_reports(plan, stem_files, only_written=sink is None),
        notices=notices,
        wall_seconds=0.0,
    )


def _finished(
    mix: MixFile,
    before: LoudnessMeter,
    measured: Measured,
    output: Output,
    tracker: Tracker,
    notices: list[str],
) -> Iterator[Tensor]:
    """Yields the finished mix ``[C, t]``, at the song's loudness and below the output's ceiling."""
    level = level_for(
        max(measured.peaks),
        measured.true_peak,
        changed=mix.changed,
        encoding=output.encoding,
        suffix=output.path.suffix.lower() if output.path else "",
    )
    if level.notice and measured.rms:
        notices.append(level.notice)
    gain, target = level.gain, None
    if mix.changed:
        loudness = before.integrated()
        target = loudness + 20.0 * math.log10(gain)
        gain *= matching_gain(mix.loudness, loudness)
    return finish(mix, gain, target, level.ceiling, tracker)


def _stem_reports(
    plan: Plan, stem_files: list[StemFile], *, only_written: bool
) -> dict[str, StemReport]:
    written: dict[str, list[str]] = {}
    for file in stem_files:
        written.setdefault(file.name, []).append(os.fspath(file.path))
    separated = StemPlan("keep", Keep())
    stems = dict.fromkeys(written, separated) if only_written else plan.stems
    return {
        name: StemReport(
            stem.action, stem.style, stem.strength, stem.gain_db, tuple(written.get(name, ()))
        )
        for name, stem in stems.items()
    }
