"""One note of one zone: its sample at the note's pitch, filtered, and shaped by its envelopes.

Source: SoundFont Technical Specification 2.04, 9. Attenuations that a file sets count 0.4 times, as
on the hardware that soundfonts were tuned by, and in FluidSynth.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.synthesis import generators as gen
from audiotransfer.synthesis import kernel
from audiotransfer.synthesis.envelope import Envelope, seconds, triangle
from audiotransfer.synthesis.generators import modulation
from audiotransfer.synthesis.soundfont import SoundFont, Zone

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ATTENUATION_SHARE = 0.4
_OPEN_CUTOFF = 13500  # cents; nothing is filtered from here on
_LOOPS, _LOOPS_WHILE_HELD = 1, 3


class Voice:
    """A note on a zone.

    ``held`` is how long the key is down (samples), ``rate`` that of the sound to be made (Hz).
    """

    def __init__(
        self, font: SoundFont, zone: Zone, key: int, velocity: int, held: int, rate: int
    ) -> None:
        self._font, self._zone, self._held, self._rate = font, zone, held, rate
        fixed_key, fixed_velocity = (
            zone.generators[kind] for kind in (gen.FIXED_KEY, gen.FIXED_VELOCITY)
        )
        self._key = fixed_key if 0 <= fixed_key <= 127 else key
        velocity = fixed_velocity if 1 <= fixed_velocity <= 127 else velocity
        self._modulated = modulation(zone.modulators, self._key, velocity)

    def add(self, into: NDArray[np.float32], cut: int | None = None) -> None:
        """Adds the note's sound to ``into`` ``[2, T]`` from its start on; from sample ``cut`` on it
        is faded out.
        """
        envelope = self._envelope(gen.VOLUME_ENVELOPE).volume(self._held, self._rate, cut)
        samples = min(into.shape[1], int(envelope[:, 0].sum()))
        times = np.arange(samples // kernel.STEP + 2) * (kernel.STEP / self._rate)
        speeds = self._speeds(times)
        tremolo = self._amount(gen.MOD_LFO_TO_VOLUME)
        decibels = self._mod_lfo(times) * (tremolo / 10.0) if tremolo else np.zeros(len(times))
        pan = min(max(self._amount(gen.PAN) / 1000.0 + 0.5, 0.0), 1.0) * math.pi / 2
        level = 10.0 ** (-self._attenuation() / 200.0)
        kernel.add(
            into[:, :samples],
            self._source(speeds, samples),
            speeds,
            10.0 ** (decibels / 20.0),
            self._filters(times),
            envelope,
            level * math.cos(pan),
            level * math.sin(pan),
        )

    def _amount(self, generator: int) -> float:
        return self._zone.generators[generator] + self._modulated.get(generator, 0.0)

    def _attenuation(self) -> float:
        """Centibels by which the note is quieter than its sample."""
        own = self._zone.generators[gen.ATTENUATION] * _ATTENUATION_SHARE
        return min(max(own + self._modulated.get(gen.ATTENUATION, 0.0), 0.0), 1440.0)

    def _envelope(self, first: int) -> Envelope:
        delay, attack, hold, decay, sustain, release, to_hold, to_decay = (
            self._amount(first + place) for place in range(8)
        )
        low = 60 - self._key
        volume = first == gen.VOLUME_ENVELOPE
        return Envelope(
            0.0 if delay <= gen.NO_TIME else seconds(delay),
            seconds(attack),
            0.0 if hold <= gen.NO_TIME else seconds(hold + to_hold * low),
            seconds(decay + to_decay * low),
            max(0.0, sustain / 10.0) if volume else 1.0 - min(max(sustain / 1000.0, 0.0), 1.0),
            seconds(release),
        )

    @cached_property
    def _modulation_envelope(self) -> Envelope:
        return self._envelope(gen.MOD_ENVELOPE)

    def _mod_lfo(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        frequency, delay = self._amount(gen.MOD_LFO_FREQUENCY), self._amount(gen.MOD_LFO_DELAY)
        return triangle(times, seconds(delay), float(_hertz(frequency)))

    def _vibrato(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        frequency, delay = self._amount(gen.VIBRATO_FREQUENCY), self._amount(gen.VIBRATO_DELAY)
        return triangle(times, seconds(delay), float(_hertz(frequency)))

    def _mod_envelope(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._modulation_envelope.modulation(times, self._held / self._rate)

    def _moved(
        self, times: NDArray[np.float64], base: float, lfo: int, vibrato: int | None, envelope: int
    ) -> NDArray[np.float64]:
        """``base`` (cents) at ``times``, with what oscillators and envelope add to it."""
        moved = np.full(len(times), base)
        for depth, mover in (
            (self._amount(lfo), self._mod_lfo),
            (self._amount(vibrato) if vibrato is not None else 0.0, self._vibrato),
            (self._amount(envelope), self._mod_envelope),
        ):
            if depth:
                moved += depth * mover(times)
        return moved

    def _speeds(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Samples of the source a sample of the sound, at ``times``."""
        zone, sample = self._zone, self._zone.sample
        root = zone.generators[gen.ROOT_KEY]
        root = root if 0 <= root <= 127 else sample.key
        cents = (
            (self._key - root) * self._amount(gen.SCALE_TUNING)
            + 100.0 * self._amount(gen.COARSE_TUNE)
            + self._amount(gen.FINE_TUNE)
            + sample.correction
        )
        pitch = self._moved(
            times, cents, gen.MOD_LFO_TO_PITCH, gen.VIBRATO_TO_PITCH, gen.MOD_ENVELOPE_TO_PITCH
        )
        return 2.0 ** (np.clip(pitch, -12000, 12000) / 1200.0) * (sample.rate / self._rate)

    def _source(self, speeds: NDArray[np.float64], samples: int) -> NDArray[np.float32]:
        """The sample with its loop as often as it is wanted, one sample before its first."""
        sound = self._font.sound(self._zone.sample)
        at = self._zone.generators
        start = max(0, at[gen.START] + 32768 * at[gen.START_COARSE])
        end = min(len(sound), len(sound) + at[gen.END] + 32768 * at[gen.END_COARSE])
        loop = self._zone.sample.loop
        first = loop[0] + at[gen.LOOP_START] + 32768 * at[gen.LOOP_START_COARSE]
        behind = loop[1] + at[gen.LOOP_END] + 32768 * at[gen.LOOP_END_COARSE]
        behind = min(behind, end)
        passed = np.concatenate([[0.0], np.cumsum(speeds) * kernel.STEP])
        wanted = int(passed[-1]) + 4
        mode = at[gen.SAMPLE_MODES] & 3
        once = behind - start
        if mode not in (_LOOPS, _LOOPS_WHILE_HELD) or not start <= first < behind:
            played = sound[start : max(start, min(end, start + wanted))]
        else:
            again, rest = max(0, wanted - once), sound[:0]
            if mode == _LOOPS_WHILE_HELD and self._held < samples:
                # The loop is left when it is next through, after the key was let go.
                let_go = float(np.interp(self._held / kernel.STEP, np.arange(len(passed)), passed))
                rounds = math.ceil(max(0.0, let_go - once) / (behind - first))
                again, rest = rounds * (behind - first), sound[behind:end]
            order = first + np.arange(again) % (behind - first)
            played = np.concatenate([sound[start:behind], sound[order], rest])[:wanted]
        padded = np.zeros(len(played) + 4, np.float32)
        padded[1 : len(played) + 1] = played
        return padded if played.dtype == np.float32 else padded / np.float32(32768)

    def _filters(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coefficients ``[L, 3]`` of the voice's low-pass filter at ``times``; 0 where it is open.

        Of second order, with a peak of so many dB at its cutoff: without one it is a Butterworth
        filter; the higher it is, the quieter is the rest (specification, 8.1.2, generator 9).
        """
        cutoff = self._amount(gen.CUTOFF)
        peak = min(max(self._amount(gen.RESONANCE), 0.0), 960.0) / 10.0
        moved = self._moved(times, cutoff, gen.MOD_LFO_TO_CUTOFF, None, gen.MOD_ENVELOPE_TO_CUTOFF)
        if not peak and moved.min() >= _OPEN_CUTOFF:
            return np.zeros((len(times), 3))
        hertz = np.minimum(_hertz(np.clip(moved, 1500, _OPEN_CUTOFF)), 0.45 * self._rate)
        turn = 2.0 * math.pi * hertz / self._rate
        alpha = np.sin(turn) / (2.0 * 10.0 ** ((peak - 3.01) / 20.0))
        gain = (1.0 - np.cos(turn)) / 2.0 * 10.0 ** (-peak / 40.0)
        return np.stack([gain, -2.0 * np.cos(turn), 1.0 - alpha], axis=1) / (1.0 + alpha)[:, None]


def _hertz(cents: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(8.176 * 2.0 ** (np.clip(cents, -16000, 14000) / 1200.0))
