"""The transfer of one stem by a spectrogram model, from sound to sound, and the models' weights."""

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
from audiotransfer.spectral.models.base import STEMS, SpectrogramModel, fold
from audiotransfer.spectral.models.drum_templates import DrumTemplateModel
from audiotransfer.spectral.models.note_templates import NoteTemplateModel
from audiotransfer.spectral.models.refined import RefinedModel
from audiotransfer.spectral.models.unet import UNet
from audiotransfer.spectral.networks import (
    ConditionalUNet,
    PaddedUNet,
    ResNetGenerator,
    WholeFrequencyGenerator,
)
from audiotransfer.weights import load_weights, save_weights
from vocoder import Inverter, SpectralGainInverter, SpectrogramSettings, create, panned

#: The option of a card's stem entry that names its style among those in the weights.
TARGET = "target"
#: The option of a card's stem entry that says which spectrogram of the channels the model predicts:
#: with the value "mean" that of their mean, else that of their power.
CHANNELS = "channels"
#: The option of a card's stem entry that names the weights of a network that refines what the
#: model predicts, beside the card.
REFINER = "refiner"
MODELS: dict[str, Callable[..., SpectrogramModel]] = {
    model.kind: model
    for model in (
        UNet,
        NoteTemplateModel,
        DrumTemplateModel,
        WholeFrequencyGenerator,
        PaddedUNet,
        ResNetGenerator,
        ConditionalUNet,
    )
}
#: Kinds that 0.1.0 wrote, also into what ships, and their present names.
_OLD_NAMES = {"notes": NoteTemplateModel.kind, "hits": DrumTemplateModel.kind}

_FRAMES_AT_ONCE = 512
#: Iterations of the inverter after its first; a fourth changed the distance by less than 1 %.
_ITERATIONS = 3
#: Samples on each side that a resampled sample depends on.
_RESAMPLING_REACH = 4096


