"""The files of a transcription: lead sheet as JSON, chords as text, notation and MIDI."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotransfer.atomic import check_place
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import (
    LeadSheet,
    symbol,
    write_chord_sheet,
    write_lead_sheet,
    write_musicxml,
)
from audiotransfer.leadsheet.spelling import key_name
from audiotransfer.leadsheet.to_midi import TimedTrack, write_midi
from audiotransfer.synthesis.catalogue import describe

if TYPE_CHECKING:
    from audiotransfer.synthesis.ensemble import EnsemblePart

_APART_SECONDS = 10.0  # that a song and its lead sheet may differ in length
_Writer = Callable[[LeadSheet, Path, bool], None]


def _write_notation(sheet: LeadSheet, path: Path, overwrite: bool) -> None:
    write_musicxml(path, sheet, overwrite=overwrite)


def _write_midi(sheet: LeadSheet, path: Path, overwrite: bool) -> None:
    write_midi(path, sheet, overwrite=overwrite)


_WRITERS: dict[str, tuple[str, _Writer]] = {
    "json": (".leadsheet.json", write_lead_sheet),
    "chords": (".chords.txt", write_chord_sheet),
    "musicxml": (".musicxml", _write_notation),
    "midi": (".mid", _write_midi),
}
#: Formats of a transcription: all of it, its chords as text, its notation, and MIDI.
FORMATS = tuple(_WRITERS)


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
    tuning: float = 0.0
    """Of a recording, cents from A = 440 Hz."""
    confidence: dict[str, float] = dataclasses.field(default_factory=dict)
    """Of a recording, 0..1 of its ``beats``, ``chords`` and ``lead``."""
    doubt: str | None = None
    """Why a recording's lead sheet should not be arranged; ``None`` where it may be."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)


def sheet_paths(
    folder: Path, name: str, formats: Collection[str], overwrite: bool = False
) -> dict[str, Path]:
    """The files of a transcription in these formats, in the order of `FORMATS`.

    Raises AudioTransferError where one of them cannot be written, or exists already.
    """
    paths = {
        format: folder / f"{name}{suffix}"
        for format, (suffix, _) in _WRITERS.items()
        if format in formats
    }
    for path in paths.values():
        check_place(path, overwrite)
    return paths


def write_sheet(sheet: LeadSheet, paths: dict[str, Path], overwrite: bool = False) -> None:
    """Writes a lead sheet into the files of `sheet_paths`, each atomically."""
    for format, path in paths.items():
        _, write = _WRITERS[format]
        write(sheet, path, overwrite)


def sheet_report(
    source: str | Path, sheet: LeadSheet, paths: dict[str, Path], notices: Sequence[str]
) -> TranscribeReport:
    """The report of a lead sheet that was written."""
    metres = [f"{bar.numerator}/{bar.denominator}" for bar in sheet.bars]
    seconds = sheet.beats[-1] - sheet.beats[0]
    return TranscribeReport(
        input=str(source),
        outputs=[str(path) for path in paths.values()],
        key=key_name(sheet.keys[0]) if sheet.keys else "",
        metre=max(dict.fromkeys(metres), key=metres.count),
        tempo=round(60 * (len(sheet.beats) - 1) / seconds, 2),
        bars=len(sheet.bars),
        sections=" ".join(section.name for section in sheet.sections),
        chords=[symbol(chord, sheet.key_at(chord.beat)) for chord in sheet.chords],
        melody=len(sheet.melody),
        notices=list(notices),
        tuning=sheet.tuning,
    )


def write_song_midi(
    path: str | Path,
    sheet: LeadSheet,
    parts: Sequence[EnsemblePart] | None = None,
    overwrite: bool = False,
) -> None:
    """Writes the notes of a song, or the parts of an arrangement of it, as MIDI at its own tempo.

    ``sheet`` is what the parts' beats, chords and sections are, in the same seconds. Raises
    AudioTransferError where the file cannot be written, or exists already.
    """
    tracks = None
    if parts is not None:
        about = [describe(part.instrument) for part in parts]
        tracks = [
            TimedTrack(part.name, one.program, one.drums, part.notes)
            for part, one in zip(parts, about, strict=True)
        ]
    write_midi(path, sheet, tracks, overwrite)


def fits(sheet: LeadSheet, seconds: float) -> bool:
    """Whether a lead sheet may be that of a song of so many seconds."""
    return abs(sheet.seconds - seconds) <= _APART_SECONDS


def check_fits(sheet: LeadSheet, seconds: float, path: Path) -> None:
    """Raises AudioTransferError for a lead sheet from ``path`` that is not that of the song."""
    if not fits(sheet, seconds):
        raise AudioTransferError(
            f"{path} is the lead sheet of a song of {sheet.seconds:.0f} s, and this one lasts"
            f" {seconds:.0f} s; `audiotransfer transcribe` writes its own"
        )
