"""One note of a sampled instrument: its recordings, resampled, filtered and faded."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.synthesis import kernel
from audiotransfer.synthesis.description import SampleDescription
from audiotransfer.synthesis.filters import low_pass
from audiotransfer.synthesis.voice import Envelope
from audiotransfer.synthesis.waveforms import PADDING, Waveform

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ATTACK_SECONDS = 0.002  # of a recording that is entered behind its start
_RELEASE_RANGE = 2.0  # release time of 100 dB, in times of the release that is stated
_MATCH_START = 882  # samples after the onset from which on two layers are compared
_MATCH_LENGTH = 8192  # samples
_SIMILAR = 0.8  # correlation of two layers of a tuned instrument that may sound at once
_SWELL = 0.3  # level of a looped drum at the ends of a note, below 1 in between
_VIBRATO_ONSET = 0.25  # seconds in which vibrato grows to its full depth

Match = tuple[int, float]
"""Samples by which the louder layer is late, and the correlation of both layers at that lag."""


class Sample:
    """A sample's description with its sound ``[C, T]``, which ``load`` reads on first use."""

    def __init__(
        self,
        description: SampleDescription,
        load: Callable[[SampleDescription], NDArray[np.float32]],
    ) -> None:
        self.description = description
        start, end = description.loop_start, description.loop_end
        loop = (start, end) if start is not None and end is not None else None
        self.waveform = Waveform(lambda: load(description), description.frames, loop)


@dataclass(frozen=True)
class Layer:
    """A recording within a note: its speed (its samples per output sample) and gain.

    ``weight`` is its share of the gain, where two layers sound, whose squares add up to 1.
    """

    sample: Sample
    speed: float
    gain: float
    weight: float = 1.0


