"""A song's melody sung by synthetic voices: a lead, doubled takes, harmonies or a choir."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage, signal

from audiotransfer.data.rendering.excerpts.singing import VoiceType, sing, voice_for
from audiotransfer.data.rendering.production import drive, room, tone

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audiotransfer.synthesis.synthesizer import Part

    Rows = NDArray[np.float64]
    Sound = NDArray[np.float32]

_SHORTEST = 0.07  # s
_REST = 0.35  # s between phrases
_LONGEST_PHRASE = 12  # notes
#: Probabilities of who sings.
_GROUPS = {"lead": 0.5, "doubled": 0.2, "harmony": 0.18, "choir": 0.12}


def melody_of(parts: list[Part]) -> int | None:
    """Index of the part that can be sung: the one whose notes rarely sound together, or None.

    Of several the one with the most notes between C3 and C6, a quarter more for a higher mean.
    """
    best, score = None, 0.0
    for index, part in enumerate(parts):
        if part.drums or part.stem != "other" or len(part.notes) < 12:
            continue
        together = 1 - len(np.unique(part.notes[:, 0].round(2))) / len(part.notes)
        inside = ((part.notes[:, 2] >= 48) & (part.notes[:, 2] <= 84)).sum()
        merit = float(inside) * (1 + 0.25 * (part.notes[:, 2].mean() - 60) / 12)
        if together < 0.1 and merit > score:
            best, score = index, merit
    return best


def line_of(part: Part, seconds: float, random: Generator) -> Rows:
    """Notes ``[N, 3]`` (start s, end s, pitch) of a part, one at a time, some phrases left out."""
    notes = part.notes[np.lexsort((-part.notes[:, 2], part.notes[:, 0]))]
    notes = notes[np.append(True, np.diff(notes[:, 0]) > 0.02)]  # the highest of a chord
    ends = np.minimum(notes[:, 0] + notes[:, 1], np.append(notes[1:, 0], seconds))
    line = np.column_stack([notes[:, 0], ends, notes[:, 2]])
    line = line[line[:, 1] - line[:, 0] >= _SHORTEST]
    silent = random.uniform(0.0, 0.5) if random.random() < 0.7 else 0.0
    kept, phrase = [], []
    for number, note in enumerate(line):
        phrase.append(note)
        last = number + 1 == len(line)
        if last or line[number + 1, 0] - note[1] > _REST or len(phrase) == _LONGEST_PHRASE:
            if random.random() >= silent:
                kept += phrase
            phrase = []
    return np.array(kept, dtype=np.float64).reshape(-1, 3)


def sung(part: Part, seconds: float, sample_rate: int, random: Generator) -> Sound | None:
    """The melody of a part, sung and produced: ``[2, T]``, or None where nothing is left of it."""
    line = line_of(part, seconds, random)
    if len(line) < 4:
        return None
    groups, shares = list(_GROUPS), np.array(list(_GROUPS.values()))
    group = groups[int(random.choice(len(groups), p=shares))]
    voice, octaves = voice_for(line, random)
    line[:, 2] += octaves
    voice = _variant(voice, random)
    total = np.zeros((2, round(seconds * sample_rate)), dtype=np.float32)
    width = random.uniform(0.2, 0.9)
    for shift, gain, own, place in _takes(group, line, voice, random):
        notes = line.copy()
        notes[:, 2] += shift + random.normal(0, 0.04)
        if own is not voice or place:  # singers are not together to the millisecond
            notes[:, :2] = np.clip(notes[:, :2] + random.normal(0, 0.015, (len(notes), 1)), 0, None)
            notes = notes[np.argsort(notes[:, 0], kind="stable")]
            notes[:, 1] = np.maximum(notes[:, 1], notes[:, 0] + 0.05)
        pan = width * place
        sound = gain * sing(notes, seconds, sample_rate, own, random)
        total += sound * np.array([[1 - max(0.0, pan)], [1 + min(0.0, pan)]], dtype=np.float32)
    return _produced(total, sample_rate, random)


def _variant(voice: VoiceType, random: Generator) -> VoiceType:
    """A singer of a voice type: another length of the vocal tract, brightness and habits."""
    return replace(
        voice,
        formants=voice.formants * random.uniform(0.94, 1.07),
        tilt=float(np.clip(voice.tilt + random.uniform(-0.35, 0.12), 0.05, 0.95)),
        breath=voice.breath * random.uniform(0.5, 2.5),
        vibrato=voice.vibrato * random.uniform(0.2, 1.6),
    )


def _takes(
    group: str, line: Rows, voice: VoiceType, random: Generator
) -> list[tuple[float, float, VoiceType, float]]:
    """Interval (semitones), gain, voice and place (-1 left, 1 right) of every singer."""
    lead = (0.0, 1.0, voice, 0.0)
    if group == "doubled":
        return [lead, (0.0, random.uniform(0.4, 1.0), voice, random.choice([-1.0, 1.0])),
                (0.0, random.uniform(0.4, 1.0), voice, random.choice([-1.0, 1.0]))]  # fmt: skip
    if group == "harmony":
        intervals = random.choice([-12, -5, -4, -3, 3, 4, 5, 7, 12], random.integers(1, 3), False)
        return [lead] + [
            (float(i), random.uniform(0.25, 0.8), _variant(voice, random), random.choice([-1.0, 1]))
            for i in intervals
        ]
    if group == "choir":
        return [
            (12.0 * float(random.choice([0, 0, -1])), 1.0, _variant(voice, random),
             float(random.uniform(-1, 1)))
            for _ in range(int(random.integers(3, 6)))
        ]  # fmt: skip
    return [lead]


def _produced(sound: Sound, sample_rate: int, random: Generator) -> Sound:
    """A voice after an equaliser, compression, saturation, an echo and a room, each at random."""
    sound = tone(sound, sample_rate, random, 5.0)
    # Voices lie above their spectrum's fall: presence and air are raised.
    points = [0.0, 2500.0, 6000.0, min(12000.0, 0.4 * sample_rate), sample_rate / 2]
    lift = 10 ** (np.array([0.0, 0.0, *random.uniform(0, 10, 3)]) / 20)
    taps = signal.firwin2(255, points, lift, fs=sample_rate)
    sound = signal.fftconvolve(sound, taps[None], mode="same", axes=1).astype(np.float32)
    if random.random() < 0.6:
        power = ndimage.uniform_filter1d((sound**2).mean(0), round(0.03 * sample_rate)) + 1e-9
        over = 10 * np.log10(power / np.quantile(power, 0.9)) + random.uniform(0, 20)
        gain = 10 ** (-np.maximum(0.0, over) * random.uniform(0.3, 0.8) / 20)
        sound = sound * gain.astype(np.float32)
    if random.random() < 0.2:
        sound = drive(sound, random.uniform(0.3, 1.3))
    if random.random() < 0.3:
        delay = round(random.uniform(0.08, 0.45) * sample_rate)
        dry, level = sound, random.uniform(0.1, 0.45)
        for number in range(1, 4):
            if number * delay < sound.shape[1]:
                sound = sound.copy()
                sound[:, number * delay :] += level**number * dry[:, : -number * delay]
    if random.random() < 0.75:
        decay, wet = random.uniform(0.2, 2.5), random.uniform(-22, -5)
        sound = room(sound, sample_rate, random, decay, wet)
    return sound.astype(np.float32)
