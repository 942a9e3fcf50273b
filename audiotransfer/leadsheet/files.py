"""Lead sheets as JSON files, and the reader of corrected ones: JSON, MIDI, or chords as text."""

from __future__ import annotations

import dataclasses
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

from audiotransfer import midi
from audiotransfer.atomic import write_bytes
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet.chord_sheet import read_chord_sheet
from audiotransfer.leadsheet.chords import QUALITIES
from audiotransfer.leadsheet.from_midi import lead_sheet
from audiotransfer.leadsheet.leadsheet import LeadSheet
from audiotransfer.suggest import nearest_or_all
from audiotransfer.typed import WrongValue, read_mapping

#: Version of the JSON's layout.
SCHEMA = 1
_DIGITS = 6
_NEAR = 1e-3  # beats by which chords may overlap or leave gaps


def write_lead_sheet(sheet: LeadSheet, path: str | Path, overwrite: bool = False) -> None:
    """Writes a lead sheet as JSON, atomically; each note, chord and bar is on a line of its own.

    Raises AudioTransferError where it cannot be written, or exists already.
    """
    write_bytes(path, to_json(sheet).encode(), overwrite=overwrite)


def is_whole(path: str | Path) -> bool:
    """Whether a file is a whole lead sheet (JSON, or MIDI), by its name or its first character,
    and not the chords alone as text; a file that cannot be read is.
    """
    path = Path(path)
    if path.suffix.lower() in (".json", *midi.SUFFIXES):
        return True
    try:
        return path.read_bytes().decode("utf-8-sig", "replace").lstrip().startswith("{")
    except OSError:
        return True


def read_lead_sheet(path: str | Path, song: LeadSheet | None = None) -> LeadSheet:
    """Reads a lead sheet from JSON or MIDI, or the chords of a chord sheet in text into ``song``.

    Args:
        path: a JSON file as of `write_lead_sheet`, a MIDI file whose seconds are the song's, as of
            `audiotransfer.leadsheet.to_midi`, or a text as of `write_chord_sheet`.
        song: the lead sheet whose chords, sections and keys a text replaces.

    Raises AudioTransferError for what cannot be read; the message names the key, or the line.
    """
    path = Path(path)
    if path.suffix.lower() in midi.SUFFIXES:
        try:
            return lead_sheet(midi.read(path), path.stem)
        except AudioTransferError as error:
            raise AudioTransferError(f"{path}: {error}") from error
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise AudioTransferError(
            f"{path} is no text in UTF-8; give a lead sheet as audiotransfer transcribe writes"
        ) from None
    except OSError as error:
        raise AudioTransferError(f"{path} cannot be read ({error.strerror})") from error
    if path.suffix.lower() == ".json" or text.lstrip().startswith("{"):
        return from_json(text, str(path))
    if song is None:
        raise AudioTransferError(
            f"{path} holds chords only, not the song's beats and melody; give its song with it"
        )
    return read_chord_sheet(text, song, str(path))


