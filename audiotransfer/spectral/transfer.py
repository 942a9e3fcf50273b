"""A stem through its generator: spectrogram, overlapped tiles, and back to sound."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from audiotransfer.audio.resampling import STEREO_RATE, resample
from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.models.base import SpectrogramModel
from audiotransfer.spectral.models.drum_templates import DrumTemplateModel
from audiotransfer.spectral.models.note_templates import NoteTemplateModel
from audiotransfer.spectral.models.unet import STEMS, Generator, fold
from audiotransfer.spectral.networks import (
    ConditionalUNet,
    PaddedUNet,
    ResNetGenerator,
    WholeFrequencyGenerator,
)
from audiotransfer.weights import load_weights, save_weights
from vocoder import Inverter, SpectralGainInverter, SpectrogramSettings, create

#: The option of a stem's entry that names its style among those in the weights.
TARGET = "target"
_FRAMES_AT_ONCE = 512
#: Trips to the wanted spectrogram after the first; a fourth changed the distance by less than 1 %.
_POLISH = 3
_RESAMPLING = 4096
"""Samples on each side that changing the sample rate reaches."""


class SpectralTransfer:
    """Repaints one stem's spectrogram with a generator and turns it back into sound.

    ``(stem [C, T], strength) -> [C, T]`` at 44.1 kHz, for stems of songs near RMS 0.1. What a
    spectrogram of a lower sample rate does not show stays as it is. The spectrogram is cut into
    tiles that overlap and are cross-faded (see `Repainter`). ``strength`` scales the change of
    level (in dB) of every cell, or is what a network was taught to make of it: 0 returns the stem,
    1 is the whole change. A block that starts on the ``grid`` of tiles, with ``context`` on both
    sides, sounds as it does in the whole song. Where a tile of a spectrogram's own sample rate is
    no whole number of samples at 44.1 kHz there is no such grid, and blocks differ a little.
    """

    def __init__(
        self,
        generator: SpectrogramModel,
        spectrogram: SpectrogramSettings,
        inverter: Inverter,
        stem: str,
        device: str,
    ) -> None:
        if stem not in STEMS:
            raise AudioTransferError(f"no generator knows the stem {stem!r}; {', '.join(STEMS)} do")
        self.device = torch.device(device)
        self.generator = generator.to(self.device).eval()
        self.spectrogram = spectrogram
        self.inverter = inverter
        self.stem = STEMS.index(stem)
        painted = max(generator.margin, generator.reach) * spectrogram.hop_length
        rate = Fraction(STEREO_RATE, spectrogram.sample_rate)
        self.context = math.ceil(
            rate * (generator.sees(spectrogram) + painted + inverter.reach)
        ) + (0 if rate == 1 else _RESAMPLING)
        tile = rate * generator.core * spectrogram.hop_length
        self.grid = tile.numerator if tile.denominator == 1 else 1

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
        rate = self.spectrogram.sample_rate
        if rate == STEREO_RATE:
            return self._play(stem, strength, generator, progress)
        low = resample(stem, STEREO_RATE, rate).to(stem)
        change = self._play(low, strength, generator, progress) - low
        return stem + resample(change, rate, STEREO_RATE)[:, :length].to(stem)

    def _play(
        self,
        stem: Tensor,
        strength: float,
        generator: torch.Generator | None,
        progress: Callable[[float], None] | None,
    ) -> Tensor:
        """A stem at the spectrogram's sample rate."""
        sound = stem.to(self.device, torch.float32)
        view = self.generator.look(sound, self.spectrogram)
        source = view[: self.spectrogram.bins]
        change = self._repaint(view, progress, strength) - source
        return self._invert(sound, source, change, generator).to(stem)

    def _invert(
        self, sound: Tensor, source: Tensor, change: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        length = sound.shape[-1]
        if isinstance(self.inverter, SpectralGainInverter):
            return self.inverter(source + change, length, source=sound, generator=generator)
        # Inverters without the source's phase see each channel's own spectrogram, so that what was
        # left stays left.
        return self.inverter(self.spectrogram(sound) + change, length, generator=generator)

    def _repaint(
        self, view: Tensor, progress: Callable[[float], None] | None, strength: float = 1.0
    ) -> Tensor:
        """What the generator sees ``[V, L]`` to a spectrogram ``[F, L]``, by cross-faded tiles."""
        frames, core, margin = view.shape[-1], self.generator.core, self.generator.margin
        at_once = _FRAMES_AT_ONCE // core
        count = -(-frames // core)
        padded = functional.pad(
            view[None], (margin, margin + count * core - frames), mode="replicate"
        )[0]
        size = core + 2 * margin
        tiles = padded.unfold(-1, size, core).movedim(1, 0)
        # Rises over the shared frames and falls as the neighbour rises: the sum is always one.
        ramp = (torch.arange(2 * margin, device=view.device) + 0.5) / (2 * margin)
        fade = torch.ones(size, device=view.device)
        fade[: 2 * margin], fade[-2 * margin :] = ramp, ramp.flip(0)
        total = torch.zeros_like(padded[: self.spectrogram.bins])
        weight = torch.zeros(padded.shape[-1], device=view.device)
        for first in range(0, count, at_once):
            batch = tiles[first : first + at_once].contiguous()
            index = torch.full((len(batch),), self.stem, device=view.device)
            made = self.generator.repaint_at(batch, index, strength)
            for offset, tile in enumerate(made, start=first):
                total[:, offset * core : offset * core + size] += tile * fade
                weight[offset * core : offset * core + size] += fade
            if progress is not None:
                progress(min(1.0, (first + len(batch)) / count))
        return (total / weight.clamp_min(1e-6))[:, margin : margin + frames]


def load(
    folder: Path, entry: Mapping[str, Any], stem: str, device: str, vocoder: str
) -> SpectralTransfer:
    """The transfer of one stem as a style's card describes it.

    ``vocoder`` is ``source`` (also what ``auto`` takes), or any other inverter's name.
    """
    spectrogram = SpectrogramSettings.from_dict(dict(entry["spectrogram"]))
    generator = load_generator(Path(folder) / str(entry["weights"]))
    if target := entry.get("options", {}).get(TARGET):
        generator = generator.only(str(target))
    return played_by(generator, spectrogram, stem, device, vocoder)


def played_by(
    generator: SpectrogramModel,
    spectrogram: SpectrogramSettings,
    stem: str,
    device: str = "cpu",
    vocoder: str = "auto",
) -> SpectralTransfer:
    """The transfer of one stem by a generator, whether it comes from a file or is being trained."""
    if vocoder in ("auto", "source"):
        inverter = create("source", spectrogram, iterations=_POLISH)
    else:
        inverter = create(vocoder, spectrogram)
    return SpectralTransfer(generator, spectrogram, inverter, stem, device)


KINDS: dict[str, Callable[..., SpectrogramModel]] = {
    kind.kind: kind
    for kind in (
        Generator,
        NoteTemplateModel,
        DrumTemplateModel,
        WholeFrequencyGenerator,
        PaddedUNet,
        ResNetGenerator,
        ConditionalUNet,
    )
}


def save_generator(path: Path, generator: SpectrogramModel) -> None:
    """Writes a generator, whose norms are folded, as half-precision safetensors.

    Raises AudioTransferError where it cannot be written.
    """
    save_weights(path, generator.state_dict(), {"kind": generator.kind, **generator.shape()})


def load_generator(path: Path) -> SpectrogramModel:
    """Reads what :func:`save_generator` wrote. Raises AudioTransferError for anything else."""
    shape, state = load_weights(path)
    try:
        generator = KINDS[shape.pop("kind", Generator.kind)](**shape)
        fold(generator)
        generator.load_state_dict(state)
    except (AudioTransferError, KeyError, IndexError, TypeError, RuntimeError) as error:
        raise AudioTransferError(
            f"{path} holds no generator that this version knows; install the style again"
        ) from error
    return generator
