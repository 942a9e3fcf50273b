"""Settings of the synthesised instruments: oscillators, filter, envelopes, level.

Nothing here loads numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SynthPreset:
    """A subtractive synthesizer: detuned oscillators, a low-pass filter, two envelopes.

    ``program`` is the General MIDI program from 0, ``mix_db`` as of `InstrumentDescription`. Times
    are in seconds; decay and release are times of 100 dB.
    """

    title: str
    program: int
    mix_db: float
    low_key: int
    high_key: int
    shape: Literal["sine", "triangle", "saw", "square", "pulse"]
    voices: int = 1
    """Oscillators of one note, spread over ``detune_cents`` to both sides."""
    detune_cents: float = 0.0
    sine: float = 0.0
    """Level of an added sine at the note's pitch."""
    attack: float = 0.005
    decay: float = 1.0
    sustain_db: float = 0.0
    """Attenuation while held."""
    release: float = 0.2
    cutoff_hz: float = 8000.0
    """Cutoff that the filter falls to, at velocity 127."""
    opened_octaves: float = 0.0
    """Octaves above that at which the filter begins."""
    filter_decay: float = 0.2
    """Time to 1 / e of the filter's opening."""
    resonance_db: float = 3.0
    velocity_octaves: float = 2.0
    """Octaves by which the cutoff is lower at velocity 1."""
    vibrato_cents: float = 0.0
    stereo: bool = False
    drums: bool = False

    @property
    def channels(self) -> int:
        """Channels of the sound."""
        return 2 if self.stereo else 1


PRESETS = {
    "synth_lead": SynthPreset(
        title="Lead synthesizer: three detuned saw waves",
        program=81,
        mix_db=11.9,
        low_key=36,
        high_key=96,
        shape="saw",
        voices=3,
        detune_cents=7.0,
        attack=0.008,
        decay=4.0,
        sustain_db=3.0,
        release=0.25,
        cutoff_hz=3500.0,
        opened_octaves=1.2,
        filter_decay=0.15,
        vibrato_cents=8.0,
    ),
    "synth_pad": SynthPreset(
        title="Pad: wide detuned saw waves with a slow attack",
        program=89,
        mix_db=-0.2,
        low_key=36,
        high_key=96,
        shape="saw",
        voices=6,
        detune_cents=11.0,
        attack=0.18,
        decay=1.0,
        release=1.6,
        cutoff_hz=2200.0,
        opened_octaves=0.6,
        filter_decay=0.8,
        resonance_db=0.0,
        stereo=True,
    ),
    "synth_bass": SynthPreset(
        title="Bass synthesizer: a saw wave and a sine, with a falling filter",
        program=38,
        mix_db=9.8,
        low_key=24,
        high_key=64,
        shape="saw",
        sine=1.0,
        attack=0.004,
        decay=3.0,
        sustain_db=6.0,
        release=0.12,
        cutoff_hz=700.0,
        opened_octaves=2.0,
        filter_decay=0.09,
        resonance_db=5.0,
    ),
    "synth_pluck": SynthPreset(
        title="Plucked synthesizer for arpeggios: two pulse waves with a falling filter",
        program=80,
        mix_db=17.1,
        low_key=36,
        high_key=103,
        shape="pulse",
        voices=2,
        detune_cents=5.0,
        attack=0.003,
        decay=2.0,
        sustain_db=96.0,
        release=0.5,
        cutoff_hz=1200.0,
        opened_octaves=2.5,
        filter_decay=0.12,
        resonance_db=4.0,
    ),
}
