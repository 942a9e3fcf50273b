"""Subtractive synthesis: detuned oscillators through a low-pass filter, shaped by envelopes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.synthesis import kernel
from audiotransfer.synthesis.filters import low_pass
from audiotransfer.synthesis.oscillators import oscillate
from audiotransfer.synthesis.sample_voice import Vibrato
from audiotransfer.synthesis.synth_presets import SynthPreset
from audiotransfer.synthesis.voice import Envelope
from audiotransfer.synthesis.waveforms import PADDING

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEVEL = 0.1  # RMS at velocity 127, that of a sample
_SHORTEST_SECONDS = 0.03
_VIBRATO_HERTZ, _VIBRATO_DELAY = 5.0, 0.3
_LOWEST_CUTOFF = 1.5  # times the fundamental
_GOLDEN = 0.618034  # phases of oscillators that are spread evenly however many there are


@dataclass(frozen=True)
class SynthVoice:
    """A note from sample ``onset`` of the output on, held for ``held`` samples."""

    preset: SynthPreset
    pitch: float
    velocity: float
    onset: int
    held: int
    turn: int
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
        filters = low_pass(self._cutoffs(times), preset.resonance_db, rate)
        shape = Envelope(0.0, preset.attack, 0.0, preset.decay, preset.sustain_db, preset.release)
        envelope = shape.volume(self.held, rate)
        level = _LEVEL * (self.velocity / 127.0) ** 2
        for channel in range(len(into)):
            kernel.add(
                into[channel : channel + 1, :length],
                self._source(channel, len(into), math.ceil(length * 1.01)),
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

    def _source(self, channel: int, channels: int, length: int) -> NDArray[np.float32]:
        """The oscillators of a channel, of RMS 1 in total, after the kernel's padding."""
        preset = self.preset
        every = range(preset.voices)
        spread = np.linspace(-1.0, 1.0, preset.voices) if preset.voices > 1 else np.zeros(1)
        # Of a stereo sound each channel has every second oscillator.
        chosen = [n for n in every if channels == 1 or n % channels == channel]
        source = np.zeros(PADDING + length + 3, dtype=np.float32)
        sound = source[PADDING:]
        for n in chosen:
            hertz = _hertz(self.pitch + spread[n] * preset.detune_cents / 100.0)
            phase = (n + 1 + 7 * self.turn) * _GOLDEN % 1.0 if preset.voices > 1 else 0.0
            sound += oscillate(preset.shape, hertz, phase, len(sound), self.sample_rate)
        if preset.sine:
            wave = oscillate("sine", _hertz(self.pitch), 0.0, len(sound), self.sample_rate)
            sound += np.float32(preset.sine) * wave
        sound /= np.float32(math.sqrt(len(chosen) + preset.sine**2))
        return source


class SynthInstrument:
    """A synthesised instrument at ``sample_rate`` Hz; pitches outside its range are folded."""

    def __init__(self, name: str, preset: SynthPreset, sample_rate: int) -> None:
        self.name, self.description, self.sample_rate = name, preset, sample_rate
        self.channels = preset.channels

    def voices(self, notes: NDArray[np.float64]) -> list[SynthVoice]:
        """Voices of notes ``[N, 4]`` (start s, duration s, pitch, velocity), by their onset."""
        return [
            SynthVoice(
                self.description,
                self._folded(float(pitch)),
                min(max(float(velocity), 1.0), 127.0),
                max(0, round(float(start) * self.sample_rate)),
                round(max(float(duration), _SHORTEST_SECONDS) * self.sample_rate),
                turn,
                self.sample_rate,
            )
            for turn, (start, duration, pitch, velocity) in enumerate(
                notes[np.argsort(notes[:, 0], kind="stable")]
            )
        ]

    def _folded(self, pitch: float) -> float:
        while pitch < self.description.low_key:
            pitch += 12.0
        while pitch > self.description.high_key:
            pitch -= 12.0
        return pitch


def _hertz(pitch: float) -> float:
    return float(440.0 * 2.0 ** ((pitch - 69.0) / 12.0))