def to_json(sheet: LeadSheet) -> str:
    """The lead sheet as the text of a JSON file."""
    lines = [f'  "schema": {SCHEMA}']
    for field in dataclasses.fields(sheet):
        value = getattr(sheet, field.name)
        lines.append(f"  {json.dumps(field.name)}: {_value_text(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def from_json(text: str, name: str) -> LeadSheet:
    """The lead sheet in the text of a JSON file; ``name`` is the file's name in messages.

    Raises AudioTransferError for broken JSON, an unknown schema, key or quality, values of the
    wrong type, and beats, bars, chords or sections that do not fit each other.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise AudioTransferError(f"{name} is no JSON: line {error.lineno}: {error.msg}") from None
    if not isinstance(values, dict) or "schema" not in values:
        raise AudioTransferError(
            f"{name} is no lead sheet: key schema is missing; "
            "give a file that audiotransfer transcribe wrote"
        )
    if (schema := values.pop("schema")) != SCHEMA:
        raise AudioTransferError(
            f"{name} has schema {schema!r}, but this version reads {SCHEMA}; "
            "write it anew with audiotransfer transcribe"
        )
    try:
        sheet = read_mapping(values, LeadSheet)
        _check(sheet)
    except WrongValue as error:
        raise AudioTransferError(f"{name}: {error}") from None
    return sheet


def _value_text(value: Any) -> str:
    """A field's value: lists of objects one a line, numbers and text on one line."""
    if isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
        lines = ",\n    ".join(json.dumps(_plain(one), ensure_ascii=False) for one in value)
        return f"[\n    {lines}\n  ]"
    return json.dumps(value, ensure_ascii=False)


def _plain(value: Any) -> dict[str, Any]:
    """A dataclass as a mapping; values that stand at their default are left out."""
    plain = {}
    for field in dataclasses.fields(value):
        own = getattr(value, field.name)
        if field.default is dataclasses.MISSING or own != field.default:
            plain[field.name] = round(own, _DIGITS) if isinstance(own, float) else own
    return plain


def _check(sheet: LeadSheet) -> None:
    """Raises WrongValue where a lead sheet's values do not fit each other."""
    _check_beats(sheet)
    for index, chord in enumerate(sheet.chords):
        if chord.quality not in QUALITIES:
            hint = nearest_or_all(chord.quality, QUALITIES)
            raise WrongValue(f"chords[{index}].quality is {chord.quality!r}; {hint}")
        for key, value in (("root", chord.root), ("bass", chord.bass)):
            if value is not None and not 0 <= value < 12:
                raise WrongValue(f"chords[{index}].{key} is {value}, but must be 0 (C) to 11 (B)")
    for index, own in enumerate(sheet.keys):
        if not 0 <= own.tonic < 12:
            raise WrongValue(f"keys[{index}].tonic is {own.tonic}, but must be 0 (C) to 11 (B)")
        if own.mode not in ("major", "minor"):
            raise WrongValue(f"keys[{index}].mode is {own.mode!r}, but must be major or minor")
    total = len(sheet.beats) - 1
    for name, spans in (("chords", sheet.chords), ("sections", sheet.sections)):
        _check_spans(name, [(span.beat, span.beats) for span in spans], total)
    for name in ("melody", "bass", "others", "drums"):
        for index, note in enumerate(getattr(sheet, name)):
            if not (0 <= note.pitch < 128 and 0 < note.velocity < 128):
                raise WrongValue(
                    f"{name}[{index}] has pitch {note.pitch} and velocity {note.velocity}, "
                    "but must have 0 to 127 and 1 to 127"
                )
            if not math.isfinite(note.start) or not 0 <= note.duration < math.inf:
                raise WrongValue(f"{name}[{index}] has a start or duration that is no time")
    if sheet.energy and len(sheet.energy) != len(sheet.bars):
        raise WrongValue(
            f"energy has {len(sheet.energy)} values, but must have one for each of "
            f"{len(sheet.bars)} bars"
        )


def _check_beats(sheet: LeadSheet) -> None:
    times = sheet.beats
    if len(times) < 2:
        raise WrongValue("beats holds fewer than 2 times, but must hold each beat and the end")
    for index, (before, after) in enumerate(pairwise(times)):
        if not (math.isfinite(before) and math.isfinite(after) and before < after):
            raise WrongValue(f"beats[{index + 1}] is {after}, but must be later than {before}")
    if not sheet.bars:
        raise WrongValue("bars is empty, but must hold at least one bar")
    at = 0
    for index, bar in enumerate(sheet.bars):
        if bar.numerator < 1 or bar.denominator not in (1, 2, 4, 8, 16, 32, 64):
            raise WrongValue(
                f"bars[{index}] is in {bar.numerator}/{bar.denominator}, which is no metre"
            )
        if bar.beat != at:
            raise WrongValue(f"bars[{index}].beat is {bar.beat}, but the bars before end at {at}")
        at += bar.beats
    if at != len(times) - 1:
        raise WrongValue(f"bars hold {at} beats, but beats has {len(times) - 1} and the end")


def _check_spans(name: str, spans: list[tuple[float, float]], total: int) -> None:
    """Chords and sections follow each other without gaps over the whole song."""
    at = 0.0
    for index, (start, length) in enumerate(spans):
        if abs(start - at) > _NEAR or length <= 0:
            raise WrongValue(
                f"{name}[{index}] is {length:g} beats from beat {start:g}, "
                f"but must begin at {at:g}, where the one before ends"
            )
        at = start + length
    if spans and abs(at - total) > _NEAR:
        raise WrongValue(f"{name} end at beat {at:g}, but must end at {total}, the song's end")
