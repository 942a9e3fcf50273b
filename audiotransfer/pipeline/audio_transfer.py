"""Style transfer of one song, from a file or memory: measures it, runs the stages, reports."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiotransfer.audio.loudness import LoudnessMeter
from audiotransfer.audio.tags.reading import read_tags
from audiotransfer.audio.tags.tags import Tags
from audiotransfer.audio.writing import AudioWriter
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import write_lead_sheet
from audiotransfer.pipeline import cover_stages, stages
from audiotransfer.pipeline.cover_options import given
from audiotransfer.pipeline.cover_stages import kept_stems
from audiotransfer.pipeline.finishing import (
    LoudnessMeterSink,
    MixFile,
    Sink,
    Spool,
    finish,
    level_for,
    matching_gain,
    write,
)
from audiotransfer.pipeline.measuring import Measured, downmix_notice, measure
from audiotransfer.pipeline.options import SMALL_SEPARATOR, TransferOptions
from audiotransfer.pipeline.output import Output, StemFile
from audiotransfer.pipeline.own_outputs import mark_tags
from audiotransfer.pipeline.plan import Plan, StemPlan, prepare
from audiotransfer.pipeline.recording_cover import RecordingCover, cover_recording
from audiotransfer.pipeline.reporting import (
    CoverReport,
    ProgressCallback,
    Report,
    StemReport,
    Tracker,
    decibels,
    finite,
)
from audiotransfer.pipeline.sheet_files import write_song_midi
from audiotransfer.pipeline.singing import with_singing
from audiotransfer.pipeline.sources import FileSource, Source, part_of
from audiotransfer.pipeline.stem_writing import StemWriters
from audiotransfer.pipeline.style_match import matched_to_style
from audiotransfer.pipeline.workers import Workers
from audiotransfer.styles import Keep

if TYPE_CHECKING:
    from audiotransfer.pipeline.recording_sheet import Examined


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
        separator=options.separator,
        device=options.device,
        seed=options.seed,
        cache=options.cache,
        block=options.block,
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
    for possible in (plan.fallback, plan):
        stem_files = output.stem_files(possible, song) if possible is not None else []
    tracker = Tracker(progress)
    with ExitStack() as stack:
        if plan.cover is None:
            job = _Job(song, measure(song, tracker), plan, output, stem_files, tracker)
        else:
            job = _cover_job(song, plan, output, stem_files, tracker, stack)
        report = _written(job, sink)
    return replace(report, wall_seconds=time.monotonic() - started)


def _written(job: _Job, sink: Sink | None) -> Report:
    """Runs a job into its output's file, or into the sink where it has none."""
    song, output = job.song, job.output
    if output.path is None:
        report = _run(job, sink)
    else:
        tags = read_tags(song.path) if song.path else Tags()
        with AudioWriter(
            output.path,
            job.measured.sample_rate,
            job.measured.channels,
            encoding=output.encoding,
            tags=mark_tags(tags, output.label),
            overwrite=output.overwrite,
        ) as writer:
            report = _run(job, writer)
        if writer.unkept:
            lost = f"tags that {output.path.name} does not hold: {', '.join(writer.unkept)}"
            report = replace(report, notices=[*report.notices, lost])
    return report


@dataclass
class _Job:
    """One song with its plan and output, measured, and arranged where it becomes a cover."""

    song: Source
    measured: Measured
    plan: Plan
    output: Output
    stem_files: list[StemFile]
    tracker: Tracker
    cover: RecordingCover | None = None
    examined: Examined | None = None
    separated: Spool | None = None
    notices: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path | None:
        """Where unfinished sound is kept; ``None`` is the system's temporary folder."""
        return self.output.path.parent if self.output.path else None


@torch.no_grad()
def _cover_job(
    song: Source,
    plan: Plan,
    output: Output,
    stem_files: list[StemFile],
    tracker: Tracker,
    stack: ExitStack,
) -> _Job:
    """Measures and transcribes a song, and arranges it; by the plan's fallback where it has one and
    the transcription is in doubt.

    The file of a song's stems that are separated for it lives as long as the stack.
    """
    assert plan.cover is not None
    from audiotransfer.pipeline.recording_sheet import examine, is_given  # loads scipy

    asked = plan.cover.options
    examined = examine(song, asked.leadsheet, tracker, plan.cache, of_part=asked.leadsheet_of_part)
    measured, transcription = examined.measured, examined.transcription
    if measured.rms == 0.0:
        return _Job(song, measured, replace(plan, cover=None), output, [], tracker)
    if transcription.doubt is not None and plan.fallback is not None:
        notice = f"{song.name}: timbre in place of a cover: {transcription.doubt}"
        if unused := [*given(plan.cover.options), *_parts_only(plan)]:
            notice += f" ({', '.join(unused)}: for covers only)"
        files = output.stem_files(plan.fallback, song)
        return _Job(song, measured, plan.fallback, output, files, tracker, notices=[notice])
    if plan.cover.has_voice and not is_given(plan.cover.options.leadsheet):
        key = stages.stems_key(song, plan, measured)
        folder = output.path.parent if output.path else None
        if (separated := stages.stem_file(key, plan, measured, folder)) is not None:
            stack.enter_context(separated)
        with _workers(plan) as workers:
            transcription = with_singing(
                transcription, song, measured, plan, workers, tracker, separated
            )
    else:
        separated = None
    try:
        cover = cover_recording(transcription, plan.cover, examined.sound.span)
    except AudioTransferError as error:
        raise AudioTransferError(f"{song.name}: {error}") from None
    notices = [f"{song.name}: {notice}" for notice in cover.notices]
    if transcription.doubt is not None:
        notices.insert(0, f"{song.name}: the cover may be off: {transcription.doubt}")
    stems = kept_stems(plan, cover)
    kept = {*stems, *(part.name for part in cover.parts)}
    if not kept:
        raise AudioTransferError(
            f"{song.name}: no note would be left: what the band stands for rests in this song"
        )
    if not stems:  # nothing is separated
        used = tuple(notice for notice in plan.notices if notice != SMALL_SEPARATOR)
        plan = replace(plan, separator_name="none", notices=used)
    files = [file for file in stem_files if kept.issuperset(file.parts)]
    return _Job(song, measured, plan, output, files, tracker, cover, examined, separated, notices)