class SpectralTransfer:
    """Transfers one stem: spectrogram, model in overlapping tiles, and back to sound.

    ``(stem [C, T], strength) -> [C, T]`` at 44.1 kHz, for stems of songs near RMS 0.1. Where the
    spectrogram has a lower sample rate, what lies above it passes unchanged. The spectrogram is
    cut into tiles that overlap and are cross-faded (see `SpectrogramModel`). ``strength`` 0..1
    scales the change of level (dB) of every cell, unless the model was trained with strengths; 0
    returns the stem. A block that starts on the ``grid`` of tiles, with ``context`` samples on both
    sides, comes out as in the whole song. Where a tile is no whole number of samples at 44.1 kHz
    there is no such grid (it is 1), and blocks differ a little. With ``mean_channel`` the model
    predicts the spectrogram of the channels' mean, else that of their power.
    """

    def __init__(
        self,
        generator: SpectrogramModel,
        spectrogram: SpectrogramSettings,
        inverter: Inverter,
        stem: str,
        device: str,
        mean_channel: bool = False,
    ) -> None:
        if stem not in STEMS:
            raise AudioTransferError(f"no model has the stem {stem!r}; take {', '.join(STEMS)}")
        self.device = torch.device(device)
        self.generator = generator.to(self.device).eval()
        self.spectrogram = spectrogram
        self.inverter, self.mean_channel = inverter, mean_channel
        self.stem = STEMS.index(stem)
        predicted = max(generator.margin, generator.reach) * spectrogram.hop_length
        rate = Fraction(STEREO_RATE, spectrogram.sample_rate)
        self.context = math.ceil(
            rate * (generator.feature_reach(spectrogram) + predicted + inverter.reach)
        ) + (0 if rate == 1 else _RESAMPLING_REACH)
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
            return self._transfer(stem, strength, generator, progress)
        low = resample(stem, STEREO_RATE, rate).to(stem)
        change = self._transfer(low, strength, generator, progress) - low
        return stem + resample(change, rate, STEREO_RATE)[:, :length].to(stem)

    def _transfer(
        self,
        stem: Tensor,
        strength: float,
        generator: torch.Generator | None,
        progress: Callable[[float], None] | None,
    ) -> Tensor:
        """`__call__` at the spectrogram's sample rate."""
        sound = stem.to(self.device, torch.float32)
        features = self.generator.features(sound, self.spectrogram)
        source = features[: self.spectrogram.bins]
        change = self._predict(features, progress, strength) - source
        return self._invert(sound, source, change, generator).to(stem)

    def _invert(
        self, sound: Tensor, source: Tensor, change: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """The stem's sound with its spectrogram ``source`` changed by ``change`` (nats)."""
        length = sound.shape[-1]
        if isinstance(self.inverter, SpectralGainInverter):
            return self.inverter(source + change, length, source=sound, generator=generator)
        if self.spectrogram.kind == "cqt":
            return self.inverter(self.spectrogram(sound) + change, length, generator=generator)
        # Of inverters that do not use the source's phase channels would get unrelated phases.
        own = source if self.mean_channel else self.spectrogram(sound.mean(0))
        mean = self.inverter(own + change, length, generator=generator)
        return panned(mean, sound, self.spectrogram)

    def _predict(
        self, features: Tensor, progress: Callable[[float], None] | None, strength: float = 1.0
    ) -> Tensor:
        """Features ``[V, L]`` to the model's spectrogram ``[F, L]``, by cross-faded tiles."""
        frames, core, margin = features.shape[-1], self.generator.core, self.generator.margin
        at_once = _FRAMES_AT_ONCE // core
        count = -(-frames // core)
        padded = functional.pad(
            features[None], (margin, margin + count * core - frames), mode="replicate"
        )[0]
        size = core + 2 * margin
        tiles = padded.unfold(-1, size, core).movedim(1, 0)
        # Rises over the shared frames and falls as the neighbour rises: the sum is always one.
        ramp = (torch.arange(2 * margin, device=features.device) + 0.5) / (2 * margin)
        fade = torch.ones(size, device=features.device)
        fade[: 2 * margin], fade[-2 * margin :] = ramp, ramp.flip(0)
        total = torch.zeros_like(padded[: self.spectrogram.bins])
        weight = torch.zeros(padded.shape[-1], device=features.device)
        for first in range(0, count, at_once):
            batch = tiles[first : first + at_once].contiguous()
            index = torch.full((len(batch),), self.stem, device=features.device)
            predicted = self.generator.predict_at(batch, index, strength)
            for offset, tile in enumerate(predicted, start=first):
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
    options = entry.get("options", {})
    if target := options.get(TARGET):
        generator = generator.only(str(target))
    if refiner := options.get(REFINER):
        generator = RefinedModel(generator, load_generator(Path(folder) / str(refiner)))
    mean_channel = options.get(CHANNELS) == "mean"
    return stem_transfer(generator, spectrogram, stem, device, vocoder, mean_channel)


def stem_transfer(
    generator: SpectrogramModel,
    spectrogram: SpectrogramSettings,
    stem: str,
    device: str = "cpu",
    vocoder: str = "auto",
    mean_channel: bool = False,
) -> SpectralTransfer:
    """The transfer of one stem by a model, loaded or in training, with the named inverter.

    With ``mean_channel`` the model predicts the spectrogram of the channels' mean.
    """
    if vocoder in ("auto", "source"):
        inverter = create("source", spectrogram, iterations=_ITERATIONS, mean_channel=mean_channel)
    else:
        inverter = create(vocoder, spectrogram)
    return SpectralTransfer(generator, spectrogram, inverter, stem, device, mean_channel)


def save_generator(path: Path, generator: SpectrogramModel) -> None:
    """Writes a model, whose spectral norms are folded, as half-precision safetensors.

    Raises AudioTransferError where it cannot be written.
    """
    save_weights(path, generator.state_dict(), {"kind": generator.kind, **generator.shape()})


def load_generator(path: Path) -> SpectrogramModel:
    """Reads what :func:`save_generator` wrote, here or in 0.1.0.

    Raises AudioTransferError for anything else.
    """
    shape, state = load_weights(path)
    try:
        kind = shape.pop("kind", UNet.kind)
        generator = MODELS[_OLD_NAMES.get(kind, kind)](**shape)
        fold(generator)
        generator.load_state_dict(state)
    except (AudioTransferError, KeyError, IndexError, TypeError, RuntimeError) as error:
        raise AudioTransferError(
            f"{path} holds no generator that this version knows; install the style again"
        ) from error
    return generator
