"""Writes a second voice: below the lead in the last chorus, answers in its rests before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.cover.band import settings_of
from audiotransfer.cover.harmony import chord_tones, clashes, key_at
from audiotransfer.cover.lead import phrase_numbers

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audiotransfer.cover.band import Role
    from audiotransfer.cover.plan import Notes, Plan
    from audiotransfer.leadsheet import Chord

_GAP = 2.5  # beats of rest that get an answer
_BELOW = (4, 3, 9, 8, 5, 7)  # semitones below the lead, best first: thirds, sixths, then others
_FOLLOWED = 0.3  # how far the melody's own dynamics are followed


@dataclass(frozen=True)
class SecondVoiceSettings:
    """Settings of a second voice: its range in MIDI pitches, and its mean ``velocity``.

    ``phrases`` and ``answers`` are the shares of phrases and rests of the lead that it joins in.
    """

    lowest: int = 50
    highest: int = 76
    phrases: float = 0.6
    answers: float = 0.5
    velocity: float = 72.0


def write_second_voice(plan: Plan, role: Role, generator: Generator) -> Notes:
    """Writes a second voice in beats, straight; silent in the first of several choruses.

    In the last chorus it goes with some of the lead's phrases, a third or sixth below, with chord
    tones on beats; between the first and the last it answers in the lead's longer rests. It never
    crosses the lead, and rests where the lead is no melody but a riff.
    Settings of the role: `SecondVoiceSettings`.
    """
    settings = settings_of(role, SecondVoiceSettings)
    lowest, highest = settings.lowest, settings.highest
    if not len(plan.melody) or not len(plan.chorus):
        return np.zeros((0, 4))
    melody = plan.melody[np.argsort(plan.melody[:, 0], kind="stable")]
    last = _last_pass(plan)
    voice: list[tuple[float, float, float, float]] = []
    numbers = phrase_numbers(melody)
    phrases = np.split(melody, np.flatnonzero(np.diff(numbers)) + 1)
    closing = [index for index, phrase in enumerate(phrases) if phrase[0, 0] >= last]
    count = int(np.ceil(settings.phrases * len(closing)))
    doubled = set(generator.permutation(closing)[:count].tolist())
    for index, phrase in enumerate(phrases):
        if int(plan.sheet.bar_at(phrase[0, 0] + 0.01)) in plan.riffs:
            continue
        if index in doubled:
            voice += _below(plan, phrase, lowest, highest)
        elif index + 1 < len(phrases) and _chorus(plan, phrase[0, 0]) > 0:
            gap = (phrase[-1, 0] + phrase[-1, 1], phrases[index + 1][0, 0])
            if gap[1] - gap[0] >= _GAP and generator.random() < settings.answers:
                voice += _answer(plan, gap, phrase, (lowest, highest), generator)
    notes = np.array(voice, np.float64).reshape(-1, 4)
    usual = np.median(melody[:, 3])
    own = np.clip(_FOLLOWED * (notes[:, 3] - usual), -10, 10)
    notes[:, 3] = np.clip(np.round(settings.velocity + own), 25, 110)
    return notes


def _last_pass(plan: Plan) -> float:
    """Where the last chorus begins; in a song of one chorus its last third."""
    passes = np.asarray(plan.chorus)
    if passes.max() > passes.min():
        first = int(np.argmax(passes == passes.max()))
    else:
        first = 2 * len(passes) // 3
    return float(plan.sheet.bars[first].beat)


def _chorus(plan: Plan, beat: float) -> int:
    return int(plan.chorus[plan.sheet.bar_at(beat + 0.01)])


def _below(
    plan: Plan, phrase: NDArray[np.float64], lowest: int, highest: int
) -> list[tuple[float, float, float, float]]:
    """The phrase a third or sixth lower; on beats and long notes with chord tones only."""
    notes = []
    steps = _BELOW
    for start, length, pitch, velocity in phrase:
        chord = plan.chord_at(start)
        scale = key_at(plan.sheet, start).scale
        tones = chord_tones(chord)
        weighty = abs(start - round(start)) < 0.1 or length > 0.6
        allowed = tones if weighty or not tones else tones | scale
        fitting = [int(pitch) - step for step in steps if (int(pitch) - step) % 12 in allowed]
        fitting = [note for note in fitting if lowest <= note <= highest]
        if not fitting:
            continue
        notes.append((start, length, float(fitting[0]), velocity))
        step = int(pitch) - fitting[0]  # goes on in thirds after a third, in sixths after a sixth
        steps = _BELOW if step < 6 else (9, 8, 4, 3, 7, 5)
    return notes


def _answer(
    plan: Plan,
    gap: tuple[float, float],
    phrase: NDArray[np.float64],
    register: tuple[int, int],
    generator: Generator,
) -> list[tuple[float, float, float, float]]:
    """Two or three chord tones in a rest of the lead, each the nearest to the one before."""
    first = float(np.ceil(gap[0] + 0.5 - 1e-6))
    places = np.arange(first, gap[1] - 0.9, 1.0)[: int(generator.integers(2, 4))]
    pitch, velocity = float(phrase[-1, 2]) - 4, float(np.median(phrase[:, 3]))
    answer = []
    for number, place in enumerate(places):
        chord = plan.chord_at(place)
        end = places[number + 1] if number + 1 < len(places) else gap[1] - 0.25
        notes = _tones_in(chord, *register)
        notes = notes[notes < phrase[-1, 2]]
        if not len(notes) or clashes(chord, plan.melody_at(place, end)):
            continue
        distance = np.abs(notes - pitch) + 6.0 * (notes == pitch)
        pitch = float(notes[int(np.argmin(distance))])
        answer.append((float(place), min(float(end - place), 2.0), pitch, velocity))
    return answer


def _tones_in(chord: Chord, lowest: int, highest: int) -> NDArray[np.int64]:
    tones = chord_tones(chord)
    return np.array([note for note in range(lowest, highest + 1) if note % 12 in tones], np.int64)
