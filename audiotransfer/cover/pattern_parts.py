"""Writers of bass lines, chords and single voices that play rhythm patterns of the band's file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from audiotransfer.cover.patterns import (
    PatternSet,
    Step,
    bar_starts,
    kept_steps,
    steps,
)
from audiotransfer.cover.voice_leading import (
    VoicingRules,
    Voicings,
    power_chords,
    tone_of,
    voicings,
)
from audiotransfer.errors import AudioTransferError
from audiotransfer.typed import WrongValue, read_mapping

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audiotransfer.cover.band import Role
    from audiotransfer.cover.plan import Notes, Plan
    from audiotransfer.leadsheet import Chord

Settings = TypeVar("Settings")

_OCTAVE = 12
_SHORTEST = 0.25  # beats; what is left of a held chord after a change is played anew from here on
_SWELL_BARS = 4
_CHORD_SYMBOLS = "xXo?uU0123456789"
_BASS_SYMBOLS = "rR3578nNaA"


@dataclass(frozen=True)
class PartSettings:
    """Settings of every part that plays patterns.

    ``velocity`` are those at energy 0 and 1, ``spread`` the standard deviation of single notes,
    ``accent`` is added on the first beat of a bar. ``swell`` is by how much the velocity rises to
    the middle of four bars. ``vary`` is the probability that two bars leave their phrase's pattern.
    The last bar is one ``long`` note, a ``rest``, or as its ``pattern`` by ``ending``.
    """

    patterns: tuple[PatternSet, ...]
    velocity: tuple[float, float] = (55.0, 100.0)
    spread: float = 4.0
    accent: float = 5.0
    swell: float = 0.0
    vary: float = 0.25
    ending: Literal["long", "rest", "pattern"] = "long"


@dataclass(frozen=True)
class ChordSettings(PartSettings):
    """Settings of chords: ``voices`` are the lowest and highest pitch of each, from low to high.

    ``play`` are the numbers of the voices that sound, all where it is empty. ``bass``: the lowest
    voice has the chord's bass. ``parallels`` is the cost of a parallel fifth or octave. ``power``:
    root, fifth and octave alone, from the first voice's lowest pitch on. With ``anticipate`` an
    eighth before a change has the coming chord. Where a held chord changes, voices with the same
    pitch sound on if they are ``tied``, else all begin anew. Notes outside of ``register`` are
    moved into it by octaves.
    """

    voices: tuple[tuple[int, int], ...] = VoicingRules.voices
    play: tuple[int, ...] = ()
    bass: bool = False
    parallels: float = VoicingRules.parallels
    power: bool = False
    anticipate: bool = False
    tied: bool = False
    register: tuple[int, int] = (0, 127)
    last: str = "x"
    """Symbol of the long note of the last bar."""


@dataclass(frozen=True)
class BassSettings(PartSettings):
    """Settings of a bass: ``register`` are its lowest and highest MIDI pitch."""

    register: tuple[int, int] = (28, 45)


def settings_of(role: Role, schema: type[Settings]) -> Settings:
    """A role's settings as a dataclass. Raises AudioTransferError for an unknown or wrong key."""
    try:
        return read_mapping(role.settings, schema)
    except WrongValue as error:
        raise AudioTransferError(f"role {role.name}, settings: {error}") from None


def write_chords(plan: Plan, role: Role, random: Generator) -> Notes:
    """Chords by patterns: ``x``, ``X``, ``o`` and ``?`` are all voices, ``u`` all but the lowest.

    A digit is one voice, counted from the lowest, beyond the last an octave higher. A chord that
    is held over a change moves on with it.
    """
    return chord_notes(plan, settings_of(role, ChordSettings), random)


def chord_notes(plan: Plan, settings: ChordSettings, random: Generator) -> Notes:
    """The notes of `write_chords` with these settings."""
    rules = VoicingRules(settings.voices, settings.bass, settings.parallels)
    voiced = power_chords(plan, settings.voices[0]) if settings.power else voicings(plan, rules)
    if not voiced.spans:
        return np.zeros((0, 4))
    played = settings.play or tuple(range(voiced.pitches.shape[1]))
    loudness = loudness_of(plan, settings, random)
    low, high = settings.register
    notes: list[list[float]] = []
    for step in part_steps(plan, settings, random, settings.last, _CHORD_SYMBOLS):
        velocity = loudness(step)
        ahead = 1.0 / plan.sheet.bars[step.bar].division if settings.anticipate else 0.0
        index = voiced.index_at(step.beat + min(ahead, step.beats))
        voices = _voices(step.symbol, played)
        shifts = np.array([octave for _, octave in voices])
        last, sounding = np.zeros(len(voices)), [[0.0] * 4 for _ in voices]
        for start, beats, pitches in _held(voiced, index, [one for one, _ in voices], step):
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
    return sorted_notes(notes)


