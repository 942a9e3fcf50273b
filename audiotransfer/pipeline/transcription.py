"""Transcribes recordings, and writes their lead sheets."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.measuring import downmix_notice
from audiotransfer.pipeline.recording_sheet import examine
from audiotransfer.pipeline.reporting import Tracker
from audiotransfer.pipeline.sheet_files import (
    FORMATS,
    TranscribeReport,
    sheet_paths,
    sheet_report,
    write_sheet,
)
from audiotransfer.pipeline.sources import FileSource, Source, part_of

if TYPE_CHECKING:
    from audiotransfer.pipeline.cache import Cache
    from audiotransfer.pipeline.cut import Cut
    from audiotransfer.pipeline.reporting import ProgressCallback
    from audiotransfer.transcription import Transcription

_SHARES = {"transcribe": (0.0, 1.0)}  # of the job, by stage


def transcribe_source(
    source: Source, progress: ProgressCallback | None = None, cache: Cache | None = None
) -> Transcription:
    """The transcription of a song, read once; with a ``cache``, kept for its next use.

    Raises AudioTransferError for what cannot be read, and a song without samples.
    """
    return examine(source, None, Tracker(progress, _SHARES), cache).transcription


def transcribe_recording(
    source: str | Path,
    cut: Cut,
    folder: str | Path = ".",
    overwrite: bool = False,
    formats: Collection[str] = FORMATS,
    progress: ProgressCallback | None = None,
    cache: Cache | None = None,
) -> TranscribeReport:
    """Writes the lead sheet of a recording, or of a part of it, into a folder under its name.

    Raises AudioTransferError for what cannot be read, silence, or files that cannot be written.
    """
    song = part_of(FileSource(source), cut)
    paths = sheet_paths(Path(folder), song.title, formats, overwrite)
    found = transcribe_source(song, progress, cache)
    if found.sheet is None:
        raise AudioTransferError(f"{source} cannot be transcribed: {found.doubt}")
    write_sheet(found.sheet, paths, overwrite)
    notices = [*song.notices, *filter(None, [downmix_notice(song)])]
    if found.doubt:
        notices.append(f"{source}: {found.doubt}; check the transcription before it is used")
    report = sheet_report(source, found.sheet, paths, notices)
    confidence = {"beats": found.beats, "chords": found.chords, "lead": found.lead}
    return replace(report, confidence=confidence, doubt=found.doubt)
