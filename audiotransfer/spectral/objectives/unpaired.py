"""MelGAN-VC on sound: stems of any two sets of songs, no pairs needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import torch
from torch import Tensor, nn

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.models.unet import CRITIC_FLOOR, STEMS, Generator, normalised
from audiotransfer.spectral.networks.discriminators import FullFrequencyCritic, PatchCritic
from audiotransfer.spectral.objectives.losses import seen
from audiotransfer.spectral.objectives.melgan_vc import MelGanVc, MelGanVcSettings, Siamese
from audiotransfer.training import Group, Preview, Turn
from vocoder import SpectrogramSettings

_CONDITION = "stem"


class UnpairedObjective:
    """The MelGAN-VC objective for one stem of songs.

    Batches hold sound of three neighbouring tiles of ``frames`` each, ``source`` and ``target``
    ``[B, 2, T]`` (so that the picture has ``3 * frames`` frames). Terms: see ``MelGanVc``.
    """

    def __init__(
        self,
        generator: Generator,
        picture: SpectrogramSettings,
        stem: str,
        frames: int,
        settings: MelGanVcSettings,
    ) -> None:
        self.picture = picture
        if stem not in STEMS:
            raise AudioTransferError(f"no generator knows the stem {stem!r}; {', '.join(STEMS)} do")
        self.stem = STEMS.index(stem)
        critics: dict[str, nn.Module] = {
            "full": FullFrequencyCritic(picture.bins),
            "patch": PatchCritic(),
        }
        self._melgan = MelGanVc(
            generator,
            critics,
            Siamese(picture.bins, frames, **asdict(settings.siamese)),
            settings,
            condition=_CONDITION,
            view=_view,
            difference=seen,
        )
        self.networks: dict[str, nn.Module] = dict(self._melgan.networks)
        self.groups: dict[str, Group] = dict(self._melgan.groups)

    def turns(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator
    ) -> Iterator[Turn]:
        """The critics' turn, and at some steps the generator's."""
        yield from self._melgan.turns(self._pictures(batch), step, generator)

    def preview(self, batch: dict[str, Tensor], generator: torch.Generator) -> Preview:
        """Source, output and target of the first window."""
        return self._melgan.preview(self._pictures(batch), generator)

    @torch.no_grad()
    def _pictures(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        sounds = batch["source"]
        stem = torch.full((len(sounds),), self.stem, device=sounds.device)
        with torch.autocast(sounds.device.type, enabled=False):
            pictures = {name: self.picture.stereo(batch[name]) for name in ("source", "target")}
        return {**pictures, _CONDITION: stem}


def _view(picture: Tensor) -> Tensor:
    return normalised(picture.clamp_min(CRITIC_FLOOR))
