"""Subtractive synthesis: detuned oscillators through a low-pass filter, shaped by envelopes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.synthesis import kernel
from audiotransfer.synthesis.filters import low_pass
from audiotransfer.synthesis.oscillators import oscillate
from audiotransfer.synthesis.sample_voice import Vibrato
from audiotransfer.synthesis.synth_presets import SynthPreset
from audiotransfer.synthesis.voice import Envelope
from audiotransfer.synthesis.waveforms import Waveform

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEVEL = 0.1  # RMS at velocity 127, that of a sample
_SHORTEST_SECONDS = 0.03
_VIBRATO_HERTZ, _VIBRATO_DELAY = 5.0, 0.3
_LOWEST_CUTOFF = 1.5  # times the fundamental
_LOOP_SECONDS, _SHORT_LOOP_SECONDS = 4.0, 0.25
_GOLDEN = 0.618034  # phases of oscillators that are spread evenly however many there are


class Tone:
    """The oscillators of a pitch in a loop, of RMS 1, before filter and envelope.

    ``hertz`` is the frequency that the loop has at speed 1; it holds whole periods of every
    oscillator, so a detuned one deviates by up to half of 1 / `_LOOP_SECONDS` Hz.
    """

    def __init__(self, preset: SynthPreset, pitch: float, sample_rate: int) -> None:
        self._preset, self._pitch = preset, pitch
        seconds = _LOOP_SECONDS if preset.voices > 1 else _SHORT_LOOP_SECONDS
        self._length = round(seconds * sample_rate)
        self._rate = sample_rate
        self.hertz = self._cycles(0.0) * sample_rate / self._length
        self.waveform = Waveform(self._load, self._length, (0, self._length))

    def _cycles(self, cents: float) -> int:
        """Periods within the loop at a detuning."""
        hertz = _hertz(self._pitch + cents / 100.0)
        return max(1, round(hertz * self._length / self._rate))

    def _load(self) -> NDArray[np.float32]:
        preset = self._preset
        spread = np.linspace(-1.0, 1.0, preset.voices) if preset.voices > 1 else np.zeros(1)
        sound = np.zeros((preset.channels, self._length), dtype=np.float32)
        for n, place in enumerate(spread):
            hertz = self._cycles(place * preset.detune_cents) * self._rate / self._length
            phase = (n + 1) * _GOLDEN % 1.0 if preset.voices > 1 else 0.0
            # Of a stereo sound each channel has every second oscillator.
            sound[n % preset.channels] += oscillate(
                preset.shape, hertz, phase, self._length, self._rate
            )
        if preset.sine:
            sound += np.float32(preset.sine) * oscillate(
                "sine", self.hertz, 0.0, self._length, self._rate
            )
        power = preset.voices / preset.channels + preset.sine**2
        sound /= np.float32(math.sqrt(power))
        return sound


@dataclass(frozen=True)
class SynthVoice:
    """A note from sample ``onset`` of the output on, held for ``held`` samples."""

    preset: SynthPreset
    pitch: float
    velocity: float
    onset: int
    held: int
    tone: Tone
    sample_rate: int

    @property
    def length(self) -> int:
        """Samples that the voice can add at most."""
        if self.preset.sustain_db >= 90.0:
            decayed = round((self.preset.attack + self.preset.decay) * self.sample_rate)
            return min(decayed, self._released)
        return self._released

    @property
    def _released(self) -> int:
        return self.held + math.ceil(self.preset.release * self.sample_rate)

    def add(self, into: NDArray[np.float32]) -> None:
        """Adds the note to ``into`` ``[C, T]``, whose first sample is that of its onset."""
        preset, rate = self.preset, self.sample_rate
        length = min(self.length, into.shape[1])
        steps = length // kernel.STEP + 2
        times = np.arange(steps) * (kernel.STEP / rate)
        speeds = np.ones(steps)
        if preset.vibrato_cents:
            vibrato = Vibrato(_VIBRATO_HERTZ, preset.vibrato_cents, _VIBRATO_DELAY)
            speeds *= vibrato.ratios(times)
        # The loop holds whole periods; its speed makes up for what that puts it out of tune.
        speeds *= _hertz(self.pitch) / self.tone.hertz
        filters = low_pass(self._cutoffs(times), preset.resonance_db, rate)
        shape = Envelope(0.0, preset.attack, 0.0, preset.decay, preset.sustain_db, preset.release)
        envelope = shape.volume(self.held, rate)
        level = _LEVEL * (self.velocity / 127.0) ** 2
        source = self.tone.waveform.sound(math.ceil(length * float(speeds.max())))
        for channel in range(len(into)):
            kernel.add(
                into[channel : channel + 1, :length],
                source[channel],
                speeds,
                np.ones(steps),
                filters,
                envelope,
                level,
                level,
            )

    def _cutoffs(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Cutoff in Hz at ``times`` (s)."""
        preset = self.preset
        softer = preset.velocity_octaves * (1.0 - self.velocity / 127.0)
        opened = preset.opened_octaves * np.exp(-times / preset.filter_decay)
        least = _LOWEST_CUTOFF * _hertz(self.pitch)
        cutoffs: NDArray[np.float64] = np.maximum(
            preset.cutoff_hz * 2.0 ** (opened - softer), least
        )
        return cutoffs


class SynthInstrument:
    """A synthesised instrument at ``sample_rate`` Hz; pitches outside its range are folded.

    ``tuning`` is the deviation from A = 440 Hz in cents.
    """

    def __init__(
        self, name: str, preset: SynthPreset, sample_rate: int, tuning: float = 0.0
    ) -> None:
        self.name, self.description, self.sample_rate = name, preset, sample_rate
        self._tuning = tuning / 100.0
        self.channels = preset.channels
        self._tone = lru_cache(maxsize=128)(self._new_tone)

    def voices(self, notes: NDArray[np.float64]) -> list[SynthVoice]:
        """Voices of notes ``[N, 4]`` (start s, duration s, pitch, velocity), by their onset."""
        voices = []
        for start, duration, pitch, velocity in notes[np.argsort(notes[:, 0], kind="stable")]:
            folded = self._folded(float(pitch)) + self._tuning
            voices.append(
                SynthVoice(
                    preset=self.description,
                    pitch=folded,
                    velocity=min(max(float(velocity), 1.0), 127.0),
                    onset=max(0, round(float(start) * self.sample_rate)),
                    held=round(max(float(duration), _SHORTEST_SECONDS) * self.sample_rate),
                    tone=self._tone(folded),
                    sample_rate=self.sample_rate,
                )
            )
        return voices

    def _new_tone(self, pitch: float) -> Tone:
        return Tone(self.description, pitch, self.sample_rate)

    def _folded(self, pitch: float) -> float:
        while pitch < self.description.low_key:
            pitch += 12.0
        while pitch > self.description.high_key:
            pitch -= 12.0
        return pitch


def _hertz(pitch: float) -> float:
    return float(440.0 * 2.0 ** ((pitch - 69.0) / 12.0))
