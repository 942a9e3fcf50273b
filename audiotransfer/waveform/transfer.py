"""The transfer of one stem by a waveform generator, and the generators' weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiotransfer.audio.resampling import STEREO_RATE, resample
from audiotransfer.waveform.feed_forward import FoldedGenerator, WaveNetGenerator
from audiotransfer.waveform.framed import FramedWaveNetGenerator
from audiotransfer.waveform.generators import WaveformGenerator
from audiotransfer.waveform.translation import Translator
from audiotransfer.weights import load_network, save_weights
from vocoder import SpectrogramSettings, panned

GENERATORS: dict[str, Callable[..., WaveformGenerator]] = {
    generator.kind: generator
    for generator in (Translator, WaveNetGenerator, FramedWaveNetGenerator, FoldedGenerator)
}
_SECONDS = 8.0  # of sound that a generator gets at once, without its surrounding
_RESAMPLING_REACH = 4096  # samples on each side that a resampled sample depends on


class WaveformTransfer:
    """Transfers one stem by a generator of sound.

    ``(stem [C, T], strength) -> [C, T]`` at 44.1 kHz, for stems of songs near RMS 0.1. The
    generator gets the mean of the channels in overlapping segments, of which only the part is kept
    that it would make of the whole song: there are no seams. What it makes is panned as the stem
    is. At a lower sample rate of the generator there is nothing above half of it. ``strength`` 0
    returns the stem. A block that starts on the ``grid``, with ``context`` samples on both sides,
    comes out as in the whole song. Where a grid of the generator is no whole number of samples at
    44.1 kHz, blocks differ a little.
    """

    def __init__(self, generator: WaveformGenerator, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.generator = generator.to(self.device).eval()
        self.panning = SpectrogramSettings()
        rate = Fraction(STEREO_RATE, generator.sample_rate)
        self.context = math.ceil(rate * (generator.reach + generator.grid)) + self.panning.n_fft
        self.context += 0 if rate == 1 else _RESAMPLING_REACH
        grid = rate * generator.grid
        step = grid.numerator if grid.denominator == 1 else 1
        self.grid = math.lcm(step, self.panning.hop_length)

    @torch.no_grad()
    def __call__(
        self,
        stem: Tensor,
        strength: float = 1.0,
        generator: torch.Generator | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Tensor:
        """Transfers one block."""
        length = stem.shape[-1]
        if strength == 0.0 or length == 0 or not bool(stem.any()):
            return stem
        rate = self.generator.sample_rate
        mean = stem.to(self.device, torch.float32).mean(0)
        low = mean if rate == STEREO_RATE else resample(mean[None], STEREO_RATE, rate)[0].to(mean)
        made = self._convert(low, strength, progress)
        if rate != STEREO_RATE:
            made = resample(made[None], rate, STEREO_RATE)[0, :length].to(mean)
            if strength < 1.0:  # at its own rate the generator has lost what lies above
                above = mean - resample(low[None], rate, STEREO_RATE)[0, :length].to(mean)
                made = made + (1.0 - strength) * above
        return panned(made, stem.to(made), self.panning).to(stem)

    def _convert(
        self, sound: Tensor, strength: float, progress: Callable[[float], None] | None
    ) -> Tensor:
        """Sound ``[T]`` at the generator's rate, segment by segment."""
        grid, reach = self.generator.grid, self.generator.reach
        before = -(-reach // grid) * grid
        step = max(1, round(_SECONDS * self.generator.sample_rate / grid)) * grid
        made = torch.empty_like(sound)
        for first in range(0, len(sound), step):
            start, end = max(0, first - before), min(len(sound), first + step + reach)
            part = self.generator.at_strength(sound[None, start:end], strength)[0]
            last = min(len(sound), first + step)
            made[first:last] = part[first - start : last - start]
            if progress is not None:
                progress(last / len(sound))
        return made


def load(
    folder: Path, entry: Mapping[str, Any], stem: str, device: str, vocoder: str
) -> WaveformTransfer:
    """The transfer of one stem as a style's card describes it; ``vocoder`` is not needed."""
    return WaveformTransfer(load_generator(Path(folder) / str(entry["weights"])), device)


def save_generator(path: Path, generator: WaveformGenerator) -> None:
    """Writes a generator as half-precision safetensors.

    Raises AudioTransferError where it cannot be written.
    """
    save_weights(path, generator.state_dict(), {"kind": generator.kind, **generator.shape()})


def load_generator(path: Path) -> WaveformGenerator:
    """Reads what `save_generator` wrote. Raises AudioTransferError for anything else."""
    return load_network(path, GENERATORS, "waveform generator", again="the style")
