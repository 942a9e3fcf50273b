"""Style transfer of MIDI files: read, replace the notes by a band or by networks, write."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from audiotransfer import midi
from audiotransfer.atomic import write_bytes
from audiotransfer.cover.band import read_band
from audiotransfer.errors import AudioTransferError, failure
from audiotransfer.midi.grid import Grid
from audiotransfer.midi.new_tracks import with_text
from audiotransfer.midi.score import edited, score_of, write_midi
from audiotransfer.pipeline.batch import stems_folders
from audiotransfer.pipeline.cover_options import COVER, NETWORK, chosen_lead
from audiotransfer.pipeline.midi_cover import (
    NOTE_TYPES,
    CoverPlan,
    CoverReport,
    NoNotes,
    cover_song,
    kept_types,
)
from audiotransfer.pipeline.midi_network import (
    PartPlan,
    PartReport,
    part_notices,
    part_plan,
    transfer_notes,
)
from audiotransfer.pipeline.midi_options import (
    STEMS,
    MidiOptions,
    check_options,
    resolved_mode,
    settings_text,
)
from audiotransfer.pipeline.midi_output import MidiOutput, Notated
from audiotransfer.pipeline.naming import ensure_folder, name_clashes
from audiotransfer.pipeline.options import StemChoice
from audiotransfer.pipeline.plan import resolve_device
from audiotransfer.styles import Card, Style, find_style, load_style

if TYPE_CHECKING:
    from audiotransfer.cover.band import Band


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
    mode: str
    """``cover`` or ``network``."""
    stems: dict[str, PartReport]
    """Of a network: of the kinds of parts that the file has."""
    cover: CoverReport | None
    """Of a cover: its band, and its chords."""
    notices: list[str]
    wall_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class MidiPlan:
    """The plan of a transfer, with its styles loaded, for any number of MIDI files."""

    parts: dict[str, PartPlan]
    """Of a network; empty for a cover."""
    requested: Mapping[str, str]
    """Stem -> action, of the stems that the caller named."""
    seed: int = 0
    melody: str = "keep"
    cover: CoverPlan | None = None
    settings: str = ""
    """Text that is written into the output."""

    @property
    def mode(self) -> str:
        """``cover`` or ``network``."""
        return NETWORK if self.cover is None else COVER

    @property
    def changes_nothing(self) -> bool:
        """Whether the covers are the files themselves: strength 0, and no stem muted."""
        muted = "mute" in self.requested.values()
        return self.cover is not None and self.cover.strength == 0.0 and not muted


@dataclass(frozen=True)
class MidiOutcome:
    """The result of one MIDI file: a report, or the one line that says why it failed."""

    input: Path
    report: MidiReport | None = None
    error: str | None = None


def prepare_midi(options: MidiOptions) -> MidiPlan:
    """Loads what the options name.

    Raises AudioTransferError, before any work, for whatever cannot be done: an unknown style, mode,
    stem or lead, a strength out of range, nothing asked for, a style without what the mode needs.
    """
    strength = check_options(options)
    device = resolve_device(options.device)
    card, band = _card_and_band(options.style)
    requested = {stem: choice.action for stem, choice in options.stems.items()}
    if resolved_mode(options, card, band is not None) == COVER:
        assert card is not None and band is not None  # the mode says so
        return _cover_plan(options, card.name, read_band(band), strength, requested)
    main = None if options.style is None else _load(options.style, device)
    parts = {}
    for stem in STEMS:
        choice = options.stems.get(stem, StemChoice("style", None))
        style = main if choice.style is None else _load(choice.style, device)
        level = strength if choice.strength is None else choice.strength
        parts[stem] = part_plan(stem, choice, style, level)
    if all(part.action == "mute" for part in parts.values()):
        raise AudioTransferError(f"{' and '.join(STEMS)} are muted: leave one of them in")
    settings = settings_text(options, NETWORK, main.name if main else "")
    return MidiPlan(parts, requested, options.seed, options.melody, settings=settings)


def mode_of(options: MidiOptions) -> str:
    """``cover`` or ``network``, as `prepare_midi` resolves it, without loading a style.

    Raises AudioTransferError as `resolved_mode`, and for an unknown style.
    """
    card, band = _card_and_band(options.style)
    return resolved_mode(options, card, band is not None)


def _card_and_band(style: str | Path | Style | None) -> tuple[Card | None, Path | None]:
    """The card of a style for MIDI files, and the file of its band where it has one."""
    if style is None:
        return None, None
    if isinstance(style, Style):
        return style.card or Card(style.name, "", {}, {}, route="symbolic"), style.band
    found = find_style(style, route="symbolic")
    return found.card, found.folder / found.card.band if found.card.band else None


def _cover_plan(
    options: MidiOptions, style: str, band: Band, strength: float, requested: Mapping[str, str]
) -> MidiPlan:
    lead = chosen_lead(options.cover.lead, band)
    cover = dataclasses.replace(options.cover, lead=lead)
    settings = settings_text(dataclasses.replace(options, cover=cover), COVER, style)
    plan = CoverPlan(style, band, strength, cover, requested, options.seed)
    return MidiPlan({}, requested, options.seed, cover=plan, settings=settings)


def _load(style: str | Path | Style, device: str) -> Style:
    return style if isinstance(style, Style) else load_style(style, route="symbolic", device=device)


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
    if plan.cover is not None:
        output.check_stems(role.name for role in plan.cover.band.roles)
    if plan.cover is None:
        result = _with_network(source, file, score, plan, progress)
    elif plan.changes_nothing:
        result = _Result(file, score, {}, None, [])
    else:
        result = _with_band(source, file, plan.cover)
    if result.file.tracks == file.tracks:
        result.notices.append(f"{source}: no note was changed")
        write_bytes(output.path, _bytes_of(source, file), overwrite=output.overwrite)
    else:
        marked = with_text(result.file, plan.settings)
        write_midi(marked, output.path, output.overwrite)
    extras = output.write_extras(result.score, score, result.notated)
    if plan.cover is not None and output.lacks_stems(result.notated):
        result.notices.append(
            f"{source}: no stems are written: they need a cover whose notes are all the band's, at"
            " a strength above 0 and without --soundfont"
        )
    before, after = int(score.note_num()), int(result.score.note_num())
    # A network leaves bars and tracks as they are, even where its last notes end sooner.
    measured = score if plan.cover is None else result.score
    return MidiReport(
        input=str(source),
        output=str(output.path),
        files=extras,
        seconds=float(measured.to("second").end()),
        bars=len(result.cover.chords) if result.cover else len(Grid.of(measured).bars) - 1,
        tracks=sum(len(track.notes) > 0 for track in measured.tracks),
        notes_in=before,
        notes_out=after,
        density_ratio=after / before,
        mode=plan.mode,
        stems=result.stems,
        cover=result.cover,
        notices=[*file.notices, *result.notices],
        wall_seconds=time.monotonic() - began,
    )


@dataclass
class _Result:
    """The output of one MIDI file: as messages and as a score, with its reports."""

    file: midi.MidiFile
    score: Any
    stems: dict[str, PartReport]
    cover: CoverReport | None
    notices: list[str]
    notated: Notated | None = None


def _with_network(
    source: str | Path,
    file: midi.MidiFile,
    score: Any,
    plan: MidiPlan,
    progress: Callable[[float], None] | None,
) -> _Result:
    generator = torch.Generator().manual_seed(plan.seed)
    result, parts = transfer_notes(score, plan.parts, plan.melody, generator, progress)
    if not result.note_num():
        raise AudioTransferError(f"{source}: no note would be left; do not mute every stem")
    notices = part_notices(parts, plan.requested)
    if file.ticks_a_second is not None:
        notices.append(
            f"{source}: its time is counted in frames; half a second is taken for a beat"
        )
    return _Result(edited(file, result), result, parts, None, notices)


def _with_band(source: str | Path, file: midi.MidiFile, plan: CoverPlan) -> _Result:
    try:
        cover = cover_song(file, plan, Path(source).stem)
    except NoNotes as failed:
        raise AudioTransferError(f"{source}: {failed}") from None
    kept, missing = kept_types(file, plan)
    notices = [f"{source}: {notice}" for notice in cover.arrangement.notices]
    notices += [
        f"{source}: the song has no {NOTE_TYPES[kind]} to keep, and the cover has none"
        for kind in sorted(missing)
    ]
    notated = Notated(cover.arrangement.sheet, cover.parts, cover.marks, not kept, plan.band.room)
    return _Result(cover.file, score_of(cover.file), {}, cover.report, notices, notated)


def _bytes_of(source: str | Path, file: midi.MidiFile) -> bytes:
    """The bytes of a MIDI file as it is; as they are read where it is damaged or embedded."""
    data = Path(source).read_bytes()
    return data if data.startswith(b"MThd") and not file.notices else file.to_bytes()


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
    if plan.cover is not None and options.cover.leadsheet is not None and len(scores) > 1:
        raise AudioTransferError(
            f"{options.cover.leadsheet} is the lead sheet of one song, and there are"
            f" {len(scores)}: give each of them with its own"
        )
    outcomes = []
    errors = name_clashes(scores, outputs)
    stems = stems_folders(options.extras.stems_out, outputs)
    for source, output, folder, error in zip(scores, outputs, stems, errors, strict=True):
        try:
            if error is not None:
                raise AudioTransferError(error)
            extras = dataclasses.replace(options.extras, stems_out=folder)
            place = MidiOutput(Path(output), extras, options.overwrite)
            with ensure_folder(place.path.parent), ensure_folder(folder or place.path.parent):
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
