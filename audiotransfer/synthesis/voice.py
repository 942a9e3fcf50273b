"""One note of one SoundFont zone: its sample, resampled, filtered and shaped by envelopes.

Source: SoundFont Technical Specification 2.04, 8.1.2 and 9. Attenuations that a file sets count 0.4
times, as on the hardware that soundfonts were made for, and in FluidSynth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.synthesis import generators as gen
from audiotransfer.synthesis import kernel
from audiotransfer.synthesis.filters import low_pass
from audiotransfer.synthesis.generators import modulation
from audiotransfer.synthesis.soundfont import SoundFont, Zone

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SILENCE_DB = 96.0  # a voice that has decayed by this much has ended
_FULL_DB = 100.0  # range over which decay and release times are defined
_SHORTEST_SECONDS = 0.001
_CUT_SECONDS = 0.01
_ATTENUATION_SHARE = 0.4
_OPEN_CUTOFF = 13500  # cents; nothing is filtered from here on
_LOOPS, _LOOPS_WHILE_HELD = 1, 3


def seconds(timecents: float) -> float:
    """Time in seconds of timecents, at least a millisecond, so that nothing clicks."""
    duration: float = 2.0 ** (min(timecents, 8000.0) / 1200.0)
    return max(_SHORTEST_SECONDS, duration)


@dataclass(frozen=True)
class Envelope:
    """Delay, attack, hold, decay and release in seconds, and sustain.

    Sustain is an attenuation in dB for volume envelopes, and a level 0..1 for modulation envelopes.
    Decay and release are the times of the full range.
    """

    delay: float
    attack: float
    hold: float
    decay: float
    sustain: float
    release: float

    def volume(self, off: int, rate: int, cut: int | None = None) -> NDArray[np.float64]:
        """Amplitude of a note released at sample ``off``, as segments ``[S, 3]``.

        A segment is a number of samples, a factor and a term: each sample is its predecessor times
        the factor plus the term. From sample ``cut`` on the note is faded out within 10 ms.
        """
        attack = max(1, round(self.attack * rate))
        depth = min(self.sustain, _SILENCE_DB)
        decay = math.ceil(depth / _FULL_DB * self.decay * rate)
        held = [
            (round(self.delay * rate), 0.0, 0.0),
            (attack, 1.0, 1.0 / attack),
            (round(self.hold * rate), 1.0, 0.0),
            (decay, _factor(depth / max(1, decay)), 0.0),
        ]
        if depth < _SILENCE_DB:
            held.append((off, 1.0, 0.0))
        released = _first(held, off)
        if sum(count for count, _, _ in held) >= off:
            release = math.ceil(_SILENCE_DB / _FULL_DB * self.release * rate)
            released.append((release, _factor(_SILENCE_DB / release), 0.0))
        if cut is not None and cut < sum(count for count, _, _ in released):
            fade = round(_CUT_SECONDS * rate)
            released = [*_first(released, cut), (fade, _factor(_SILENCE_DB / fade), 0.0)]
        return np.array(released, dtype=np.float64)

    def modulation(self, times: NDArray[np.float64], off: float) -> NDArray[np.float64]:
        """Level 0..1 at ``times`` (s) of a note released at ``off`` (s)."""
        top = self.delay + self.attack
        held = top + self.hold
        down = held + self.decay * (1.0 - self.sustain)

        def before(times: NDArray[np.float64]) -> NDArray[np.float64]:
            attack = np.clip((times - self.delay) / self.attack, 0.0, 1.0)
            convex = np.maximum(0.0, 1.0 + 40.0 / 96.0 * np.log10(np.maximum(attack, 1e-9)))
            return np.minimum(convex, np.interp(times, [held, down], [1.0, self.sustain]))

        level = float(before(np.array([off]))[0])
        after = np.maximum(0.0, level - (times - off) / self.release)
        return np.where(times < off, before(times), after)


def _factor(decibels: float) -> float:
    """Amplitude factor of an attenuation in dB."""
    return float(10.0 ** (-decibels / 20.0))


def _first(
    segments: list[tuple[int, float, float]], samples: int
) -> list[tuple[int, float, float]]:
    """The first ``samples`` samples of the segments."""
    kept = []
    for count, factor, term in segments:
        kept.append((min(count, samples), factor, term))
        samples -= kept[-1][0]
    return kept


def triangle(times: NDArray[np.float64], delay: float, hertz: float) -> NDArray[np.float64]:
    """Triangle wave -1..1 that starts at 0, rising, after ``delay`` (s)."""
    turns = np.maximum(0.0, times - delay) * hertz + 0.25
    return 1.0 - 4.0 * np.abs(turns % 1.0 - 0.5)


class Voice:
    """One note of one zone.

    ``held`` is how long the key is down in samples of the output, ``rate`` the output's sample rate
    (Hz).
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
        """Add the note to ``into`` ``[2, T]``, beginning at its first sample.

        From sample ``cut`` on the note is faded out.
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
        """A generator's amount plus its modulators' amounts."""
        return self._zone.generators[generator] + self._modulated.get(generator, 0.0)

    def _attenuation(self) -> float:
        """Attenuation of the sample in centibels."""
        own = self._zone.generators[gen.ATTENUATION] * _ATTENUATION_SHARE
        return min(max(own + self._modulated.get(gen.ATTENUATION, 0.0), 0.0), 1440.0)

    def _envelope(self, first: int) -> Envelope:
        """The envelope whose generators begin with number ``first``."""
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
        """Modulation oscillator, -1..1, at ``times`` (s)."""
        frequency, delay = self._amount(gen.MOD_LFO_FREQUENCY), self._amount(gen.MOD_LFO_DELAY)
        return triangle(times, seconds(delay), float(_hertz(frequency)))

    def _vibrato(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Vibrato oscillator, -1..1, at ``times`` (s)."""
        frequency, delay = self._amount(gen.VIBRATO_FREQUENCY), self._amount(gen.VIBRATO_DELAY)
        return triangle(times, seconds(delay), float(_hertz(frequency)))

    def _mod_envelope(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._modulation_envelope.modulation(times, self._held / self._rate)

    def _modulated_cents(
        self, times: NDArray[np.float64], base: float, lfo: int, vibrato: int | None, envelope: int
    ) -> NDArray[np.float64]:
        """``base`` (cents) at ``times`` plus the modulation by oscillators and envelope."""
        cents_over_time = np.full(len(times), base)
        for depth, mover in (
            (self._amount(lfo), self._mod_lfo),
            (self._amount(vibrato) if vibrato is not None else 0.0, self._vibrato),
            (self._amount(envelope), self._mod_envelope),
        ):
            if depth:
                cents_over_time += depth * mover(times)
        return cents_over_time

    def _speeds(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Playback speed, in samples of the source per output sample, at ``times``."""
        zone, sample = self._zone, self._zone.sample
        root = zone.generators[gen.ROOT_KEY]
        root = root if 0 <= root <= 127 else sample.key
        cents = (
            (self._key - root) * self._amount(gen.SCALE_TUNING)
            + 100.0 * self._amount(gen.COARSE_TUNE)
            + self._amount(gen.FINE_TUNE)
            + sample.correction
        )
        pitch = self._modulated_cents(
            times, cents, gen.MOD_LFO_TO_PITCH, gen.VIBRATO_TO_PITCH, gen.MOD_ENVELOPE_TO_PITCH
        )
        return 2.0 ** (np.clip(pitch, -12000, 12000) / 1200.0) * (sample.rate / self._rate)

    def _source(self, speeds: NDArray[np.float64], samples: int) -> NDArray[np.float32]:
        """The part of the sample that is played, its loop unrolled, after one sample of padding."""
        sound = self._font.sound(self._zone.sample)
        at = self._zone.generators
        start = max(0, at[gen.START] + 32768 * at[gen.START_COARSE])
        end = min(len(sound), len(sound) + at[gen.END] + 32768 * at[gen.END_COARSE])
        loop = self._zone.sample.loop
        first = loop[0] + at[gen.LOOP_START] + 32768 * at[gen.LOOP_START_COARSE]
        loop_end = loop[1] + at[gen.LOOP_END] + 32768 * at[gen.LOOP_END_COARSE]
        loop_end = min(loop_end, end)
        passed = np.concatenate([[0.0], np.cumsum(speeds) * kernel.STEP])
        wanted = int(passed[-1]) + 4
        mode = at[gen.SAMPLE_MODES] & 3
        once = loop_end - start
        if mode not in (_LOOPS, _LOOPS_WHILE_HELD) or not start <= first < loop_end:
            played = sound[start : max(start, min(end, start + wanted))]
        else:
            again, rest = max(0, wanted - once), sound[:0]
            if mode == _LOOPS_WHILE_HELD and self._held < samples:
                # After the release the current round of the loop is played to its end.
                released = float(
                    np.interp(self._held / kernel.STEP, np.arange(len(passed)), passed)
                )
                rounds = math.ceil(max(0.0, released - once) / (loop_end - first))
                again, rest = rounds * (loop_end - first), sound[loop_end:end]
            order = first + np.arange(again) % (loop_end - first)
            played = np.concatenate([sound[start:loop_end], sound[order], rest])[:wanted]
        padded = np.zeros(len(played) + 4, np.float32)
        padded[1 : len(played) + 1] = played
        return padded if played.dtype == np.float32 else padded / np.float32(32768)

    def _filters(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coefficients ``[L, 3]`` of the low-pass filter at ``times``; 0 where it is open.

        Second order with a resonance in dB at its cutoff; without resonance a Butterworth filter.
        Resonance lowers the overall gain (specification, 8.1.2, generator 9).
        """
        cutoff = self._amount(gen.CUTOFF)
        peak = min(max(self._amount(gen.RESONANCE), 0.0), 960.0) / 10.0
        cents_over_time = self._modulated_cents(
            times, cutoff, gen.MOD_LFO_TO_CUTOFF, None, gen.MOD_ENVELOPE_TO_CUTOFF
        )
        if not peak and cents_over_time.min() >= _OPEN_CUTOFF:
            return np.zeros((len(times), 3))
        hertz = _hertz(np.clip(cents_over_time, 1500, _OPEN_CUTOFF))
        return low_pass(hertz, peak, self._rate)


def _hertz(cents: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Frequency in Hz of absolute cents."""
    return np.asarray(8.176 * 2.0 ** (np.clip(cents, -16000, 14000) / 1200.0))
