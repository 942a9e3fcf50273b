"""MelGAN-VC on one stem of two unpaired sets of songs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import torch
from torch import Tensor, nn

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.models.base import STEMS
from audiotransfer.spectral.models.unet import UNet
from audiotransfer.spectral.networks import FullFrequencyDiscriminator, PatchDiscriminator
from audiotransfer.spectral.objectives.losses import discriminator_view, visible_difference
from audiotransfer.spectral.objectives.melgan_vc import MelGanVc, MelGanVcSettings, Siamese
from audiotransfer.spectral.objectives.stem_spectrograms import StemSpectrograms
from audiotransfer.training import Group, Preview, Turn

_CONDITION = "stem"


class UnpairedObjective:
    """The MelGAN-VC objective for one stem of songs.

    Batches hold sound of three neighbouring tiles of ``frames`` each, ``source`` and ``target``
    ``[B, 2, T]`` (so that the spectrogram has ``3 * frames`` frames). Terms: see `MelGanVc`.
    """

    def __init__(
        self,
        generator: UNet,
        spectrograms: StemSpectrograms,
        stem: str,
        frames: int,
        settings: MelGanVcSettings,
    ) -> None:
        self.spectrograms = spectrograms
        if stem not in STEMS:
            raise AudioTransferError(f"no model has the stem {stem!r}; take {', '.join(STEMS)}")
        self.stem = STEMS.index(stem)
        discriminators: dict[str, nn.Module] = {
            "full": FullFrequencyDiscriminator(spectrograms.settings.bins),
            "patch": PatchDiscriminator(),
        }
        self._melgan = MelGanVc(
            generator,
            discriminators,
            Siamese(spectrograms.settings.bins, frames, **asdict(settings.siamese)),
            settings,
            condition=_CONDITION,
            view=discriminator_view,
            difference=visible_difference,
        )
        self.networks: dict[str, nn.Module] = dict(self._melgan.networks)
        self.groups: dict[str, Group] = dict(self._melgan.groups)

    def turns(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator
    ) -> Iterator[Turn]:
        """Yields the discriminators' turn, and at some steps the generator's."""
        yield from self._melgan.turns(self._spectrograms(batch), step, generator)

    def preview(self, batch: dict[str, Tensor], generator: torch.Generator) -> Preview:
        """Source, output and target of the first window."""
        return self._melgan.preview(self._spectrograms(batch), generator)

    def _spectrograms(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The batch's sound as spectrograms, with the stem's index as the condition."""
        sounds = batch["source"]
        stem = torch.full((len(sounds),), self.stem, device=sounds.device)
        return {
            "source": self.spectrograms.source(sounds, stem),
            "target": self.spectrograms.target(batch["target"]),
            _CONDITION: stem,
        }
