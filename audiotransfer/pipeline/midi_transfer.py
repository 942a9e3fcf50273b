"""Style transfer of MIDI files: read, replace the notes part by part, write."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from audiotransfer import midi
from audiotransfer.errors import AudioTransferError, failure
from audiotransfer.midi.grid import Grid
from audiotransfer.midi.score import edited, note_table, score_of, with_notes, write_midi
from audiotransfer.pipeline.midi_output import MidiExtras, MidiOutput
from audiotransfer.pipeline.naming import ensure_folder, name_clashes
from audiotransfer.pipeline.options import StemChoice, check_strength
from audiotransfer.pipeline.plan import resolve_device
from audiotransfer.styles import Keep, Style, load_style
from audiotransfer.symbolic.transfer import DRUMS, PITCHED, PartTransfer

STEMS = (PITCHED, DRUMS)


@dataclass(frozen=True)
class MidiOptions:
    """Options of a transfer of MIDI files; only a style, or a choice for a stem, must be given."""

    style: str | Path | Style | None = None
    """Name, folder, or a loaded style."""
    strength: float = 1.0
    """0 leaves every note as it is, 1 is all of the style."""
    stems: Mapping[str, StemChoice] = field(default_factory=dict)
    """For ``pitched`` parts, ``drums`` or both: keep, mute, or a style of their own."""
    device: str = "auto"
    seed: int = 0
    extras: MidiExtras = field(default_factory=MidiExtras)
    """Audio and piano rolls that are written with the MIDI file."""
    overwrite: bool = False


@dataclass(frozen=True)
class PartReport:
    """Report of the pitched parts, or of the drums."""

    action: str
    style: str | None
    strength: float | None
    notes_in: int
    notes_out: int
    notes_kept: int
    """With their pitch, onset and track."""


@dataclass(frozen=True)
class MidiReport:
    """Report of one MIDI file."""

    input: str
    output: str
    files: dict[str, str]
    """Files written with the output: ``audio``, ``plot``."""
    seconds: float
    bars: int
    tracks: int
    """Those with notes."""
    notes_in: int
    notes_out: int
    density_ratio: float
    """Notes out to notes in."""
    stems: dict[str, PartReport]
    notices: list[str]
    wall_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class MidiPlan:
    """The plan of a transfer, with its styles loaded, for any number of MIDI files."""

    parts: dict[str, PartPlan]
    requested: Mapping[str, str]
    """Stem -> action, of the stems that the caller named."""
    seed: int = 0


@dataclass(frozen=True)
class PartPlan:
    """The plan of the pitched parts, or of the drums; without a transfer they are kept."""

    action: str
    transfer: PartTransfer | None = None
    style: str | None = None
    strength: float | None = None


@dataclass(frozen=True)
class MidiOutcome:
    """The result of one MIDI file: a report, or the one line that says why it failed."""

    input: Path
    report: MidiReport | None = None
    error: str | None = None


def prepare_midi(options: MidiOptions) -> MidiPlan:
    """Loads what the options name.

    Raises AudioTransferError, before any work, for whatever cannot be done: an unknown style or
    stem, a strength out of range, nothing asked for.
    """
    strength = check_strength(options.strength)
    for stem in options.stems:
        if stem not in STEMS:
            raise AudioTransferError(
                f"unknown stem {stem!r}: a MIDI file has {' and '.join(STEMS)}"
            )
    if options.style is None and all(c.action == "keep" for c in options.stems.values()):
        raise AudioTransferError("no style given: name one (`audiotransfer styles` lists them)")
    device = resolve_device(options.device)
    main = None if options.style is None else _load(options.style, device)
    parts = {}
    for stem in STEMS:
        choice = options.stems.get(stem, StemChoice("style", None))
        style = main if choice.style is None else _load(choice.style, device)
        level = strength if choice.strength is None else choice.strength
        parts[stem] = _plan(stem, choice, style, level)
    if all(part.action == "mute" for part in parts.values()):
        raise AudioTransferError(f"{' and '.join(STEMS)} are muted: leave one of them in")
    requested = {stem: choice.action for stem, choice in options.stems.items()}
    return MidiPlan(parts, requested, options.seed)


def _load(style: str | Path | Style, device: str) -> Style:
    return style if isinstance(style, Style) else load_style(style, route="symbolic", device=device)


def _plan(stem: str, choice: StemChoice, style: Style | None, strength: float) -> PartPlan:
    if choice.action == "mute":
        return PartPlan("mute")
    transfer: Any = None if style is None else style.stems.get(stem)
    if choice.action == "keep" or style is None or transfer is None or isinstance(transfer, Keep):
        return PartPlan("keep")
    return PartPlan("style", transfer, style.name, strength)


def transfer_midi(
    source: str | Path,
    output: str | Path,
    options: MidiOptions,
    progress: Callable[[float], None] | None = None,
) -> MidiReport:
    """Writes a MIDI file in another style: with as many bars, and every message but the notes
    unchanged.

    Raises AudioTransferError for a file that is no MIDI file, and an output that cannot be written.
    """
    place = MidiOutput(Path(output), options.extras, options.overwrite)
    place.check()
    return transfer_midi_by_plan(source, prepare_midi(options), place, progress)


def transfer_midi_by_plan(
    source: str | Path,
    plan: MidiPlan,
    output: MidiOutput,
    progress: Callable[[float], None] | None = None,
) -> MidiReport:
    """Transfers a MIDI file by a plan, and writes it to a checked output.

    Raises AudioTransferError as `transfer_midi`.
    """
    began = time.monotonic()
    file = midi.read(source)
    score = score_of(file)
    output.check_length(score)
    generator = torch.Generator().manual_seed(plan.seed)
    result, parts = transfer_notes(score, plan, generator, progress)
    if not result.note_num():
        raise AudioTransferError(f"{source}: no note would be left; do not mute every stem")
    changed = edited(file, result)
    write_midi(changed, output.path, output.overwrite)
    extras = output.write_extras(result, score)
    before, after = int(score.note_num()), int(result.note_num())
    return MidiReport(
        input=str(source),
        output=str(output.path),
        files=extras,
        seconds=float(score.to("second").end()),
        bars=len(Grid.of(score).bars) - 1,
        tracks=sum(len(track.notes) > 0 for track in score.tracks),
        notes_in=before,
        notes_out=after,
        density_ratio=after / before,
        stems=parts,
        notices=[
            *file.notices,
            *_notices(parts, plan.requested),
            *_file_notices(source, file, changed),
        ],
        wall_seconds=time.monotonic() - began,
    )


def transfer_notes(
    score: Any,
    plan: MidiPlan,
    generator: torch.Generator | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[Any, dict[str, PartReport]]:
    """The score with its pitched parts and drums as planned, and a report of each that it has."""
    grid = Grid.of(score)
    reports = {}
    for stem, part in plan.parts.items():
        drums = stem == DRUMS
        before = note_table(score, drums=drums)
        if not len(before):
            continue
        after = before
        if part.action == "mute":
            after = before[:0]
        elif part.transfer is not None and part.strength:
            after = part.transfer(before, grid, part.strength, generator, progress)
            after = _with_last(before, after)
        if after is not before:
            score = with_notes(score, after, drums=drums)
        reports[stem] = PartReport(
            part.action,
            part.style,
            part.strength,
            len(before),
            len(after),
            int(np.isin(_keys(before), _keys(after)).sum()),
        )
    return score, reports


def transfer_midi_files(
    scores: Sequence[Path],
    outputs: Sequence[Path],
    options: MidiOptions,
    progress: Callable[[float], None] | None = None,
    done: Callable[[MidiOutcome], None] | None = None,
) -> list[MidiOutcome]:
    """Transfers each MIDI file to its output, whose folder is made, with one loading of the style;
    a file that fails does not stop the others.

    Raises AudioTransferError where the request itself is wrong.
    """
    plan = prepare_midi(options)
    outcomes = []
    errors = name_clashes(scores, outputs)
    for source, output, error in zip(scores, outputs, errors, strict=True):
        try:
            if error is not None:
                raise AudioTransferError(error)
            place = MidiOutput(Path(output), options.extras, options.overwrite)
            with ensure_folder(place.path.parent):
                place.check()
                report = transfer_midi_by_plan(source, plan, place, progress)
            outcomes.append(MidiOutcome(source, report))
        except AudioTransferError as failed:
            outcomes.append(MidiOutcome(source, error=str(failed)))
        except Exception as failed:
            outcomes.append(MidiOutcome(source, error=failure(source, failed)))
        if done is not None:
            done(outcomes[-1])
    return outcomes


def _keys(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for the onset, pitch and track of each note."""
    return (table[:, 0] * 128 + table[:, 2] << 16) + table[:, 4]


def _with_last(before: NDArray[np.int64], after: NDArray[np.int64]) -> NDArray[np.int64]:
    """Adds the notes that ended last before the transfer, so that no bar is lost."""
    ends = before[:, 0] + before[:, 1]
    last = before[ends == ends.max()]
    return np.concatenate([after, last[~np.isin(_keys(last), _keys(after))]])


def _file_notices(source: str | Path, file: midi.MidiFile, changed: midi.MidiFile) -> list[str]:
    """Notices for a file whose notes did not change, or which has no beats."""
    if changed.tracks == file.tracks:
        return [f"{source}: no note was changed"]
    if file.ticks_a_second is not None:
        return [f"{source}: its time is counted in frames; half a second is taken for a beat"]
    return []


def _notices(parts: Mapping[str, PartReport], requested: Mapping[str, str]) -> list[str]:
    """Notices for requests without an effect."""
    found = [
        f"the style has nothing for {stem}: they stay as they are"
        for stem, part in parts.items()
        if part.action == "keep"
        and (requested[stem] == "style" if stem in requested else len(parts) == 1)
    ]
    missing = [stem for stem in requested if stem not in parts]
    return found + [f"nothing {stem} is played: --stem {stem} changes nothing" for stem in missing]
