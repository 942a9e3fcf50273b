"""The sound of an excerpt: instruments of each part, levels, and what a recording does to a mix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr
from scipy import signal

from audiotransfer.data.rendering.excerpts.pieces import BASS, COUNTER, HARMONY, LEAD
from audiotransfer.data.rendering.production import compressor_gain, drive, room, tone
from audiotransfer.synthesis.ensemble import Ensemble, EnsemblePart
from audiotransfer.synthesis.synthesizer import Sampler

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]
    Sound = NDArray[np.float32]

SAMPLE_RATE = 22050

#: General MIDI programs from 0, of each role.
LEAD_PROGRAMS = (
    0, 1, 2, 4, 5, 7, 9, 10, 11, 12, 13, 16, 17, 18, 19, 21, 22, 24, 25, 26, 27, 28, 29, 30, 40, 41,
    42, 48, 49, 50, 52, 53, 54, 56, 57, 58, 59, 60, 61, 62, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73,
    74, 75, 76, 78, 79, 80, 81, 82, 84, 85, 87, 104, 110,
)  # fmt: skip
COUNTER_PROGRAMS = (
    0, 4, 9, 11, 12, 25, 26, 27, 40, 42, 46, 48, 50, 52, 54, 60, 61, 65, 68, 71, 73, 80, 81, 88, 90,
)  # fmt: skip
CHORD_PROGRAMS = (
    0, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 21, 24, 25, 25, 26, 27, 28, 29, 30, 46, 48, 49, 50,
    51, 52, 61, 62, 63, 80, 81, 88, 89, 90, 91, 94, 95,
)  # fmt: skip
PAD_PROGRAMS = (16, 17, 18, 19, 20, 21, 48, 49, 50, 51, 52, 54, 61, 62, 63, 81, 88, 89, 90, 91, 92,
                93, 94, 95)  # fmt: skip
STRUMMED_PROGRAMS = (24, 25, 25, 26, 27, 27, 28, 29, 30, 104, 105, 106)
PLUCKED_PROGRAMS = (0, 1, 4, 5, 6, 7, 10, 11, 12, 24, 25, 26, 27, 45, 46, 80, 81, 87, 98)
BASS_PROGRAMS = (32, 33, 33, 34, 34, 35, 36, 37, 38, 38, 39, 39)
KITS = (0, 0, 8, 16, 24, 25, 32, 40)
#: Instruments of the package that can take a part of each role.
OWN = {
    LEAD: ("clarinet", "sax_alto", "sax_tenor", "trumpet", "vibraphone", "violin_solo",
           "guitar_electric_clean", "guitar_jazz", "cello_solo", "synth_lead", "synth_pluck",
           "piano_grand"),
    COUNTER: ("violin_solo", "viola_section", "clarinet", "vibraphone", "synth_pluck", "trumpet"),
    HARMONY: ("piano_grand", "guitar_electric_clean", "guitar_jazz", "synth_pad", "synth_pluck",
              "vibraphone", "viola_section"),
    BASS: ("bass_electric", "bass_upright_pizz", "synth_bass"),
    "drums": ("kit_jazz_brushes", "kit_jazz_sticks", "kit_rock", "kit_electronic"),
}  # fmt: skip


@dataclass(frozen=True)
class Timbre:
    """What plays a part: a program of a soundfont, or an instrument of the package."""

    program: int = 0
    soundfont: Path | None = None
    instrument: str = ""

    @property
    def name(self) -> str:
        """The instrument, or the program and the soundfont."""
        return self.instrument or f"{self.program} {self.soundfont.stem if self.soundfont else ''}"


class Instruments:
    """Plays parts, in mono at 22 050 Hz; samples that were played are kept."""

    def __init__(self) -> None:
        self._sampler = Sampler(SAMPLE_RATE)
        self._ensemble = Ensemble(SAMPLE_RATE)

    def play(self, notes: Rows, timbre: Timbre, seconds: float, drums: bool = False) -> Sound:
        """The sound ``[T]`` of notes ``[N, 4]`` (s, s, MIDI pitch, velocity 1..127)."""
        notes = notes.copy()
        notes[:, 3] = np.clip(np.round(notes[:, 3]), 1, 127)
        notes = notes[np.argsort(notes[:, 0], kind="stable")]
        if timbre.instrument:
            part = EnsemblePart("part", timbre.instrument, notes)
            stereo = self._ensemble.render([part], seconds, room=None)
        else:
            if timbre.soundfont is None:
                raise ValueError("a timbre needs a soundfont or an instrument")
            stereo = np.zeros((2, round(seconds * SAMPLE_RATE)), dtype=np.float32)
            self._sampler.play(stereo, notes, timbre.soundfont, timbre.program, drums)
        mono: Sound = stereo.mean(axis=0)
        return mono


@lru_cache(maxsize=1)
def instruments() -> Instruments:
    """The instruments of this process."""
    return Instruments()


def active_level(sound: Sound) -> float:
    """RMS of the 46 ms frames within 30 dB of the loudest tenth; 0 for silence."""
    count = len(sound) // 1024
    power = np.mean(sound[: count * 1024].reshape(count, 1024) ** 2, axis=1)
    loud = np.quantile(power, 0.95)
    if loud < 1e-12:
        return 0.0
    return float(np.sqrt(power[power > loud * 1e-3].mean()))


def retuned(sound: Sound, cents: float, length: int) -> Sound:
    """A sound played faster by so many cents, cut or padded to ``length`` samples."""
    ratio = 2.0 ** (cents / 1200.0)
    moved = soxr.resample(sound, SAMPLE_RATE * ratio, SAMPLE_RATE)[:length]
    result: Sound = np.pad(moved, (0, length - len(moved))).astype(np.float32)
    return result


def echo(sound: Sound, seconds: float, feedback: float) -> Sound:
    """Repeats of a sound, each ``feedback`` as loud as the one before."""
    result = sound.copy()
    delay = round(seconds * SAMPLE_RATE)
    for number in range(1, 5):
        if number * delay < len(sound):
            result[number * delay :] += np.float32(feedback**number) * sound[: -number * delay]
    return result


def doubled(sound: Sound, random: Generator) -> Sound:
    """A sound with a second, later one of a wandering pitch, as if it were sung twice."""
    time = np.arange(len(sound))
    late = random.uniform(0.012, 0.035) * SAMPLE_RATE
    depth, hertz = random.uniform(0.0005, 0.003) * SAMPLE_RATE, random.uniform(0.15, 1.2)
    wander = depth * np.sin(2 * np.pi * hertz * time / SAMPLE_RATE + random.uniform(0, 2 * np.pi))
    second = np.interp(time - late - wander, time, sound, left=0.0)
    both: Sound = (sound + random.uniform(0.4, 1.0) * second).astype(np.float32)
    return both


def treated_voice(sound: Sound, random: Generator) -> Sound:
    """A voice as productions have it: compressed, doubled, driven, filtered, delayed, in a room."""
    if random.random() < 0.7:
        sound = compressed(sound, float(random.uniform(2, 6)), float(random.uniform(-12, 0)))
    if random.random() < 0.45:
        sound = doubled(sound, random)
    if random.random() < 0.25:
        sound = drive(sound, float(random.uniform(0.4, 2.0)))
    if random.random() < 0.5:
        sound = tone(sound[None], SAMPLE_RATE, random, float(random.uniform(3, 9)))[0]
    if random.random() < 0.5:
        low = random.uniform(70, 250)
        cut = signal.butter(2, low, "high", fs=SAMPLE_RATE, output="sos")
        sound = signal.sosfilt(cut, sound).astype(np.float32)
    if random.random() < 0.45:
        sound = echo(sound, float(random.uniform(0.12, 0.6)), float(random.uniform(0.15, 0.55)))
    if random.random() < 0.5:
        wet = float(random.uniform(-16, 0))
        sound = room(sound[None], SAMPLE_RATE, random, float(random.uniform(0.4, 3.5)), wet)[0]
    return sound


def compressed(sound: Sound, ratio: float, threshold_db: float) -> Sound:
    """Lower levels above a threshold, in dB relative to the RMS, by a ratio."""
    gain = compressor_gain(sound**2, SAMPLE_RATE, ratio, threshold_db)
    squeezed: Sound = (sound * gain).astype(np.float32)
    return squeezed


def recorded(mix: Sound, random: Generator) -> Sound:
    """A mix after a random equaliser, room, compression, saturation, bandwidth, noise and level."""
    if random.random() < 0.7:
        mix = tone(mix[None], SAMPLE_RATE, random, float(random.uniform(2, 7)))[0]
    if random.random() < 0.55:
        decay, wet = float(random.uniform(0.15, 1.6)), float(random.uniform(-24, -7))
        mix = room(mix[None], SAMPLE_RATE, random, decay, wet)[0]
    if random.random() < 0.4:
        mix = compressed(mix, float(random.uniform(1.5, 5)), float(random.uniform(-8, 3)))
    if random.random() < 0.25:
        mix = drive(mix, float(random.uniform(0.3, 1.2)))
    if random.random() < 0.25:
        low_pass = signal.butter(8, random.uniform(3500, 10000), fs=SAMPLE_RATE, output="sos")
        mix = signal.sosfilt(low_pass, mix).astype(np.float32)
    if random.random() < 0.12:
        high_pass = signal.butter(2, random.uniform(60, 200), "high", fs=SAMPLE_RATE, output="sos")
        mix = signal.sosfilt(high_pass, mix).astype(np.float32)
    if random.random() < 0.3:
        noise = random.standard_normal(len(mix))
        if random.random() < 0.5:
            noise = signal.lfilter([0.05], [1, -0.95], noise) * 3
        rms = float(np.sqrt(np.mean(mix**2)))
        mix = mix + (rms * 10 ** (random.uniform(-65, -28) / 20) * noise).astype(np.float32)
    peak = float(np.abs(mix).max()) + 1e-9
    result: Sound = mix * np.float32(10 ** (random.uniform(-20, -0.2) / 20) / peak)
    return result
