"""Additive synthesis with random spectra, envelopes and vibrato: timbres outside the soundfonts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.synthesis.synthesizer import sustains

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audiotransfer.synthesis.synthesizer import Part

    Sound = NDArray[np.float32]

_PARTIALS = 24
_RELEASE = 0.08


class AdditiveInstrument:
    """An instrument with random parameters, for training data that is not tied to a soundfont.

    Up to 24 harmonics with a random slope and random formants; higher ones decay faster. A second,
    detuned voice, vibrato and noise at the onset are added at random. Instruments that sustain keep
    their level, all others decay.
    """

    def __init__(self, program: int, sample_rate: int, random: Generator) -> None:
        self.sample_rate = sample_rate
        order = np.arange(1, _PARTIALS + 1)
        slope = random.uniform(0.4, 2.2)
        bumps = 10 ** (random.normal(0.0, 5.0, _PARTIALS) / 20)
        odd = np.where(order % 2 == 0, random.choice([1.0, 1.0, 0.3, 0.05]), 1.0)
        self._levels = order**-slope * bumps * odd
        self._phases = np.exp(1j * random.uniform(0, 2 * np.pi, _PARTIALS))
        self._sustained = sustains(program)
        base = random.uniform(0.0, 0.8) if self._sustained else random.uniform(1.2, 6.0)
        self._decays = base * order ** random.uniform(0.1, 0.8)
        self._attack = random.uniform(*((0.02, 0.12) if self._sustained else (0.001, 0.01)))
        self._detune = random.choice([0.0, 0.0, random.uniform(2.0, 14.0)])
        self._vibrato = random.choice([0.0, random.uniform(0.0, 0.006)]) * self._sustained
        self._vibrato_hz = random.uniform(4.0, 6.5)
        self._breath = random.choice([0.0, random.uniform(0.0, 0.3)])
        self._brightness = random.uniform(0.0, 1.0)
        self._pan = random.uniform(0.25, 0.75)
        self._noise = random.standard_normal(sample_rate // 4)

    def render(self, part: Part, seconds: float) -> Sound:
        """Render the part's notes to sound ``[2, seconds * sample_rate]``."""
        total = round(seconds * self.sample_rate)
        mono = np.zeros(total)
        for start, duration, pitch, velocity in part.notes:
            first = round(start * self.sample_rate)
            if first >= total:
                continue
            note = self._note(duration, 440.0 * 2 ** ((pitch - 69) / 12), velocity / 127)
            mono[first : first + len(note)] += note[: total - first]
        sides = np.sqrt([1 - self._pan, self._pan])
        return (sides[:, None] * mono).astype(np.float32)

    def _note(self, duration: float, hertz: float, velocity: float) -> NDArray[np.float64]:
        """Sound ``[T]`` of one note, with attack and release."""
        rate = self.sample_rate
        count = max(1, round((max(duration, 0.05) + _RELEASE) * rate))
        time = np.arange(count) / rate
        sound = np.zeros(count)
        for cents in {0.0, self._detune}:
            tuned = hertz * 2 ** (cents / 1200)
            swing = self._vibrato / (2 * np.pi * self._vibrato_hz)
            bent = time + swing * np.sin(2 * np.pi * self._vibrato_hz * time)
            sound += self._harmonics(np.exp(2j * np.pi * tuned * bent), time, tuned, velocity)
        if self._breath:
            length = min(count, len(self._noise))
            fade = np.exp(-time[:length] / 0.03)
            sound[:length] += self._breath * velocity * 0.3 * fade * self._noise[:length]
        rise = np.minimum(1.0, time / self._attack)
        fall = np.minimum(1.0, (time[-1] - time) / _RELEASE)
        shaped: NDArray[np.float64] = velocity**1.5 * sound * rise * fall
        return shaped

    def _harmonics(
        self, wave: NDArray[np.complex128], time: NDArray[np.float64], hertz: float, velocity: float
    ) -> Sound:
        """Sum of the harmonics, computed as powers of one complex wave."""
        wave, time = wave.astype(np.complex64), time.astype(np.float32)
        sound = np.zeros(len(time), dtype=np.float32)
        power = np.ones_like(wave)
        # Soft notes have weaker upper harmonics.
        dull = self._brightness * (1 - velocity)
        for index in range(min(_PARTIALS, int(0.45 * self.sample_rate / hertz))):
            power *= wave
            level = self._levels[index] * np.exp(-dull * index / 4)
            if level < 1e-4 * self._levels[0]:
                continue
            decay = np.exp(np.float32(-self._decays[index]) * time)
            sound += (power * np.complex64(level * self._phases[index])).imag * decay
        return sound
