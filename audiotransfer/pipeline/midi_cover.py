"""Covers of MIDI files: lead sheet, arrangement, and its parts written into the file."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch

from audiotransfer import midi
from audiotransfer.cover.arranger import Arrangement, ArrangeOptions, arrange
from audiotransfer.cover.planning import felt_bars
from audiotransfer.cover.retiming import NEARBY, usual_bar
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import lead_sheet
from audiotransfer.leadsheet.chords import symbol
from audiotransfer.leadsheet.files import read_lead_sheet
from audiotransfer.leadsheet.leadsheet import interpolated
from audiotransfer.midi.new_tracks import NewTrack, with_tracks, without_notes
from audiotransfer.midi.plotting import Marks
from audiotransfer.midi.retiming import (
    begun_later,
    in_quarters,
    tempo_map,
    ticks_at,
    transposed_keys,
    with_tempo_factor,
    with_tempos,
)
from audiotransfer.midi.score import UNPITCHED
from audiotransfer.pipeline.cover_options import CoverOptions
from audiotransfer.pipeline.midi_options import DRUMS, PITCHED
from audiotransfer.pipeline.sheet_files import check_fits
from audiotransfer.synthesis.catalogue import describe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.cover.band import Band
    from audiotransfer.leadsheet import LeadSheet
    from audiotransfer.midi import Group, MidiFile
    from audiotransfer.synthesis.ensemble import EnsemblePart

_SAME, _STEADY = 1e-6, 0.002  # relative changes of tempo that are rounding, and not written
_NEAR = 0.01  # beats that are rounding
_PITCH = 2  # column of a table of notes
#: Kinds of parts, and their names in messages.
NOTE_TYPES = {PITCHED: "pitched parts", DRUMS: "drums"}


class NoNotes(AudioTransferError):
    """A cover without a note; the message says why, not of which file."""


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
    """As the band plays them, one text a bar of the song, and of added bars: ``Dm7 G7``."""


@dataclass(frozen=True)
class Cover:
    """A cover: the MIDI file, the song's lead sheet, and the arrangement of it.

    ``parts`` are the arrangement's parts that are in the file. ``marks`` are chord names and
    sections of the song's file (``before``) and of the cover's (``after``).
    """

    file: MidiFile
    sheet: LeadSheet
    arrangement: Arrangement
    parts: tuple[EnsemblePart, ...]
    marks: dict[str, Marks]
    report: CoverReport


def cover_song(file: MidiFile, plan: CoverPlan, title: str = "") -> Cover:
    """Arranges a MIDI file for a band, and writes the band's parts into it in place of its notes.

    All messages but notes stay; see `written`. Raises AudioTransferError for a lead sheet that
    cannot be read, and where no note would be left.
    """
    sheet = song_sheet(file, plan, title)
    generator = torch.Generator().manual_seed(plan.seed)
    options = _arrange_options(sheet, plan)
    arrangement = arrange(sheet, plan.band, plan.strength, generator, options)
    parts = tuple(part for part in arrangement.parts if not plan.actions.get(_kind(part)))
    if not parts and not _left(file, plan):
        raise NoNotes(_why_silent(file, plan))
    fine = in_quarters(file)
    timeline = _Timeline.of(fine, sheet, arrangement.sheet, options)
    beats = ticks_at(fine, sheet.beat_times) / fine.division
    lines = [float(beats[bar.beat]) for bar in sheet.bars] + [float(beats[-1])]
    after = _marks(arrangement.sheet, timeline.ticks / fine.division)
    marks = {
        "before": replace(_marks(sheet, beats), lines=lines),
        "after": replace(after, lines=timeline.bar_lines(lines), added=timeline.added_bars),
    }
    return Cover(
        written(fine, timeline, parts, plan),
        sheet,
        arrangement,
        parts,
        marks,
        _report(arrangement, parts, timeline.beats_at(marks["after"].lines)),
    )


def _marks(sheet: LeadSheet, quarters: NDArray[np.float64]) -> Marks:
    """Chord names and sections of a lead sheet whose beats have these places."""
    beats = np.arange(len(quarters))

    def placed(beat: float) -> float:
        return float(np.interp(beat, beats, quarters))

    chords = [(placed(c.beat), symbol(c, sheet.key_at(c.beat))) for c in sheet.chords]
    sections = [(placed(section.beat), section.name) for section in sheet.sections]
    return Marks(chords, sections)


def song_sheet(file: MidiFile, plan: CoverPlan, title: str = "") -> LeadSheet:
    """The lead sheet of the song: from its file, or as a musician corrected it.

    Raises AudioTransferError for a lead sheet that cannot be read, or is not that of the song.
    """
    sheet = lead_sheet(file, title)
    path = plan.options.leadsheet
    if path is None:
        return sheet
    corrected = read_lead_sheet(path, sheet)
    check_fits(corrected, sheet.seconds, path)
    return corrected


def written(
    file: MidiFile, timeline: _Timeline, parts: Sequence[EnsemblePart], plan: CoverPlan
) -> MidiFile:
    """The file (see `in_quarters`) with the parts of an arrangement in place of its notes.

    Added bars in front move everything but what stands at the very beginning; tempo messages and
    key signatures change as the options say; sound effects, and what ``plan.actions`` keeps, stay.
    Each part has a track with its name and program, on a channel of its own.
    """
    options = plan.options
    file = without_notes(file, lambda group: not _is_kept(group, plan))
    file = _transposed(file, options.transpose)
    file = transposed_keys(file, options.transpose)
    file = with_tempo_factor(file, timeline.faster)
    file = begun_later(
        file, timeline.shift, metre_again=timeline.between_bars, metre=timeline.added_metre
    )
    file = with_tempos(file, timeline.tempo_ticks, timeline.tempos)
    if parts:
        file = with_tracks(file, [_track(part, timeline) for part in parts])
    return file


def kept_types(file: MidiFile, plan: CoverPlan) -> tuple[set[str], set[str]]:
    """Kinds of parts that are to be kept: those that the song has, and those that it has not."""
    asked = {kind for kind, action in plan.actions.items() if action == "keep"}
    kept = {kind for kind in asked if _has(file, kind)}
    return kept, asked - kept


def _is_kept(group: Group, plan: CoverPlan) -> bool:
    """Whether notes of the file stay in its cover: sound effects, and kinds that are kept."""
    if not group.drums and group.program >= UNPITCHED:
        return True
    return plan.actions.get(DRUMS if group.drums else PITCHED) == "keep"


def _left(file: MidiFile, plan: CoverPlan) -> bool:
    """Whether any note of the file stays in its cover."""
    return any(_is_kept(group, plan) for group in midi.notes_of(file).groups)


def _has(file: MidiFile, kind: str) -> bool:
    """Whether the file has notes of a kind (``pitched``, ``drums``); effects are of none."""
    return any(
        group.drums == (kind == DRUMS) and (group.drums or group.program < UNPITCHED)
        for group in midi.notes_of(file).groups
    )


def _why_silent(file: MidiFile, plan: CoverPlan) -> str:
    """Why a cover would have no note, and what to do about it."""
    drums = any(describe(role.instruments[0]).drums for role in plan.band.roles)
    reasons, ways = [], []
    for kind, name in NOTE_TYPES.items():
        action, has = plan.actions.get(kind), _has(file, kind)
        if action == "mute":
            reasons.append(f"{name} are muted")
        elif not has and (action == "keep" or kind == PITCHED):
            reasons.append(f"the song has no {name}")
        elif kind == PITCHED:
            reasons.append("its lead sheet has no melody and no chords")
        elif not drums:
            reasons.append(f"the band of {plan.style} has no drums")
            ways.append("choose a style whose band has, as jazz")
            ways += ["keep the song's with --stem drums=keep"] if has else []
        if action and (has or (kind == DRUMS and drums)):
            ways.append(f"leave out --stem {kind}={action}")
    hint = f" ({', or '.join(ways)})" if ways else ""
    return f"no note would be left: {' and '.join(reasons)}{hint}"


@dataclass(frozen=True)
class _Timeline:
    """Where the times of an arrangement are in the file of its song.

    ``seconds`` and ``ticks`` are those of the arrangement's beats, ``song`` the times between which
    the song itself is, which begins at ``begin`` seconds in ``file``. ``shift`` are the ticks by
    which it begins later, ``added_bars`` how many bars these are, ``between_bars`` whether the last
    one of them is cut short; ``added_quarters`` are the lengths of a bar in front and of one
    behind, ``added_metre`` is that in front. ``faster`` is the factor of all tempos. ``tempos``
    (quarter notes per minute) from ``tempo_ticks`` on are those of added bars.
    """

    file: MidiFile
    seconds: NDArray[np.float64]
    ticks: NDArray[np.float64]
    song: tuple[float, float]
    begin: float
    shift: int
    added_bars: int
    between_bars: bool
    added_quarters: tuple[float, float]
    added_metre: tuple[int, int]
    faster: float
    tempo_ticks: NDArray[np.int64]
    tempos: NDArray[np.float64]

    @classmethod
    def of(
        cls, file: MidiFile, sheet: LeadSheet, arranged: LeadSheet, options: ArrangeOptions
    ) -> _Timeline:
        times, own = arranged.beat_times, len(sheet.beats) - 1
        first = arranged.bars[options.intro].beat
        last = arranged.bars[-options.outro].beat if options.outro else len(times) - 1
        feel = (last - first) / own  # beats of the arrangement to one of the song
        # Beats before and behind the song have the length of its first and last ones.
        places = (np.arange(len(times)) - first) / feel
        ticks = ticks_at(file, sheet.time_at(np.clip(places, 0, own)))
        ends = [usual_bar(bars) for bars in (sheet.bars[:NEARBY], sheet.bars[-NEARBY:])]
        before, behind = (bar.quarters / bar.beats * file.division for bar in ends)
        ticks += np.minimum(places, 0) * before + np.maximum(places - own, 0) * behind
        shift = round(first / feel * before)
        bar = round(ends[0].quarters * file.division)
        song = (float(times[first]), float(times[last]))
        faster = (sheet.beats[-1] - sheet.beats[0]) / (song[1] - song[0])
        ticks += shift
        spans = [(0, first)] if first else []
        ends_of_bars = [bar.beat for bar in arranged.bars if bar.beat >= last] + [len(times) - 1]
        spans += pairwise(ends_of_bars)
        rates = 60.0 * faster / file.division / tempo_map(file)[1][[0, -1]]
        changes: list[tuple[int, float]] = []
        for start, stop in spans:
            rate = (ticks[stop] - ticks[start]) / (times[stop] - times[start])
            tempo, usual = 60.0 * rate / file.division, rates[0] if start == 0 else rates[1]
            if abs(tempo / usual - 1) > _STEADY:
                changes.append((round(ticks[start]) if start else 0, tempo))
                changes += [(shift, usual)] if start == 0 else []
        return cls(
            file,
            times,
            ticks,
            song,
            sheet.beats[0],
            shift,
            -(-shift // bar),
            bool(shift % bar),
            (ends[0].quarters, ends[1].quarters),
            (ends[0].numerator, ends[0].denominator),
            faster if abs(faster - 1) > _SAME else 1.0,
            np.array([tick for tick, _ in changes], dtype=np.int64),
            np.array([tempo for _, tempo in changes]),
        )

    def beats_at(self, quarters: Sequence[float]) -> NDArray[np.float64]:
        """Places in beats of the arrangement of places in quarter notes of its file."""
        at = np.asarray(quarters) * self.file.division
        beats: NDArray[np.float64] = np.interp(at, self.ticks, np.arange(len(self.ticks)))
        return beats

    def bar_lines(self, song: Sequence[float]) -> list[float]:
        """Bar lines in quarter notes, of those of the song: with those of added bars."""
        shift, end = np.array([self.shift, self.ticks[-1]]) / self.file.division
        first, last = self.added_quarters
        behind = round((end - song[-1] - shift) / last)
        return [
            *(first * bar for bar in range(self.added_bars)),
            *(place + shift for place in song),
            *(song[-1] + shift + last * (bar + 1) for bar in range(behind)),
        ]

    def ticks_of(self, seconds: NDArray[np.float64]) -> NDArray[np.int64]:
        """Ticks of times of the arrangement, from 0: by the file's tempos within the song, and by
        beats in added bars; beyond the ends the tempo goes on.
        """
        added = interpolated(seconds, self.seconds, self.ticks)
        own = ticks_at(self.file, self.begin + (seconds - self.song[0]) * self.faster) + self.shift
        inside = (seconds >= self.song[0]) & (seconds < self.song[1])
        return np.maximum(np.rint(np.where(inside, own, added)), 0).astype(np.int64)


def _track(part: EnsemblePart, timeline: _Timeline) -> NewTrack:
    """The new track of a part. Notes end by the last bar line, so that the file has no further
    bar where the band plays late.
    """
    start = timeline.ticks_of(part.notes[:, 0])
    end = timeline.ticks_of(part.notes[:, 0] + part.notes[:, 1])
    end = np.minimum(end, round(timeline.ticks[-1]))
    values = np.rint(part.notes[:, 2:4]).astype(np.int64)
    notes = np.column_stack([start, np.maximum(end - start, 1), values])
    about = describe(part.instrument)
    return NewTrack(part.name, about.program, about.drums, notes)


def _kind(part: EnsemblePart) -> str:
    return DRUMS if describe(part.instrument).drums else PITCHED


def _transposed(file: MidiFile, semitones: int) -> MidiFile:
    """The file with the pitched notes that are left in it ``semitones`` higher."""
    notes = midi.notes_of(file)
    if semitones == 0 or not len(notes.table):
        return file
    pitched = np.array([not g.drums and g.program < UNPITCHED for g in notes.groups])
    table = notes.table.copy()
    moved = table[:, _PITCH] + semitones * pitched[table[:, 4]]
    table[:, _PITCH] = np.where((moved < 0) | (moved > 127), table[:, _PITCH], moved)
    return midi.with_notes(file, table)


def _arrange_options(sheet: LeadSheet, plan: CoverPlan) -> ArrangeOptions:
    """The options of the arranger, whose bars are felt ones: in a doubled feel twice as many."""
    asked = plan.options
    # An instrument plays what somebody sings in the file, so that it swings as the band does.
    swing = 1.0 if asked.swing is None else asked.swing
    options = ArrangeOptions(
        lead=asked.lead, transpose=asked.transpose, tempo=asked.tempo, swing=swing
    )
    if not asked.intro and not asked.outro:
        return options
    ratio = felt_bars(sheet, plan.band, options) / len(sheet.bars)
    intro, outro = (
        max(1, round(count * ratio)) if count else 0 for count in (asked.intro, asked.outro)
    )
    return replace(options, intro=intro, outro=outro)


def _report(
    arrangement: Arrangement, parts: Sequence[EnsemblePart], lines: NDArray[np.float64]
) -> CoverReport:
    sheet = arrangement.sheet
    return CoverReport(
        lead=next((part.instrument for part in parts if part.name == "lead"), None),
        parts={part.name: CoverPart(part.instrument, len(part.notes)) for part in parts},
        reharmonised=len(arrangement.reharmonised) / len(sheet.bars),
        chords=bar_chords(sheet, lines),
    )


def bar_chords(sheet: LeadSheet, lines: NDArray[np.float64]) -> list[str]:
    """The chords that begin in each bar as text; of a bar in which none does, the one that goes on.

    ``lines`` are places of bar lines in beats of the lead sheet, with the end.
    """
    places = [chord.beat for chord in sheet.chords]
    symbols = [symbol(chord, sheet.key_at(chord.beat)) for chord in sheet.chords]
    texts = []
    for start, end in pairwise((lines - _NEAR).tolist()):
        first, after = bisect_left(places, start), bisect_left(places, end)
        texts.append(" ".join(symbols[first:after] or symbols[max(first - 1, 0) : first]))
    return texts
