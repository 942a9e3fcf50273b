"""Lead sheets of MIDI files, written as JSON, as a chord sheet and as MusicXML."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiotransfer import midi
from audiotransfer.atomic import check_place
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import (
    lead_sheet,
    symbol,
    write_chord_sheet,
    write_lead_sheet,
    write_musicxml,
)
from audiotransfer.leadsheet.spelling import key_name

#: Suffixes of the files of a lead sheet: all of it, its chords as text, its notation.
SUFFIXES = (".leadsheet.json", ".chords.txt", ".musicxml")


@dataclass(frozen=True)
class TranscribeReport:
    """Report of one song's lead sheet."""

    input: str
    outputs: list[str]
    key: str
    """That of the first bar; empty for a song without pitches."""
    metre: str
    """That of most bars."""
    tempo: float
    """Mean beats per minute."""
    bars: int
    sections: str
    """Their names in order."""
    chords: list[str]
    """Symbols of the chords in order."""
    melody: int
    """Number of the melody's notes."""
    notices: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)


def transcribe_file(
    source: str | Path, folder: str | Path = ".", overwrite: bool = False
) -> TranscribeReport:
    """Writes the lead sheet of a MIDI file into a folder, under the song's name.

    Raises AudioTransferError for a file without notes, or files that cannot be written.
    """
    source, folder = Path(source), Path(folder)
    outputs = [folder / f"{source.stem}{suffix}" for suffix in SUFFIXES]
    for output in outputs:
        check_place(output, overwrite)
    file = midi.read(source)
    try:
        sheet = lead_sheet(file, source.stem)
    except AudioTransferError as error:
        raise AudioTransferError(f"{source}: {error}") from error
    write_lead_sheet(sheet, outputs[0], overwrite)
    write_chord_sheet(sheet, outputs[1], overwrite)
    write_musicxml(outputs[2], sheet, overwrite=overwrite)
    metres = [f"{bar.numerator}/{bar.denominator}" for bar in sheet.bars]
    notices = list(file.notices)
    if not sheet.melody:
        notices.append(f"{source} has no pitched notes; its lead sheet has beats and drums only")
    seconds = sheet.beats[-1] - sheet.beats[0]
    return TranscribeReport(
        input=str(source),
        outputs=[str(path) for path in outputs],
        key=key_name(sheet.keys[0]) if sheet.keys else "",
        metre=max(dict.fromkeys(metres), key=metres.count),
        tempo=round(60 * (len(sheet.beats) - 1) / seconds, 2),
        bars=len(sheet.bars),
        sections=" ".join(section.name for section in sheet.sections),
        chords=[symbol(chord, sheet.keys[0] if sheet.keys else None) for chord in sheet.chords],
        melody=len(sheet.melody),
        notices=notices,
    )
