"""Recordings of one singer alone as the lead of a piece: notes by pYIN, chords that fit them.

Pitch by pYIN: M. Mauch and S. Dixon, "pYIN: a fundamental frequency estimator using probabilistic
threshold distributions", ICASSP 2014, as in librosa.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr
from scipy import ndimage

from audiotransfer.audio.reading import read_audio
from audiotransfer.data.rendering.excerpts.accompaniment import (
    CHORD_TONES,
    accompaniment,
    bass_line,
)
from audiotransfer.data.rendering.excerpts.pieces import LEAD, Layer, Piece, Recording, Timeline
from audiotransfer.data.rendering.excerpts.sound import SAMPLE_RATE
from audiotransfer.data.rendering.excerpts.voice_envelopes import read_envelopes, repitched
from audiotransfer.leadsheet.spans import runs

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]
    Sound = NDArray[np.float32]

_HOP = 256
_SHORTEST = 0.09  # s
_MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
#: Degrees of a major key that chords are drawn from, with their qualities and how usual they are.
_DIATONIC = ((0, 0, 0.3), (2, 1, 0.0), (4, 1, -0.1), (5, 0, 0.2), (7, 0, 0.2), (9, 1, 0.2))


@dataclass(frozen=True)
class SoloSinging:
    """A recording ``[T]`` and its notes ``[N, 3]``: start, end (s), MIDI pitch in its tuning.

    ``pitch`` is the MIDI pitch at each 256 samples, NaN where there is none.
    """

    sound: Sound
    notes: Rows
    tuning_cents: float
    name: str = ""
    pitch: Rows = field(default_factory=lambda: np.zeros(0))


@lru_cache(maxsize=32)
def read_singing(path: str) -> SoloSinging:
    """Reads a recording of a singer alone. Raises AudioTransferError where it is unreadable."""
    import librosa

    samples, rate = read_audio(Path(path))
    mono = samples.mean(0).numpy()
    sound = soxr.resample(mono, rate, SAMPLE_RATE).astype(np.float32)
    hertz, _, _ = librosa.pyin(
        sound, sr=SAMPLE_RATE, fmin=65.0, fmax=1050.0, frame_length=2048, hop_length=_HOP
    )
    pitch = 69 + 12 * np.log2(hertz / 440.0)
    return replace(with_notes(sound, pitch), name=Path(path).stem)


def with_notes(sound: Sound, pitch: Rows) -> SoloSinging:
    """A recording with its pitch (MIDI, NaN where there is none), a value every 256 samples.

    The tuning is the circular mean of the distance of notes' pitches from the semitones.
    """
    found = notes_of(pitch, SAMPLE_RATE / _HOP)
    if not len(found):
        return SoloSinging(sound, found, 0.0, pitch=pitch)
    turns = np.exp(2j * np.pi * found[:, 2]) * (found[:, 1] - found[:, 0])
    cents = float(np.angle(turns.sum()) / (2 * np.pi) * 100)
    found[:, 2] -= cents / 100
    return SoloSinging(sound, found, cents, pitch=pitch)


def repitched_singing(path: str, random: Generator) -> SoloSinging:
    """A recording with its voice at another pitch, from a bass's to a woman's, and other formants.

    Its rhythm, glides and syllables stay. Raises AudioTransferError where it is unreadable.
    """
    singing = read_singing(path)
    middle = np.median(singing.notes[:, 2]) if len(singing.notes) else 55.0
    semitones = float(np.clip(round(random.uniform(43, 70) - middle), -12, 16))
    # A larger singer has a lower voice and a longer vocal tract, but not by as much.
    formants = float(2 ** (semitones / 60) * random.uniform(0.88, 1.14))
    sound = repitched(read_envelopes(path), singing.pitch, semitones, formants, random)
    notes = singing.notes + np.array([0.0, 0.0, semitones])
    return replace(singing, sound=sound, notes=notes, pitch=singing.pitch + semitones)


def notes_of(pitch: Rows, rate: float) -> Rows:
    """Notes ``[N, 3]`` of a pitch curve: a new one where the pitch has moved by most of a semitone.

    The curve is smoothed by a median over 0.1 s, which takes out vibrato's peaks; a note's pitch is
    its median. Notes of less than 0.09 s are left out.
    """
    voiced = np.isfinite(pitch)
    rows = []
    for first, last in runs(voiced):
        curve = ndimage.median_filter(pitch[first:last], max(1, round(0.1 * rate)), mode="nearest")
        begin = 0
        for place in range(1, len(curve) + 1):
            if place < len(curve):
                middle = np.median(curve[begin:place])
                ahead = curve[place : place + max(2, round(0.07 * rate))]
                if np.abs(ahead - middle).min() < 0.7:
                    continue
            if (place - begin) / rate >= _SHORTEST:
                spot = float(np.median(pitch[first + begin : first + place]))
                rows.append(((first + begin) / rate, (first + place) / rate, spot))
            begin = place
    return np.array(rows).reshape(-1, 3)


def accompanied(singing: SoloSinging, seconds: float, random: Generator) -> tuple[Piece, Timeline]:
    """A section of a recording, up to three semitones higher or lower, with a band that fits it.

    Chords, one a bar, are of the key whose scale the notes are in. The tempo is the band's own.
    Recordings that are too short go round. Returns what `arranging.draw_section` returns.
    """
    shift = float(random.integers(-3, 4))
    sound, notes = _section(singing, seconds, shift, random)
    tempo, beats_a_bar = float(random.uniform(70, 140)), int(random.choice([4, 4, 4, 3]))
    bars = int(np.ceil(seconds * tempo / 60 / beats_a_bar)) + 1
    edges = np.arange(bars + 1, dtype=np.float64) * beats_a_bar
    start = float(random.uniform(0, 60.0 / tempo))
    timeline = Timeline(np.arange(edges[-1] + 1) * 60.0 / tempo, start=start)
    bar = beats_a_bar * 60.0 / tempo
    chords = [(edge, *chord) for edge, chord in zip(
        edges, _fitting(notes, timeline.at(edges), bar), strict=True
    )]  # fmt: skip
    piece = Piece(
        "singing", singing.name, (), edges, tempo, chords=np.array(chords, dtype=np.float64),
        known=frozenset({"lead", "notes", "chords", "drums", "beats"}),
    )  # fmt: skip
    pattern = str(random.choice(["pad", "strum", "arpeggio", "sustained", "beats"]))
    table = np.column_stack([notes[:, 0], notes[:, 1] - notes[:, 0], notes[:, 2],
                             np.full(len(notes), 90.0)])  # fmt: skip
    lead = Layer(LEAD, table, recording=Recording(sound, singing.tuning_cents))
    layers = (
        lead,
        accompaniment(piece, pattern, random),
        bass_line(piece, str(random.choice(["held", "beats", "dotted", "fifths"])), random),
    )
    return replace(piece, layers=layers), timeline


def _section(
    singing: SoloSinging, seconds: float, shift: float, random: Generator
) -> tuple[Sound, Rows]:
    """Sound ``[T]`` and notes of a section, moved by semitones by playing it faster or slower."""
    ratio = 2 ** (shift / 12)
    sound = soxr.resample(singing.sound, SAMPLE_RATE * ratio, SAMPLE_RATE).astype(np.float32)
    notes = singing.notes.copy()
    notes[:, :2] /= ratio
    notes[:, 2] += shift
    length, total = len(sound) / SAMPLE_RATE, round(seconds * SAMPLE_RATE)
    start = float(random.uniform(0, max(length - seconds, length / 2)))
    times = int(np.ceil((start + seconds) / length))
    looped = np.concatenate(
        [notes + np.array([number * length, number * length, 0.0]) for number in range(times)]
    )
    looped[:, :2] -= start
    inside = (looped[:, 1] > 0.05) & (looped[:, 0] < seconds - 0.03)
    looped[:, :2] = np.clip(looped[:, :2], 0.0, seconds)
    first = round(start * SAMPLE_RATE)
    return np.tile(sound, times)[first : first + total], looped[inside]


def _fitting(notes: Rows, starts: Rows, length: float) -> list[tuple[float, float]]:
    """Root and quality for the bars that begin at times (s): that with most of the sung notes."""

    def weights(start: float, end: float) -> Rows:
        spans = np.minimum(notes[:, 1], end) - np.maximum(notes[:, 0], start)
        classes = np.round(notes[:, 2]).astype(int) % 12
        durations: Rows = np.bincount(classes, np.maximum(0.0, spans), 12).astype(np.float64)
        return durations

    total = weights(-np.inf, np.inf)
    tonic = max(range(12), key=lambda key: sum(total[(key + s) % 12] for s in _MAJOR_SCALE))
    chosen = []
    for start in starts:
        here = weights(start, start + length)
        here /= here.sum() + 1e-9
        degree, quality, _ = max(
            _DIATONIC,
            key=lambda chord: (
                sum(here[(tonic + chord[0] + tone) % 12] for tone in CHORD_TONES[chord[1]])
                + 0.5 * chord[2]
            ),
        )
        chosen.append((float((tonic + degree) % 12), float(quality)))
    return chosen
