"""Writes the bass: walking in four, in two where the song is calm, and in other metres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.cover.band import settings_of
from audiotransfer.cover.counts import by_tempo, table
from audiotransfer.cover.riffs import outside, riff_steps
from audiotransfer.cover.walking import HELD, INSIDE, NEW, PITCHES, TWO, Slot, walking_model
from audiotransfer.leadsheet.chords import TONES, tone_index

if TYPE_CHECKING:
    from numpy.random import Generator

    from audiotransfer.cover.band import Role
    from audiotransfer.cover.plan import Notes, Plan
    from audiotransfer.leadsheet import Bar

_BLOCK = 4  # bars that are in two together
_TWO_BELOW, _CALM = 0.55, 0.25  # energy below which the first chorus, and any other, is in two
_TWO_MOST = 0.15  # share of bars in two, at most
_EMPTY = 0.35  # of the counted share of beats left empty, on beat 1
_VELOCITY, _VELOCITY_SPREAD = 82, 5
_ACCENT = (0, 3, 0, 3)  # velocity added on the beats
_WEIGHT = (7, 2, 2, 0, -8)  # velocity added by tone: root, third, fifth, seventh, foreign
_HELD = (1.25, 1.0, 1.0, 0.7, 0.5)  # and how readily the next beat is left empty
_SKIP = (-14, 0.42)  # velocity added to off notes, and their length in beats


@dataclass(frozen=True)
class _Place:
    """A note to be: place and end in beats, and its slot in the line."""

    beat: float
    end: float
    slot: Slot


@dataclass(frozen=True)
class WalkingSettings:
    """Settings of a walking bass.

    ``two_beat`` is the highest share of bars in two; ``skips`` and ``empty`` are factors of the
    counted off notes and empty beats. ``riffs`` has the bass play what the song's own bass repeats
    every bar or two.
    """

    two_beat: float = _TWO_MOST
    skips: float = 1.0
    empty: float = 1.0
    riffs: bool = True


def write_walking_bass(plan: Plan, role: Role, generator: Generator) -> Notes:
    """Writes a walking bass in beats, straight: one note a beat, roots on changes, approaches.

    Where a chord goes on over a bar line, its root comes again on beat 1 most of the time.

    Where the energy is low in the first chorus of several, or very low elsewhere, it plays in two.
    Settings of the role: `WalkingSettings`.
    """
    settings = settings_of(role, WalkingSettings)
    counts = table(plan.band, "walking")
    model = walking_model(plan.band.folder / plan.band.counts)
    two = two_beat_bars(plan, settings.two_beat)
    places = [place for place in _places(plan, two) if place.slot.chord.root is not None]
    if not places:
        return np.zeros((0, 4))
    pitches = model.draw([place.slot for place in places], generator)
    legato = counts["length"]["beats"]
    empty = float(np.mean(counts["empty"]["share"])) * settings.empty
    skips, tempo = counts["skips"], np.median(plan.sheet.tempo_at(np.arange(len(plan.sheet.beats))))
    often = by_tempo(tempo, skips["bpm"], skips["share"]) * settings.skips
    at_end = by_tempo(tempo, skips["bpm"], skips["after_4"]) * settings.skips
    energy = np.interp([p.beat for p in places], [b.beat for b in plan.sheet.bars], plan.energy)
    line: list[tuple[float, float, float, float]] = []
    tone = len(TONES) - 1
    for index, (place, pitch) in enumerate(zip(places, pitches, strict=True)):
        chord = place.slot.chord
        before, tone = tone, tone_index(int(pitch) - (chord.root or 0), chord.quality)
        omit = empty * (_EMPTY if place.slot.beat == 0 else 1.35) * _HELD[before]
        new = place.slot.row in (NEW, INSIDE, HELD) or place.slot.fixed is not None
        if new or (line and line[-1][1] > 1.2):
            omit = 0.0  # never on a change or the root of a held chord, never twice in a row
        if line and place.end - place.beat <= 1 and generator.random() < omit:
            start, length, *rest = line[-1]
            if 1.2 > length > place.beat - start - 0.2:  # the note before goes on
                line[-1] = (start, place.end - start - (1 - legato), *rest)
            continue
        velocity = _VELOCITY + 16 * (energy[index] - 0.5) + _ACCENT[place.slot.beat]
        velocity += _WEIGHT[tone]
        velocity += generator.normal(0, _VELOCITY_SPREAD)
        length = (place.end - place.beat) * (legato + generator.normal(0, 0.03))
        chance = at_end if place.slot.beat == 3 else (4 * often - at_end) / 3
        if place.end - place.beat == 1 and generator.random() < chance and index + 1 < len(places):
            off = plan.sheet.bars[0].division
            skip = place.end - 1 / off
            line.append((place.beat, skip - place.beat - 0.02, float(pitch), velocity))
            extra = _skip(int(pitch), int(pitches[index + 1]), generator)
            line.append((skip, _SKIP[1], float(extra), velocity + _SKIP[0]))
        else:
            line.append((place.beat, length, float(pitch), velocity))
    if settings.riffs:
        line = _with_riffs(line, plan)
    notes = np.array(line)
    notes[:, 3] = np.clip(np.round(notes[:, 3]), 20, 120)
    return notes


def _with_riffs(
    line: list[tuple[float, float, float, float]], plan: Plan
) -> list[tuple[float, float, float, float]]:
    """The line with the song's own riff, an octave or more away, where it repeats one."""
    steps, spans = riff_steps(plan, 1.0, repeated=True)
    if not steps:
        return line
    middle = float(np.median([int(step.symbol) for step in steps]))
    octaves = 12 * round((float(PITCHES.mean()) - middle) / 12)
    kept = outside(line, spans)
    kept += [(s.beat, s.beats, float(int(s.symbol) + octaves), float(_VELOCITY)) for s in steps]
    return sorted(kept)


