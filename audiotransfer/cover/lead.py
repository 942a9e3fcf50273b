"""The lead: the song's melody in the instrument's range, with articulation and dynamics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.cover.band import settings_of

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audiotransfer.cover.band import Role
    from audiotransfer.cover.plan import Notes, Plan

_RANGE = (48, 84)  # of an instrument whose range is not given
_REST = 0.75  # beats of silence that end a phrase
_LONGEST_PHRASE = 16.0  # beats after which the next note of a beat or more ends a phrase
_LEGATO = 0.2  # beats: a shorter gap to the next note is closed
#: Costs of a note outside the range and of one an octave away from where the melody is, and of a
#: change by an octave inside a phrase and between phrases; chosen, not counted.
_OUTSIDE, _AWAY, _BREAK, _NEW_PHRASE = 50.0, 0.04, 3.0, 0.6
#: Share of a melody's notes that must be within the range because of it for a shift by an octave.
_WORTH_MOVING = 0.1
_GRACE = 0.09  # beats that a grace note lasts, before the beat
_OWN = 0.35  # share of the source's own differences of velocity that is kept


@dataclass(frozen=True)
class MelodySettings:
    """Settings of the lead.

    ``ranges`` are the lowest and highest MIDI pitch of each instrument (48 to 84 of others);
    ``velocity`` is the mean; ``grace`` the share of long notes that get a grace note a semitone
    below.
    """

    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)
    velocity: float = 86.0
    grace: float = 0.0


def melody(plan: Plan, role: Role, random: Generator) -> Notes:
    """Writes the melody: every note once, one at a time, within the instrument's range.

    Settings of the role: `MelodySettings`.
    """
    settings = settings_of(role, MelodySettings)
    notes = melody_in_range(plan, role)
    if not len(notes):
        return notes
    phrases = phrase_numbers(notes)
    notes[:, 3] = _velocities(plan, notes, phrases, settings.velocity, random)
    notes[:, 1] = _lengths(notes, random)
    return _with_graces(notes, settings.grace, random)


def melody_in_range(plan: Plan, role: Role) -> Notes:
    """The melody in one voice, by octaves within the range of the lead's instrument."""
    notes = _one_voice(plan.melody)
    if len(notes):
        low, high = settings_of(role, MelodySettings).ranges.get(role.instruments[0], _RANGE)
        notes[:, 2] = in_range(notes[:, 2], phrase_numbers(notes), low, high)
    return notes


def _one_voice(melody: NDArray[np.float64]) -> NDArray[np.float64]:
    """Melody notes without overlaps; of notes that start together the highest."""
    if not len(melody):
        return np.empty((0, 4))
    notes = melody[np.lexsort((-melody[:, 2], melody[:, 0]))].copy()
    together = np.diff(notes[:, 0], prepend=-1.0) < 0.02
    notes = notes[~together]
    gap = np.diff(notes[:, 0])
    notes[:-1, 1] = np.minimum(notes[:-1, 1], gap)
    return notes


def phrase_numbers(notes: NDArray[np.float64]) -> NDArray[np.int64]:
    """The phrase of each note, from 0: a phrase ends with a rest, or a long note in a long one."""
    numbers = np.zeros(len(notes), dtype=np.int64)
    number, began = 0, notes[0, 0]
    for index in range(1, len(notes)):
        start, length = notes[index - 1, :2]
        rest = notes[index, 0] - start - length >= _REST
        if rest or (length >= 1.0 and notes[index, 0] - began >= _LONGEST_PHRASE):
            number, began = number + 1, notes[index, 0]
        numbers[index] = number
    return numbers