def _parts_only(plan: Plan) -> list[str]:
    """Parts of a cover with a gain that no stem of the song shares."""
    assert plan.cover is not None
    return [name for name in plan.cover.own_gains if name not in plan.stems]


@torch.no_grad()
def _run(job: _Job, sink: Sink | None) -> Report:
    """The song's path: its stems or its cover, mixed, finished, written."""
    song, measured, output = job.song, job.measured, job.output
    notices = [*job.plan.notices, *song.notices, *job.notices]
    if notice := downmix_notice(song):
        notices.append(notice)
    if output.midi is not None and job.cover is None:
        notices.append(f"{output.midi} is not written: it holds the arrangement of a cover")
    if measured.rms == 0.0:
        notices.append("the song is silent: so is the result")
        job.plan = job.plan.for_silence()
    loudness, true_peak = measured.loudness, measured.true_peak
    with ExitStack() as stack:
        mix = None
        if sink is not None:
            mix = MixFile(job.folder, measured.sample_rate, measured.channels, measured.scale)
            stack.enter_context(mix)
        before = (_fill_by_stems if job.cover is None else _fill_by_cover)(job, mix, stack, notices)
        if sink is not None and mix is not None:
            meter = LoudnessMeterSink(sink, measured.sample_rate, measured.channels)
            write(_finished(mix, before, job, notices), meter)
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
        separator=job.plan.separator_name,
        stems=_stem_reports(job.plan, job.stem_files, only_written=sink is None),
        notices=notices,
        wall_seconds=0.0,
        mode="timbre" if job.cover is None else "cover",
        cover=None if job.cover is None else _cover_report(job.cover, job.stem_files),
    )


def _workers(plan: Plan) -> Workers:
    return Workers(torch.get_num_threads() if plan.device == "cpu" else 1)


def _fill_by_stems(job: _Job, mix: MixFile | None, stack: ExitStack, notices: list[str]) -> float:
    """Separates and transfers the song, writes its stems, and fills the mix; returns the song's
    LUFS at the working level.
    """
    plan, measured = job.plan, job.measured
    before = LoudnessMeter(measured.sample_rate, measured.channels)
    workers = stack.enter_context(_workers(plan))
    plan, file = matched_to_style(plan, job.song, measured, workers, job.tracker, job.folder, stack)
    job.plan = plan
    stems = stages.play(job.song, measured, plan, workers, job.tracker, before, file)
    if job.stem_files:
        names, styled = list(plan.stems), list(plan.styled)
        writers = StemWriters(names, styled, measured, job.output, job.stem_files, stack)
        stems = writers.tee(stems, job.tracker, notices)
    if mix is not None:
        mix.fill(stages.mix(stems, plan, measured))
    else:
        for _ in stems:
            pass
    return before.integrated()


def _fill_by_cover(job: _Job, mix: MixFile | None, stack: ExitStack, notices: list[str]) -> float:
    """Renders the cover, writes its stems, and fills the mix; returns the song's LUFS at the
    working level.
    """
    plan, measured, cover = job.plan, job.measured, job.cover
    assert plan.cover is not None and cover is not None and job.examined is not None
    workers = stack.enter_context(_workers(plan))
    tracks = cover_stages.record(
        job.song,
        measured,
        plan,
        cover,
        job.examined,
        workers,
        job.tracker,
        job.folder,
        stack,
        separately=bool(job.stem_files) or any(plan.cover.gains_db.values()),
        separated=job.separated,
    )
    if job.stem_files:
        writers = StemWriters(
            [*tracks.kept, *tracks.parts],
            tracks.styled,
            measured,
            job.output,
            job.stem_files,
            stack,
            complete=False,
        )
        for _ in writers.tee(cover_stages.stem_blocks(tracks, measured), job.tracker, notices):
            pass
    if job.output.midi is not None:
        parts, overwrite = cover.parts, job.output.overwrite
        write_song_midi(job.output.midi, cover.arranged, parts, overwrite)
    if job.output.sheet is not None:
        write_lead_sheet(cover.sheet, job.output.sheet, job.output.overwrite)
    if mix is not None:
        mix.fill(cover_stages.mix(tracks, plan, measured))
    return cover_stages.scaled_loudness(measured)


def _finished(mix: MixFile, before: float, job: _Job, notices: list[str]) -> Iterator[Tensor]:
    """Yields the finished mix ``[C, t]``, at the song's loudness (``before``, in LUFS at the
    working level) and below the output's ceiling.
    """
    measured, output = job.measured, job.output
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
        target = before + 20.0 * math.log10(gain)
        gain *= matching_gain(mix.loudness, before)
    return finish(mix, gain, target, level.ceiling, job.tracker)


def _cover_report(cover: RecordingCover, stem_files: list[StemFile]) -> CoverReport:
    """The cover's report with the files of its parts."""
    files = {file.name: os.fspath(file.path) for file in stem_files}
    parts = {
        name: replace(part, files=(files[name],) if name in files else ())
        for name, part in cover.report.parts.items()
    }
    return replace(cover.report, parts=parts)


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
            stem.action,
            stem.style,
            stem.strength,
            stem.gain_db,
            tuple(written.get(name, ())),
            stem.match.words(),
        )
        for name, stem in stems.items()
    }