@dataclass(frozen=True)
class Vibrato:
    """Periodic deviation of pitch: rate (Hz), depth (cents), delay (s)."""

    hertz: float
    cents: float
    delay: float

    def ratios(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Frequency ratio at ``times`` (s)."""
        depth = np.clip((times - self.delay) / _VIBRATO_ONSET, 0.0, 1.0) * (self.cents / 1200.0)
        ratios: NDArray[np.float64] = 2.0 ** (depth * np.sin(2 * math.pi * self.hertz * times))
        return ratios


@dataclass
class SampleVoice:
    """A note from sample ``onset`` of the output on, held for ``held`` samples.

    ``layers`` are one recording or two of adjacent velocity layers. From ``cut`` samples after the
    onset on it is faded out within 10 ms. ``match`` compares two layers (see `phase_match`).
    """

    key: int
    onset: int
    held: int
    sample_rate: int
    layers: tuple[Layer, ...]
    match: Callable[[Layer, Layer, int], Match]
    cutoff_hz: float | None = None
    vibrato: Vibrato | None = None
    cut: int | None = None

    @property
    def length(self) -> int:
        """Samples that the voice can add at most."""
        release = self.layers[0].sample.description.release_s
        lengths = [self._sounding(layer) for layer in self.layers]
        if release is not None:
            lengths.append(self.held + math.ceil(_RELEASE_RANGE * release * self.sample_rate))
            length = lengths[-1] if self._loops else min(lengths)
        else:
            length = max(lengths)
        return length if self.cut is None else min(length, self.cut + self.sample_rate // 50)

    @property
    def _loops(self) -> bool:
        return self.layers[0].sample.waveform.loop is not None

    def _sounding(self, layer: Layer) -> int:
        return math.ceil(layer.sample.waveform.frames / layer.speed)

    def add(self, into: NDArray[np.float32]) -> None:
        """Adds the note to ``into`` ``[C, T]``, whose first sample is that of its onset."""
        length = min(self.length, into.shape[1])
        steps = length // kernel.STEP + 2
        times = np.arange(steps) * (kernel.STEP / self.sample_rate)
        ratios = self.vibrato.ratios(times) if self.vibrato else np.ones(steps)
        levels = self._levels(times)
        filters = np.zeros((steps, 3))
        if self.cutoff_hz is not None:
            filters[:] = low_pass(np.array([self.cutoff_hz]), 0.0, self.sample_rate)
        for layer, late, gain in self._mixed():
            skipped = round(late * layer.speed)
            frames = math.ceil(length * layer.speed * (1.01 if self.vibrato else 1.0))
            sound = layer.sample.waveform.sound(frames + skipped)
            envelope = self._envelope(layer.sample.description.release_s, skipped > 0)
            for channel in range(len(into)):
                kernel.add(
                    into[channel : channel + 1, :length],
                    sound[min(channel, len(sound) - 1), skipped:],
                    layer.speed * ratios,
                    levels,
                    filters,
                    envelope,
                    gain,
                    gain,
                )

    def _levels(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Gain at ``times`` (s): of a looped drum, as brushes that stir, a swell over the note."""
        if not self._loops or self.layers[0].sample.description.root_midi is not None:
            return np.ones(len(times))
        share = np.minimum(times * self.sample_rate / max(1, self.held), 1.0)
        levels: NDArray[np.float64] = _SWELL + (1.0 - _SWELL) * np.sin(np.pi * share**0.7)
        return levels

    def _mixed(self) -> list[tuple[Layer, int, float]]:
        """Each layer, the samples of its start that are skipped, and its gain."""
        if len(self.layers) == 1:
            return [(self.layers[0], 0, self.layers[0].gain)]
        soft, loud = self.layers
        late, correlation = self.match(soft, loud, self.key)
        tuned = soft.sample.description.root_midi is not None
        if tuned and correlation < _SIMILAR:
            # They would beat or cancel: the nearer layer sounds alone.
            nearer = soft if soft.weight > loud.weight else loud
            return [(nearer, 0, nearer.gain / nearer.weight)]
        # Weights of power 1 add up to more where the layers correlate, and to less where they do
        # so negatively.
        power = 1.0 + 2.0 * max(correlation, -_SIMILAR) * soft.weight * loud.weight
        return [
            (soft, max(0, -late), soft.gain / math.sqrt(power)),
            (loud, max(0, late), loud.gain / math.sqrt(power)),
        ]

    def _envelope(self, release: float | None, ramp: bool) -> NDArray[np.float64]:
        attack = _ATTACK_SECONDS if ramp else 0.0
        held = self.held
        if release is None:
            held = max(self._sounding(layer) for layer in self.layers)
        shape = Envelope(0.0, attack, 0.0, 0.0, 0.0, _RELEASE_RANGE * (release or 0.01))
        return shape.volume(held, self.sample_rate, self.cut)


def phase_match(soft: Layer, loud: Layer, period: int) -> Match:
    """Lag within a period at which two recordings correlate most, and their correlation there.

    ``period`` is in output samples, 0 for drums. Both are resampled to one pitch and compared over
    0.2 s, drums from their onset on and others a little after it. Without the lag layers would
    cancel each other at random.
    """
    reach = period // 2
    tuned = period > 0
    lasting = min(layer.sample.waveform.frames / layer.speed for layer in (soft, loud))
    start = min(_MATCH_START, max(0.0, lasting / 2 - _MATCH_LENGTH)) if tuned else 0.0
    both = []
    for layer, margin in ((soft, reach), (loud, 0)):
        frames = layer.sample.waveform.frames
        sound = layer.sample.waveform.sound(frames).mean(axis=0)[PADDING:]
        count = _MATCH_LENGTH + 2 * margin
        places = (start + np.arange(count) - margin) * layer.speed
        both.append(np.interp(places, np.arange(len(sound)), sound, left=0.0, right=0.0))
    soft_sound, loud_sound = both
    windows = np.lib.stride_tricks.sliding_window_view(soft_sound, _MATCH_LENGTH)
    norms = np.sqrt((windows**2).sum(axis=1) * (loud_sound**2).sum()) + 1e-12
    correlations = windows @ loud_sound / norms
    best = int(correlations.argmax())
    # soft(t + lag) is like loud(t): the louder starts later by -lag, or skips its first samples.
    return reach - best, float(correlations[best])