def two_beat_bars(plan: Plan, most: float = _TWO_MOST) -> frozenset[int]:
    """Indices of the bars in which the bass plays in two, by blocks of four bars.

    Those of the first chorus of several with little energy, and those with hardly any; the calmest
    first, until ``most`` of all bars are in two.
    """
    several = len(plan.chorus) > 0 and plan.chorus.max() > 0
    blocks = []
    for first in range(0, len(plan.sheet.bars) - _BLOCK + 1, _BLOCK):
        bars = slice(first, first + _BLOCK)
        calm = float(plan.energy[bars].mean())
        head = several and plan.chorus[bars].max() == plan.chorus.min()
        if calm < (_TWO_BELOW if head else _CALM):
            blocks.append((calm, first))
    count = int(most * len(plan.sheet.bars)) // _BLOCK
    chosen = [first for _, first in sorted(blocks)[:count]]
    return frozenset(first + bar for first in chosen for bar in range(_BLOCK))


def _places(plan: Plan, two: frozenset[int]) -> list[_Place]:
    """Where notes are to be: on each beat, in two on the half bars and where chords change."""
    changes = {round(chord.beat) for chord in plan.chords}
    places = []
    for index, bar in enumerate(plan.sheet.bars):
        beats = _beats(bar, index in two, changes, index == len(plan.sheet.bars) - 1)
        for number, beat in enumerate(beats):
            end = beats[number + 1] if number + 1 < len(beats) else bar.beat + bar.beats
            chord = plan.chord_at(beat + 0.1)
            new = beat in changes
            inside = _beat_of_four(beat - bar.beat, bar.beats)
            row = HELD if inside == 0 else TWO if end - beat > 1 else inside
            if new:
                row = NEW if inside == 0 or end - beat > 1 else INSIDE
            fixed = chord.bass if new else None
            ends = beat == 0 or index == len(plan.sheet.bars) - 1
            if (ends or (new and inside == 0 and index in two)) and fixed is None:
                fixed = chord.root
            places.append(_Place(float(beat), float(end), Slot(inside, row, chord, fixed)))
    return places


def _beats(bar: Bar, two: bool, changes: set[int], last: bool) -> list[int]:
    """The beats of a bar that have a note: all; in two the first, the half, and changes."""
    inside = range(bar.beats)
    if last:
        chosen = {0} | {beat for beat in inside if bar.beat + beat in changes}
    elif two:
        half = {0, 2} if bar.beats == 4 else {0, 3} if bar.beats > 4 else {0}
        chosen = half | {beat for beat in inside if bar.beat + beat in changes}
    else:
        chosen = set(inside)
    return [bar.beat + beat for beat in sorted(chosen) if beat < bar.beats]


def _beat_of_four(beat: int, beats: int) -> int:
    """The beat of a bar in four that a beat of any bar is like: first, last, or one between."""
    if beat == 0:
        return 0
    return 3 if beat == beats - 1 else (1 if beat % 2 else 2)


def _skip(pitch: int, following: int, generator: Generator) -> int:
    """The pitch of an off note: the same again, its octave, or a semitone before the next note."""
    kind = generator.random()
    if kind < 0.5 or following == pitch:
        return pitch
    if kind < 0.7:
        return pitch + 12 if pitch < 40 else pitch - 12 if pitch > 44 else pitch
    return following - int(np.sign(following - pitch))
