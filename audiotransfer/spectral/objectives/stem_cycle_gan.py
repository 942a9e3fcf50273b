"""CycleGAN on the stems of songs, with one U-Net each way for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Generator, Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.models.base import STEMS
from audiotransfer.spectral.models.unet import UNet
from audiotransfer.spectral.networks import FullFrequencyDiscriminator, PatchDiscriminator
from audiotransfer.spectral.objectives.cycle_gan import CycleGan
from audiotransfer.spectral.objectives.losses import discriminator_view
from audiotransfer.spectral.objectives.stem_spectrograms import StemSpectrograms, stem_planes
from audiotransfer.training import Preview, Turn
from audiotransfer.training.adversarial import ImagePool
from audiotransfer.training.cycle_consistency import SIDES, CycleGanSettings


class StemCycleGan(CycleGan):
    """`CycleGan` of drums, bass and other, which generators and discriminators are told.

    Batches hold sound, ``source`` and ``target`` ``[B, 2, T]`` of songs that need not be the same,
    and ``stem`` ``[B]``, which both have in common. On each side are a discriminator of the whole
    frequency range and one of patches.

    Raises AudioTransferError for settings with a pool of earlier outputs: their stems would not be
    those of the batch.
    """

    def __init__(
        self, forth: UNet, back: UNet, spectrograms: StemSpectrograms, settings: CycleGanSettings
    ) -> None:
        if settings.pool:
            raise AudioTransferError(
                f"settings.pool is {settings.pool}, but a CycleGAN of several stems keeps no "
                "earlier outputs; set 0"
            )
        self.spectrograms = spectrograms
        inputs = 1 + len(STEMS)
        discriminators = {
            side: {
                "full": FullFrequencyDiscriminator(spectrograms.settings.bins, inputs=inputs),
                "patch": PatchDiscriminator(inputs=inputs),
            }
            for side in SIDES
        }
        pools = {side: ImagePool(0) for side in SIDES}
        super().__init__(forth, back, discriminators, pools, settings, discriminator_view)

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """Yields the generators' turn, then the discriminators'."""
        yield from super().turns(self._spectrograms(batch), step, generator)

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """The first window of each side, its conversion, and the conversion back."""
        return super().preview(self._spectrograms(batch), generator)

    def generate(self, side: str, examples: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Spectrograms of the batch's stems, through the generator to ``side``."""
        generated: Tensor = self.generators[side](examples, batch["stem"])
        return generated

    def planes(self, viewed: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Views with the batch's stems as one-hot planes."""
        return stem_planes(viewed, batch["stem"])

    def _spectrograms(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The batch's sound as spectrograms."""
        stem = batch["stem"]
        return {
            "source": self.spectrograms.source(batch["source"], stem),
            "target": self.spectrograms.target(batch["target"]),
            "stem": stem,
        }
