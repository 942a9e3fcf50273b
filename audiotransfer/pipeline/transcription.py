"""Transcribes recordings, and writes their lead sheets."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from audiotransfer.audio.resampling import STEREO_RATE, StreamResampler
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.cache import Cache, cache_folder
from audiotransfer.pipeline.measuring import downmix, downmix_notice
from audiotransfer.pipeline.recording_sheet import keep_transcription, kept_transcription
from audiotransfer.pipeline.reporting import Progress
from audiotransfer.pipeline.sheet_files import (
    FORMATS,
    TranscribeReport,
    sheet_paths,
    sheet_report,
    write_sheet,
)
from audiotransfer.pipeline.sources import PIECE, FileSource, Source, part_of
from audiotransfer.timing import TimeLeft
from audiotransfer.transcription import Transcriber, Transcription

if TYPE_CHECKING:
    from audiotransfer.pipeline.cut import Cut
    from audiotransfer.pipeline.reporting import ProgressCallback


@torch.no_grad()
def transcribe_source(
    source: Source, progress: ProgressCallback | None = None, title: str | None = None
) -> Transcription:
    """The transcription of a song, read once; its title is the source's without another.

    Raises AudioTransferError for what cannot be read, and a song without samples.
    """
    left = TimeLeft()
    channels = min(2, source.channels)
    resampler = StreamResampler(source.sample_rate, STEREO_RATE, channels)
    transcriber = Transcriber()
    frames = 0
    for piece in source.blocks(PIECE):
        transcriber.push(resampler.push(downmix(piece, source.layout)))
        frames += piece.shape[-1]
        if progress is not None:
            share = min(1.0, frames / max(1, source.frames))
            progress(Progress("transcribe", share, left.update("transcribe", share)))
    if not frames:
        raise AudioTransferError(f"{source.name} has no samples: there is nothing to work on")
    transcriber.push(resampler.push(torch.zeros(channels, 0), last=True))
    return transcriber.finish(source.title if title is None else title)


def transcribe_recording(
    source: str | Path,
    cut: Cut,
    folder: str | Path = ".",
    overwrite: bool = False,
    formats: Collection[str] = FORMATS,
    progress: ProgressCallback | None = None,
    cache: bool = True,
) -> TranscribeReport:
    """Writes the lead sheet of a recording, or of a part of it, into a folder under its name.

    ``cache``: the transcription is kept for covers of the song, or comes from there.

    Raises AudioTransferError for what cannot be read, silence, or files that cannot be written.
    """
    song = part_of(FileSource(source), cut)
    paths = sheet_paths(Path(folder), song.title, formats, overwrite)
    kept = Cache(cache_folder()) if cache else None
    found = None if kept is None else kept_transcription(kept, song)
    if found is None:
        found = keep_transcription(kept, song, transcribe_source(song, progress))
    if found.sheet is None:
        raise AudioTransferError(f"{source} cannot be transcribed: {found.doubt}")
    write_sheet(found.sheet, paths, overwrite)
    notices = [*song.notices, *filter(None, [downmix_notice(song)])]
    if found.doubt:
        notices.append(f"{source}: {found.doubt}; check the transcription before it is used")
    report = sheet_report(source, found.sheet, paths, notices)
    confidence = {"beats": found.beats, "chords": found.chords, "lead": found.lead}
    return replace(report, confidence=confidence, doubt=found.doubt)
