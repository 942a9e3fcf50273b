"""Writer of bass lines that play rhythm patterns of the band's file with chord tones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
from audiotransfer.cover.voice_leading import tone_of

if TYPE_CHECKING:
    from numpy.random import Generator

    from audiotransfer.cover.band import Role
    from audiotransfer.cover.plan import Notes, Plan
    from audiotransfer.leadsheet import Chord

_OCTAVE = 12
_SHORTEST = 0.25  # beats that a held note must last after a change to go on with the new chord
_SYMBOLS = "rR3578nNaA"


@dataclass(frozen=True)
class BassSettings(PartSettings):
    """Settings of a bass: ``register`` are its lowest and highest MIDI pitch."""

    register: tuple[int, int] = (28, 45)


def write_bass(plan: Plan, role: Role, random: Generator) -> Notes:
    """A bass line by patterns of chord tones.

    ``r`` is the chord's bass, ``3``, ``5``, ``7`` and ``8`` its tones above, ``n`` the bass of the
    chord that follows the note, ``a`` an approach to it: a step away, or the fifth where the chord
    stays. Capitals are accented.
    """
    settings = settings_of(role, BassSettings)
    loudness = loudness_of(plan, settings, random)
    changes = np.array([chord.beat for chord in plan.chords])
    line = part_steps(plan, settings, random, "r", _SYMBOLS)
    notes: list[tuple[float, float, float, float]] = []
    last = (settings.register[0] + settings.register[1]) / 2 - 2
    before: Chord | None = None
    for number, step in enumerate(line):
        chord = _chord_at(plan, step.beat)
        following = _chord_at(plan, step.beat + _slot_end(step, line, number))
        symbol = step.symbol.lower()
        if symbol in "3578a" and (before is None or chord != before):
            symbol = "r"  # a new chord begins with its bass
        before = chord
        pitch = _bass_pitch(symbol, chord, following, last, settings, random)
        if pitch is None:
            continue
        end = step.beat + step.beats
        if number + 1 < len(line):
            end = min(end, line[number + 1].beat)
        start, velocity = step.beat, loudness(step)
        for change in changes[(changes > start + 1e-6) & (changes < end - _SHORTEST)].tolist():
            later = _chord_at(plan, change)  # a held note moves on with the chords
            if later is None or _class(later) == pitch % _OCTAVE:
                continue
            notes.append((start, change - start, pitch, velocity))
            start, pitch = change, _bass_near(later, pitch, settings.register)
        notes.append((start, end - start, pitch, velocity))
        if symbol in "rn":
            last = pitch
    return sorted_notes(with_riffs(notes, plan, settings, settings.register[0], loudness))


def _chord_at(plan: Plan, beat: float) -> Chord | None:
    """The chord at a place in beats; ``None`` where there is none."""
    chord = plan.chord_at(beat)
    return None if chord.root is None else chord


def _slot_end(step: Step, line: list[Step], number: int) -> float:
    """Beats from a step to the next one, or its own length where that is nearer or none."""
    if number + 1 < len(line):
        return max(line[number + 1].beat - step.beat, step.beats)
    return step.beats


def _bass_pitch(
    symbol: str,
    chord: Chord | None,
    following: Chord | None,
    last: float,
    settings: BassSettings,
    random: Generator,
) -> int | None:
    """MIDI pitch of a bass note near the last root; ``None`` where no chord sounds."""
    if symbol == "n":
        chord, symbol = following or chord, "r"
    if chord is None:
        return None
    root = _bass_near(chord, last, settings.register)
    if symbol == "a":
        changes = following is not None and _class(following) != _class(chord)
        if changes and following is not None:
            return _approach(_bass_near(following, root, settings.register), settings, random)
        symbol = "5"
    if symbol in "357":
        high = root + (tone_of(chord, int(symbol)) - root) % _OCTAVE
        return high if high <= settings.register[1] else max(high - _OCTAVE, settings.register[0])
    if symbol == "8":
        return root + _OCTAVE if root + _OCTAVE <= settings.register[1] else root
    return root


def _class(chord: Chord) -> int:
    assert chord.root is not None
    return chord.root if chord.bass is None else chord.bass


def _bass_near(chord: Chord, last: float, register: tuple[int, int]) -> int:
    """The chord's bass in the register, nearest to the last root and to the register's middle."""
    low, high = register
    options = [pitch for pitch in range(low, high + 1) if pitch % _OCTAVE == _class(chord)]
    middle = (low + high) / 2
    return min(options, key=lambda pitch: abs(pitch - last) + 0.5 * abs(pitch - middle))


def _approach(target: int, settings: BassSettings, random: Generator) -> int:
    """A note that leads to the target: a semitone or whole tone away, or its fifth."""
    low, high = settings.register
    options = [step for step in (-1, -1, 1, -2, 2, 7, -5) if low <= target + step <= high]
    return target + options[int(random.integers(len(options)))]