def in_range(
    pitches: NDArray[np.float64], phrases: NDArray[np.int64], low: float, high: float
) -> NDArray[np.float64]:
    """Pitches moved by octaves into ``low`` .. ``high``, with few changes of octave.

    The whole melody takes the shift that brings most notes within the range, and stays where it is
    written if hardly more are gained. From there the sequence of octaves is the cheapest (Viterbi):
    a change inside a phrase breaks its line and costs most, one between phrases less, and each note
    away from the melody's shift little. The range must hold an octave.
    """
    octaves = 12.0 * np.arange(-6, 7)
    moved = pitches[:, None] + octaves
    outside = np.maximum(low - moved, 0) + np.maximum(moved - high, 0)
    whole = (outside > 0).mean(axis=0) + _WORTH_MOVING * np.abs(octaves) / 12
    away = np.abs(octaves - octaves[whole.argmin()]) / 12
    cost = _OUTSIDE * (outside > 0) + outside + _AWAY * away
    change = np.abs(octaves[:, None] - octaves) / 12
    inside = np.diff(phrases) == 0
    total, back = cost[0], np.zeros((len(pitches), len(octaves)), dtype=np.int64)
    for index in range(1, len(pitches)):
        ways = total[:, None] + (_BREAK if inside[index - 1] else _NEW_PHRASE) * change
        back[index] = ways.argmin(axis=0)
        total = ways.min(axis=0) + cost[index]
    state = int(total.argmin())
    result = pitches.copy()
    for index in range(len(pitches) - 1, -1, -1):
        result[index] = moved[index, state]
        state = int(back[index, state])
    return result


def _velocities(
    plan: Plan,
    notes: NDArray[np.float64],
    phrases: NDArray[np.int64],
    mean: float,
    random: Generator,
) -> NDArray[np.float64]:
    """Velocities: louder to the peak of a phrase, softer at its end, off-beats accented."""
    bar = plan.sheet.bar_at(notes[:, 0] + 0.01)
    velocity = mean + 20 * (plan.energy[bar] - 0.5) + _OWN * (notes[:, 3] - notes[:, 3].mean())
    for number in np.unique(phrases):
        members = np.flatnonzero(phrases == number)
        pitches = notes[members, 2]
        if len(members) > 2 and np.ptp(pitches):
            velocity[members] += 8 * (pitches - pitches.mean()) / max(np.ptp(pitches), 5)
        velocity[members[-1]] -= 6
    fraction = notes[:, 0] % 1.0
    off = abs(fraction - 0.5) < 0.05
    # An off-beat that is held over the beat, or stands higher than its neighbours, is stressed.
    higher = np.r_[False, np.diff(notes[:, 2]) > 0] & np.r_[np.diff(notes[:, 2]) < 0, True]
    velocity[off & ((notes[:, 1] > 0.6) | higher)] += 6
    velocity[off & ~((notes[:, 1] > 0.6) | higher)] -= 2
    velocity += random.normal(0, 2.5, len(notes))
    clipped: NDArray[np.float64] = np.clip(np.round(velocity), 45, 122)
    return clipped


def _lengths(notes: NDArray[np.float64], random: Generator) -> NDArray[np.float64]:
    """Lengths: small gaps are closed, repeated notes parted, a phrase's last eighth is short."""
    gap = np.r_[np.diff(notes[:, 0]), np.inf]
    same = np.r_[np.diff(notes[:, 2]) == 0, False]
    length = np.where(gap - notes[:, 1] < _LEGATO, gap, notes[:, 1])
    length = np.where(same, np.minimum(length, 0.88 * gap), np.minimum(length, 0.98 * gap))
    off_last = (abs(notes[:, 0] % 1.0 - 0.5) < 0.05) & (gap - notes[:, 1] > 0.4)
    short = off_last & (notes[:, 1] < 0.6) & (random.random(len(notes)) < 0.6)
    short[-1] = False  # the song's last note stays as it is
    length[short] = np.minimum(length[short], 0.3)
    longer: NDArray[np.float64] = np.maximum(length, np.minimum(0.1, 0.9 * gap))
    return longer


def _with_graces(
    notes: NDArray[np.float64], share: float, random: Generator
) -> NDArray[np.float64]:
    """Adds grace notes a semitone below some long notes on a beat that follow a rest."""
    free = np.r_[False, notes[1:, 0] - notes[:-1, 0] - notes[:-1, 1] > 2 * _GRACE]
    on_beat = (notes[:, 0] % 1.0 < 0.02) & (notes[:, 1] >= 0.9)
    chosen = free & on_beat & (random.random(len(notes)) < share)
    graces = notes[chosen].copy()
    graces[:, 0] -= _GRACE
    graces[:, 1] = _GRACE
    graces[:, 2] -= 1
    graces[:, 3] = np.maximum(graces[:, 3] - 22, 35)
    both = np.concatenate([notes, graces])
    return both[np.argsort(both[:, 0], kind="stable")]
