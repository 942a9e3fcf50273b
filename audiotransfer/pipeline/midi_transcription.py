"""Lead sheets of MIDI files, written as JSON, as a chord sheet and as MusicXML."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from audiotransfer import midi
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import lead_sheet
from audiotransfer.pipeline.sheet_files import (
    FORMATS,
    TranscribeReport,
    sheet_paths,
    sheet_report,
    write_sheet,
)


def transcribe_file(
    source: str | Path,
    folder: str | Path = ".",
    overwrite: bool = False,
    formats: Collection[str] = FORMATS,
) -> TranscribeReport:
    """Writes the lead sheet of a MIDI file into a folder, under the song's name.

    Its notes are not written as MIDI again. Raises AudioTransferError for a file without notes, or
    files that cannot be written.
    """
    source = Path(source)
    wanted = [format for format in formats if format != "midi"]
    paths = sheet_paths(Path(folder), source.stem, wanted, overwrite)
    file = midi.read(source)
    try:
        sheet = lead_sheet(file, source.stem)
    except AudioTransferError as error:
        raise AudioTransferError(f"{source}: {error}") from error
    write_sheet(sheet, paths, overwrite)
    notices = list(file.notices)
    if not sheet.melody:
        notices.append(f"{source} has no pitched notes; its lead sheet has beats and drums only")
    return sheet_report(source, sheet, paths, notices)
