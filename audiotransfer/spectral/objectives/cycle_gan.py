"""CycleGAN on spectrograms of any kind, log-mel or CQT (see `training.cycle_consistency`)."""

from __future__ import annotations

from typing import ClassVar, Self

from torch import Generator, Tensor

from audiotransfer.spectral.objectives.losses import detach_silent, is_audible
from audiotransfer.spectral.objectives.registry import NetworkFactory
from audiotransfer.training import Preview
from audiotransfer.training.adversarial import ImagePool
from audiotransfer.training.cycle_consistency import SIDES, CycleConsistency, CycleGanSettings


class CycleGan(CycleConsistency):
    """`CycleConsistency` of log-level spectrograms [B, F, L]; silent ones change no weights."""

    Settings: ClassVar[type[CycleGanSettings]] = CycleGanSettings

    @classmethod
    def on_spectrograms(cls, factory: NetworkFactory, settings: CycleGanSettings) -> Self:
        """Builds new networks for windows of one size."""
        return cls(
            factory.new_generator(),
            factory.new_generator(),
            {side: factory.new_discriminators() for side in SIDES},
            {side: ImagePool(settings.pool, factory.bins, factory.frames) for side in SIDES},
            settings,
            factory.view,
        )

    def audible_only(self, made: Tensor, real: Tensor) -> Tensor:
        """What was made, without a gradient for examples that are silent."""
        return detach_silent(made, is_audible(real))

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """The first window of each side, its conversion, and the conversion back."""
        real = {name: values[:1] for name, values in batch.items()}
        real |= {side: real[side].float() for side in SIDES}
        images = {}
        for side, other in zip(SIDES, reversed(SIDES), strict=True):
            made = self.converted(other, real)
            images[f"to {other}/source"] = real[side][0]
            images[f"to {other}/converted"] = made[0]
            images[f"to {other}/back"] = self.generate(side, made, real)[0]
        return Preview(images)
