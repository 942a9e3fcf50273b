"""Covers of MIDI files: lead sheet, arrangement, and its parts written into the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from audiotransfer import midi
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import lead_sheet
from audiotransfer.midi.new_tracks import NewTrack, with_tracks, without_notes
from audiotransfer.midi.retiming import (
    begun_later,
    in_quarters,
    ticks_at,
    transposed_keys,
    with_tempo_factor,
    with_tempos,
)
from audiotransfer.pipeline.midi_options import DRUMS, PITCHED, CoverOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.cover.arranger import Arrangement
    from audiotransfer.cover.band import Band
    from audiotransfer.leadsheet import LeadSheet
    from audiotransfer.midi import Group, MidiFile
    from audiotransfer.synthesis.ensemble import EnsemblePart

_EFFECTS = 112  # the first program without a pitch
_STEADY = 0.002  # relative change of tempo that is written
_PITCH = 2  # column of a table of notes


@dataclass(frozen=True)
class CoverPlan:
    """The plan of covers in one style, with its band loaded."""

    style: str
    band: Band
    strength: float = 1.0
    options: CoverOptions = field(default_factory=CoverOptions)
    actions: Mapping[str, str] = field(default_factory=dict)
    """``pitched`` and ``drums``: ``keep`` leaves the file's own notes of that kind in place of the
    band's, ``mute`` leaves both out.
    """
    seed: int = 0


@dataclass(frozen=True)
class CoverPart:
    """Report of one part of the band."""

    instrument: str
    notes: int


@dataclass(frozen=True)
class CoverReport:
    """Report of the arrangement of one song."""

    lead: str | None
    """Instrument of the lead; ``None`` where it rests."""
    parts: dict[str, CoverPart]
    reharmonised: float
    """Share of bars whose chords have another root than in the song."""
    chords: list[str]
    """As the band plays them, one text a bar: ``Dm7 G7``."""


@dataclass(frozen=True)
class Cover:
    """A cover: the MIDI file, the song's lead sheet, and the arrangement of it.

    ``parts`` are the arrangement's parts that are in the file.
    """

    file: MidiFile
    sheet: LeadSheet
    arrangement: Arrangement
    parts: tuple[EnsemblePart, ...]
    report: CoverReport


def cover_song(file: MidiFile, plan: CoverPlan, title: str = "") -> Cover:
    """Arranges a MIDI file for a band, and writes the band's parts into it in place of its notes.

    All messages but notes stay; see `written`. Raises AudioTransferError for a lead sheet that
    cannot be read, and where nothing would sound.
    """
    from audiotransfer.cover.arranger import arrange

    sheet = song_sheet(file, plan, title)
    generator = torch.Generator().manual_seed(plan.seed)
    options = _arrange_options(plan.options)
    arrangement = arrange(sheet, plan.band, plan.strength, generator, options)
    parts = tuple(part for part in arrangement.parts if not plan.actions.get(_kind(part)))
    return Cover(
        written(file, sheet, arrangement, parts, plan),
        sheet,
        arrangement,
        parts,
        _report(arrangement, parts),
    )


def song_sheet(file: MidiFile, plan: CoverPlan, title: str = "") -> LeadSheet:
    """The lead sheet of the song: from its file, or as a musician corrected it."""
    return lead_sheet(file, title)


def written(
    file: MidiFile,
    sheet: LeadSheet,
    arrangement: Arrangement,
    parts: Sequence[EnsemblePart],
    plan: CoverPlan,
) -> MidiFile:
    """The file with the parts of an arrangement of its lead sheet in place of its notes.

    The file gets at least 480 ticks per quarter note. Added bars in front move everything but what
    stands at the very beginning; tempo messages and key signatures change as the options say;
    sound effects, and what ``plan.actions`` keeps, stay. Each part has a track with its name and
    program, on a channel of its own.
    """
    options = plan.options
    file = in_quarters(file)
    timeline = _Timeline.of(file, sheet, arrangement.sheet, options)
    keep = {kind for kind, action in plan.actions.items() if action == "keep"}

    def removed(group: Group) -> bool:
        if group.drums:
            return DRUMS not in keep
        return group.program < _EFFECTS and PITCHED not in keep

    file = _transposed(without_notes(file, removed), options.transpose)
    file = transposed_keys(file, options.transpose)
    file = with_tempo_factor(file, timeline.faster)
    file = begun_later(file, timeline.shift, metre_again=timeline.between_bars)
    file = with_tempos(file, timeline.tempo_ticks, timeline.tempos)
    if parts:
        file = with_tracks(file, [_track(part, timeline) for part in parts])
    if not any(message[0] & 0xF0 == 0x90 for track in file.tracks for _, message in track):
        raise AudioTransferError("no note would be left; do not mute every stem")
    return file


@dataclass(frozen=True)
class _Timeline:
    """Where the beats of an arrangement are in its file.

    ``seconds`` and ``ticks`` are those of the arrangement's beats. ``shift`` are the ticks by which
    the song begins later, ``between_bars`` says that these are no whole bars. ``faster`` is the
    factor of all tempos. ``tempos`` (quarter notes per minute) from ``tempo_ticks`` on are those of
    added bars behind.
    """

    seconds: NDArray[np.float64]
    ticks: NDArray[np.float64]
    shift: int
    between_bars: bool
    faster: float
    tempo_ticks: NDArray[np.int64]
    tempos: NDArray[np.float64]

    @classmethod
    def of(
        cls, file: MidiFile, sheet: LeadSheet, arranged: LeadSheet, options: CoverOptions
    ) -> _Timeline:
        times, own = arranged.beat_times, len(sheet.beats) - 1
        first = arranged.bars[options.intro].beat
        last = arranged.bars[-options.outro].beat if options.outro else len(times) - 1
        feel = (last - first) / own  # beats of the arrangement to one of the song
        # Beats before and behind the song have the length of its first and last ones.
        places = (np.arange(len(times)) - first) / feel
        ticks = ticks_at(file, sheet.time_at(np.clip(places, 0, own)))
        ends = ticks_at(file, sheet.beat_times[[0, 1, -2, -1]])
        before, behind = ends[1] - ends[0], ends[3] - ends[2]
        ticks += np.minimum(places, 0) * before + np.maximum(places - own, 0) * behind
        shift = round(first / feel * before)
        bar = sheet.bars[0].quarters * file.division
        faster = float((sheet.beats[-1] - sheet.beats[0]) / (times[last] - times[first]))
        ticks += shift
        bars = [bar.beat for bar in arranged.bars if bar.beat >= last] + [len(times) - 1]
        edges = np.array(bars if options.outro else [], dtype=np.int64)
        quarters = np.diff(ticks[edges]) / file.division
        tempos = 60.0 * quarters / np.diff(times[edges])
        at = np.rint(ticks[edges[:-1]]).astype(np.int64)
        usual = 60.0 * behind / file.division / (times[last] - times[last - 1]) / feel
        changed = np.abs(tempos / usual - 1) > _STEADY
        return cls(
            times,
            ticks,
            shift,
            bool(shift % round(bar)),
            faster if abs(faster - 1) > 1e-6 else 1.0,
            at[changed],
            tempos[changed],
        )

    def ticks_of(self, seconds: NDArray[np.float64]) -> NDArray[np.int64]:
        """Ticks of times of the arrangement, from 0; beyond its ends the tempo goes on."""
        index = np.searchsorted(self.seconds, seconds, side="right") - 1
        index = np.clip(index, 0, len(self.seconds) - 2)
        slope = (np.diff(self.ticks) / np.diff(self.seconds))[index]
        found = self.ticks[index] + (seconds - self.seconds[index]) * slope
        return np.maximum(np.rint(found), 0).astype(np.int64)


def _track(part: EnsemblePart, timeline: _Timeline) -> NewTrack:
    """The new track of a part."""
    start = timeline.ticks_of(part.notes[:, 0])
    end = timeline.ticks_of(part.notes[:, 0] + part.notes[:, 1])
    values = np.rint(part.notes[:, 2:4]).astype(np.int64)
    notes = np.column_stack([start, np.maximum(end - start, 1), values])
    return NewTrack(part.name, _program(part.instrument), _kind(part) == DRUMS, notes)


def _kind(part: EnsemblePart) -> str:
    return DRUMS if part.instrument.startswith("kit_") else PITCHED


#: General MIDI programs (from 0) of instruments by the beginning of their names.
_PROGRAMS = {
    "sax_alto": 65,
    "sax": 66,
    "trumpet": 56,
    "clarinet": 71,
    "piano": 0,
    "epiano": 4,
    "vibraphone": 11,
    "guitar_electric": 27,
    "guitar": 26,
    "bass_electric": 33,
    "bass": 32,
    "violin": 40,
    "viola": 41,
    "cello_pizzicato": 45,
    "cello": 42,
    "kit_jazz_brushes": 40,
    "kit_jazz": 32,
}


def _program(instrument: str) -> int:
    names = [name for name in _PROGRAMS if instrument.startswith(name)]
    return _PROGRAMS[max(names, key=len)] if names else 0


def _transposed(file: MidiFile, semitones: int) -> MidiFile:
    """The file with the pitched notes that are left in it ``semitones`` higher."""
    notes = midi.notes_of(file)
    if semitones == 0 or not len(notes.table):
        return file
    pitched = np.array([not g.drums and g.program < _EFFECTS for g in notes.groups])
    table = notes.table.copy()
    moved = table[:, _PITCH] + semitones * pitched[table[:, 4]]
    table[:, _PITCH] = np.where((moved < 0) | (moved > 127), table[:, _PITCH], moved)
    return midi.with_notes(file, table)


def _arrange_options(options: CoverOptions):  # type: ignore[no-untyped-def]
    from audiotransfer.cover.arranger import ArrangeOptions

    return ArrangeOptions(
        lead=options.lead,
        transpose=options.transpose,
        tempo=options.tempo,
        intro=options.intro,
        outro=options.outro,
        swing=options.swing,  # type: ignore[arg-type]
    )


def _report(arrangement: Arrangement, parts: Sequence[EnsemblePart]) -> CoverReport:
    sheet = arrangement.sheet
    return CoverReport(
        lead=next((part.instrument for part in parts if part.name == "lead"), None),
        parts={part.name: CoverPart(part.instrument, len(part.notes)) for part in parts},
        reharmonised=len(arrangement.reharmonised) / len(sheet.bars),
        chords=[],
    )