def write_bass(plan: Plan, role: Role, random: Generator) -> Notes:
    """A bass line by patterns of chord tones.

    ``r`` is the chord's bass, ``3``, ``5``, ``7`` and ``8`` its tones above, ``n`` the bass of the
    chord that follows the note, ``a`` an approach to it: a step away, or the fifth where the chord
    stays. Capitals are accented.
    """
    settings = settings_of(role, BassSettings)
    chord_at = chords_of(plan)
    loudness = loudness_of(plan, settings, random)
    changes = np.array([chord.beat for chord in plan.chords])
    line = part_steps(plan, settings, random, "r", _BASS_SYMBOLS)
    notes: list[tuple[float, float, float, float]] = []
    last = (settings.register[0] + settings.register[1]) / 2 - 2
    for number, step in enumerate(line):
        chord, following = chord_at(step.beat), chord_at(step.beat + _slot_end(step, line, number))
        pitch = _bass_pitch(step.symbol.lower(), chord, following, last, settings, random)
        if pitch is None:
            continue
        end = step.beat + step.beats
        if number + 1 < len(line):
            end = min(end, line[number + 1].beat)
        start, velocity = step.beat, loudness(step)
        for change in changes[(changes > start + 1e-6) & (changes < end - _SHORTEST)].tolist():
            later = chord_at(change)  # a held note moves on with the chords
            if later is None or _class(later) == pitch % _OCTAVE:
                continue
            notes.append((start, change - start, pitch, velocity))
            start, pitch = change, _bass_near(later, pitch, settings.register)
        notes.append((start, end - start, pitch, velocity))
        if step.symbol.lower() in "rn":
            last = pitch
    return sorted_notes(notes)


def part_steps(
    plan: Plan, settings: PartSettings, random: Generator, last: str, symbols: str
) -> list[Step]:
    """A part's steps: without the optional ones that are left out, the last bar one note."""
    found = kept_steps(steps(plan, settings.patterns, settings.vary, symbols), random)
    if settings.ending == "pattern" or not found:
        return found
    index = len(plan.sheet.bars) - 1
    bar = plan.sheet.bars[index]
    found = [step for step in found if step.bar != index and step.beat < bar.beat - 1e-6]
    found = [s._replace(beats=min(s.beats, bar.beat - s.beat)) for s in found]
    if settings.ending == "long":
        found.append(Step(float(bar.beat), float(bar.beats), last, "", index, 0.9))
    return found


def loudness_of(plan: Plan, settings: PartSettings, random: Generator) -> Callable[[Step], float]:
    """A function that gives the velocity of a step: by energy, pattern, accent and swell."""
    starts = bar_starts(plan)
    low, high = settings.velocity

    def loudness(step: Step) -> float:
        velocity = step.share * (low + float(plan.energy[step.bar]) * (high - low))
        if step.beat - starts[step.bar] < 1e-6:
            velocity += settings.accent
        if settings.swell:
            first = step.bar - step.bar % _SWELL_BARS
            end = starts[min(first + _SWELL_BARS, len(starts) - 1)]
            place = (step.beat - starts[first]) / (end - starts[first])
            velocity += settings.swell * (np.sin(np.pi * place) - 0.5)
        return float(np.clip(np.rint(velocity + random.normal(0.0, settings.spread)), 1, 127))

    return loudness


def chords_of(plan: Plan) -> Callable[[float], Chord | None]:
    """A function that gives the chord at a place in beats; ``None`` where there is none."""
    starts = np.array([chord.beat for chord in plan.chords])

    def chord_at(beat: float) -> Chord | None:
        index = int(np.searchsorted(starts, beat + 1e-6, side="right")) - 1
        chord = plan.chords[max(index, 0)] if len(starts) else None
        return None if chord is None or chord.root is None else chord

    return chord_at


def _voices(symbol: str, played: tuple[int, ...]) -> list[tuple[int, int]]:
    """The voices that a symbol plays, each with semitones that are added."""
    if symbol.isdigit():
        octave, place = divmod(int(symbol), len(played))
        return [(played[place], octave * _OCTAVE)]
    first = 1 if symbol in "uU" else 0
    return [(voice, 0) for voice in played[first:]]


def _held(
    voiced: Voicings, index: int, voices: list[int], step: Step
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
    options = [one for one in (-1, -1, 1, -2, 2, 7, -5) if low <= target + one <= high]
    return target + options[int(random.integers(len(options)))]


def sorted_notes(notes: Sequence[Sequence[float]]) -> Notes:
    """Notes in order of onset ``[N, 4]``."""
    if not notes:
        return np.zeros((0, 4))
    found = np.array(sorted(map(tuple, notes)), dtype=np.float64)
    return found[found[:, 1] > 1e-6]
