"""Writer of one part of a string ensemble: a led voice by patterns, with passing tones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.cover.band import settings_of
from audiotransfer.cover.pattern_chords import ChordSettings, chord_notes
from audiotransfer.cover.pattern_parts import sorted_notes

if TYPE_CHECKING:
    from numpy.random import Generator

    from audiotransfer.cover.band import Role
    from audiotransfer.cover.plan import Notes, Plan

_OCTAVE = 12
_THIRDS = (3, 4)  # semitones that a passing tone fills
_LEAST = 1.0  # beats of a note that gives its end to a passing tone


@dataclass(frozen=True)
class StringSettings(ChordSettings):
    """Settings of a string part: ``passing`` is the share of thirds that are filled."""

    passing: float = 0.3


def write_strings(plan: Plan, role: Role, random: Generator) -> Notes:
    """One part of a string ensemble, by the patterns and symbols of `write_chords`.

    The parts of an ensemble have the same ``voices``, which are led together, and each ``play``
    its own. Some steps of a third from note to note are filled with the key's tone between them.
    """
    settings = settings_of(role, StringSettings)
    notes = chord_notes(plan, settings, role.timing, random)
    if not (len(notes) and settings.passing and plan.sheet.keys):
        return notes
    drawn = random.random(len(notes)) < settings.passing
    added: list[list[float]] = []
    for index in np.flatnonzero(drawn[:-1]):
        start, beats, pitch, velocity = notes[index]
        after = notes[index + 1]
        joined = abs(start + beats - after[0]) < 1e-6
        if beats < _LEAST or not joined or abs(after[2] - pitch) not in _THIRDS:
            continue
        length = beats / 2 if beats < 2 * _LEAST else beats / 4 if beats >= 4 * _LEAST else 0.5
        place = start + beats - length
        tone = _between(plan, place, int(pitch), int(after[2]))
        if tone is not None and not _collides(plan, place, length, tone):
            notes[index, 1] = beats - length
            added.append([place, length, float(tone), max(velocity - 4.0, 1.0)])
    return sorted_notes([*notes.tolist(), *added])


def _between(plan: Plan, beat: float, first: int, second: int) -> int | None:
    """The pitch of the key between two that are a third apart; ``None`` without one."""
    key = plan.sheet.key_at(beat)
    if key is None:
        return None
    low, high = sorted((first, second))
    tones = [pitch for pitch in range(low + 1, high) if pitch % _OCTAVE in key.scale]
    return tones[0] if len(tones) == 1 else None


def _collides(plan: Plan, beat: float, beats: float, pitch: int) -> bool:
    """Whether a pitch is a semitone, octaves aside, from a melody note that sounds with it, or
    above it.
    """
    melody = plan.melody_at(beat, beat + beats)[:, 2]
    return bool((np.isin((melody - pitch) % _OCTAVE, (1, 11)) | (melody < pitch)).any())
