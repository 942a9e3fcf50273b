"""Writer of chords and single voices that play rhythm patterns of the band's file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from audiotransfer.cover.band import settings_of
from audiotransfer.cover.pattern_parts import (
    PartSettings,
    loudness_of,
    part_steps,
    sorted_notes,
)
from audiotransfer.cover.patterns import Step
from audiotransfer.cover.riffs import with_riffs
from audiotransfer.cover.singer import steps_beside_syllables
from audiotransfer.cover.voice_leading import VoicedChords, VoicingRules, power_chords, voicings
from audiotransfer.typed import WrongValue

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audiotransfer.cover.band import Role, Timing
    from audiotransfer.cover.plan import Notes, Plan

_FIFTH, _OCTAVE = 7, 12
_SHORTEST = 0.25  # beats; what is left of a held chord after a change is played anew from here on
_SYMBOLS = "xXo?uU0123456789"


@dataclass(frozen=True)
class ChordSettings(PartSettings):
    """Settings of chords: ``voices`` are the lowest and highest pitch of each, from low to high.

    ``play`` are the numbers of the voices that sound, all where it is empty. ``bass``: the lowest
    voice has the chord's bass. ``parallels`` is the cost of a parallel fifth or octave. ``power``:
    root, fifth and octave alone, from the first voice's lowest pitch on. ``plain``: no major
    sevenths, which would be semitones from other parts' roots. With ``anticipate`` an
    eighth before a change has the coming chord. Where a held chord changes, voices with the same
    pitch sound on if they are ``tied``, else all begin anew. Notes outside of ``register`` are
    moved into it by octaves. ``syllables`` is what becomes of a chord where a singer's syllable
    begins: it ``move``s, what was struck before is ``hold``, or it is kept.
    """

    voices: tuple[tuple[int, int], ...] = VoicingRules.voices
    play: tuple[int, ...] = ()
    bass: bool = False
    parallels: float = VoicingRules.parallels
    power: bool = False
    plain: bool = False
    anticipate: bool = False
    tied: bool = False
    register: tuple[int, int] = (0, 127)
    syllables: Literal["move", "hold", "keep"] = "move"
    last: str = "x"
    """Symbol of the long note of the last bar."""

    def __post_init__(self) -> None:
        names = [f"voices[{index}]" for index in range(len(self.voices))]
        spans = [*self.voices, self.register]
        for name, (low, high) in zip([*names, "register"], spans, strict=True):
            if low > high:
                raise WrongValue(f"{name} is [{low}, {high}], but the lowest pitch must come first")


def write_chords(plan: Plan, role: Role, random: Generator) -> Notes:
    """Chords by patterns: ``x``, ``X``, ``o`` and ``?`` are all voices, ``u`` all but the lowest.

    A digit is one voice, counted from the lowest, beyond the last an octave higher. A chord that
    is held over a change moves on with it.
    """
    return chord_notes(plan, settings_of(role, ChordSettings), role.timing, random)


def chord_notes(plan: Plan, settings: ChordSettings, timing: Timing, random: Generator) -> Notes:
    """The notes of `write_chords` with these settings."""
    rules = VoicingRules(settings.voices, settings.bass, settings.parallels, settings.plain)
    voiced = power_chords(plan, settings.voices[0]) if settings.power else voicings(plan, rules)
    if not voiced.spans:
        return np.zeros((0, 4))
    played = settings.play or tuple(range(voiced.pitches.shape[1]))
    loudness = loudness_of(plan, settings, random)
    low, high = settings.register
    notes: list[Sequence[float]] = []
    line = part_steps(plan, settings, random, settings.last, _SYMBOLS)
    if plan.singer and settings.syllables != "keep":
        line = steps_beside_syllables(plan, line, timing, settings.syllables)
    for step in line:
        velocity = loudness(step)
        ahead = 1.0 / plan.sheet.bars[step.bar].division if settings.anticipate else 0.0
        index = voiced.index_at(step.beat + min(ahead, step.beats))
        voices = _voices(step.symbol, played)
        shifts = np.array([octave for _, octave in voices])
        last, sounding = np.zeros(len(voices)), [[0.0] * 4 for _ in voices]
        for start, beats, pitches in _held(voiced, index, [voice for voice, _ in voices], step):
            moved = pitches + shifts
            moved = moved + _OCTAVE * np.maximum(np.ceil((low - moved) / _OCTAVE), 0)
            moved = moved - _OCTAVE * np.maximum(np.ceil((moved - high) / _OCTAVE), 0)
            moved[pitches == 0] = 0
            for place, pitch in enumerate(moved.tolist()):
                if settings.tied and pitch == last[place]:
                    sounding[place][1] += beats
                elif pitch:
                    sounding[place] = [start, beats, pitch, velocity]
                    notes.append(sounding[place])
            last = moved
    if settings.power:
        notes = with_riffs(notes, plan, settings, settings.voices[0][0], loudness, power=True)
    return sorted_notes(notes)


def _voices(symbol: str, played: tuple[int, ...]) -> list[tuple[int, int]]:
    """The voices that a symbol plays, each with semitones that are added."""
    if symbol.isdigit():
        octave, place = divmod(int(symbol), len(played))
        return [(played[place], octave * _OCTAVE)]
    first = 1 if symbol in "uU" else 0
    return [(voice, 0) for voice in played[first:]]


def _held(
    voiced: VoicedChords, index: int, voices: list[int], step: Step
) -> list[tuple[float, float, NDArray[np.int64]]]:
    """Start, beats and pitches of some voices while a step is held from a span on.

    They begin anew with each span that has other pitches, unless little of the step is left.
    """
    held: list[tuple[float, float, NDArray[np.int64]]] = []
    start, end = step.beat, step.beat + step.beats
    while True:
        pitches = voiced.pitches[index, voices]
        final = index + 1 == len(voiced.spans)
        stop = end if final else min(end, float(voiced.starts[index + 1]))
        if stop > start:
            if held and np.array_equal(held[-1][2], pitches):
                held[-1] = (held[-1][0], stop - held[-1][0], pitches)
            else:
                held.append((start, stop - start, pitches))
        if final or stop > end - _SHORTEST:
            return held
        start, index = stop, index + 1
