"""Generators and modulators of the SoundFont specification (2.04, 8.1 and 8.2).

Times are in timecents (1200 per factor of 2, 0 is a second), cutoffs and frequencies in cents above
8.176 Hz, attenuations in centibels, offsets in samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

START, END, LOOP_START, LOOP_END, START_COARSE = 0, 1, 2, 3, 4
MOD_LFO_TO_PITCH, VIBRATO_TO_PITCH, MOD_ENVELOPE_TO_PITCH = 5, 6, 7
CUTOFF, RESONANCE = 8, 9
MOD_LFO_TO_CUTOFF, MOD_ENVELOPE_TO_CUTOFF = 10, 11
END_COARSE = 12
MOD_LFO_TO_VOLUME = 13
PAN = 17
MOD_LFO_DELAY, MOD_LFO_FREQUENCY, VIBRATO_DELAY, VIBRATO_FREQUENCY = 21, 22, 23, 24
#: First of eight: delay, attack, hold, decay, sustain, release, key to hold, key to decay.
MOD_ENVELOPE, VOLUME_ENVELOPE = 25, 33
INSTRUMENT, KEY_RANGE, VELOCITY_RANGE = 41, 43, 44
LOOP_START_COARSE = 45
FIXED_KEY, FIXED_VELOCITY = 46, 47
ATTENUATION = 48
LOOP_END_COARSE = 50
COARSE_TUNE, FINE_TUNE = 51, 52
SAMPLE, SAMPLE_MODES, SCALE_TUNING, EXCLUSIVE_CLASS, ROOT_KEY = 53, 54, 56, 57, 58

#: Timecents at or below which a delay or hold is left out.
NO_TIME = -12000
#: Amounts of generators that a zone does not set.
DEFAULTS = {
    **dict.fromkeys(range(18), 0),
    CUTOFF: 13500,
    **dict.fromkeys((MOD_LFO_DELAY, VIBRATO_DELAY), NO_TIME),
    **dict.fromkeys((MOD_LFO_FREQUENCY, VIBRATO_FREQUENCY), 0),
    **{
        first + place: amount
        for first in (MOD_ENVELOPE, VOLUME_ENVELOPE)
        for place, amount in enumerate((*[NO_TIME] * 4, 0, NO_TIME, 0, 0))
    },
    LOOP_START_COARSE: 0,
    FIXED_KEY: -1,
    FIXED_VELOCITY: -1,
    ATTENUATION: 0,
    LOOP_END_COARSE: 0,
    COARSE_TUNE: 0,
    FINE_TUNE: 0,
    SAMPLE_MODES: 0,
    SCALE_TUNING: 100,
    EXCLUSIVE_CLASS: 0,
    ROOT_KEY: -1,
}
#: Generators that only instruments may set.
NOT_IN_PRESETS = {
    START,
    END,
    LOOP_START,
    LOOP_END,
    START_COARSE,
    END_COARSE,
    LOOP_START_COARSE,
    LOOP_END_COARSE,
    FIXED_KEY,
    FIXED_VELOCITY,
    SAMPLE_MODES,
    EXCLUSIVE_CLASS,
    ROOT_KEY,
}


_VELOCITY, _KEY, _PITCH_WHEEL, _WHEEL_RANGE = 2, 3, 14, 16
#: Constant values of the controllers that are not 0: volume, balance, pan, expression.
_CONTROLLER_VALUES = {7: 127, 8: 64, 10: 64, 11: 127}


@dataclass(frozen=True)
class Modulator:
    """Adds ``amount`` times the values of two sources to a generator."""

    source: int
    destination: int
    amount: int
    amount_source: int
    transform: int

    @property
    def identity(self) -> tuple[int, ...]:
        """The modulator's identity: a later one with equal identity replaces it."""
        return self.source, self.destination, self.amount_source, self.transform

    def value(self, key: int, velocity: int) -> float:
        """The amount that is added to its generator for a note."""
        value = (
            self.amount
            * _source(self.source, key, velocity)
            * _source(self.amount_source, key, velocity)
        )
        return abs(value) if self.transform == 2 else value


#: Velocity attenuates by up to 96 dB. The specification's second default, velocity to cutoff, is
#: left out, as in FluidSynth: soundfonts are made for synthesizers without it.
_LOUDNESS = Modulator(0x0502, ATTENUATION, 960, 0, 0)
DEFAULT_MODULATORS = {_LOUDNESS.identity: _LOUDNESS}


def modulation(modulators: Iterable[Modulator], key: int, velocity: int) -> dict[int, float]:
    """Sum of the modulators' values for a note, by generator."""
    sums: dict[int, float] = {}
    for modulator in modulators:
        value = modulator.value(key, velocity)
        sums[modulator.destination] = sums.get(modulator.destination, 0.0) + value
    return sums


def _source(source: int, key: int, velocity: int) -> float:
    """Value of a source, 0..1, or -1..1 where it is bipolar."""
    index, is_controller = source & 0x7F, bool(source & 0x80)
    if index == 0 and not is_controller:
        return 1.0
    if is_controller:
        raw = _CONTROLLER_VALUES.get(index, 0) / 127
    else:
        raw = {_VELOCITY: velocity / 127, _KEY: key / 127, _PITCH_WHEEL: 0.5}.get(index, 0.0)
        raw = 2 / 127 if index == _WHEEL_RANGE else raw
    falls, bipolar, curve = bool(source & 0x100), bool(source & 0x200), source >> 10
    value = 1 - raw if falls else raw
    if not bipolar:
        return _curve(value, curve)
    return math.copysign(_curve(abs(2 * value - 1), curve), 2 * value - 1)


def _curve(value: float, kind: int) -> float:
    """Linear, concave, convex (logarithms over 96 dB) or switch curve of a value 0..1."""
    if kind == 1:
        return min(1.0, -40 / 96 * math.log10(max(1 - value, 1e-9)))
    if kind == 2:
        return max(0.0, 1 + 40 / 96 * math.log10(max(value, 1e-9)))
    if kind == 3:
        return float(value >= 0.5)
    return value
