"""CycleGAN on samples, whose discriminators see sound through the mu law's 256 steps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn

from audiotransfer.training import Preview
from audiotransfer.training.adversarial import ImagePool
from audiotransfer.training.cycle_consistency import SIDES, CycleConsistency, CycleGanSettings
from audiotransfer.waveform.generators import WaveformGenerator
from audiotransfer.waveform.pair_distances import mel_of
from audiotransfer.waveform.quantisation import eight_bit


class SoundCycleGan(CycleConsistency):
    """`CycleConsistency` of sounds ``[B, T]``.

    Real and generated sound is companded, quantised and expanded before the discriminators, with a
    straight-through gradient; cycles and identities are measured there too.

    Args:
        new_generator, new_discriminator: called twice each.
        length: samples of a crop.
        settings: see `CycleGanSettings`.
    """

    def __init__(
        self,
        new_generator: Callable[[], WaveformGenerator],
        new_discriminator: Callable[[], nn.Module],
        length: int,
        settings: CycleGanSettings,
    ) -> None:
        self.forth = new_generator()
        discriminators = {side: {"samples": new_discriminator()} for side in SIDES}
        pools = {side: ImagePool(settings.pool, length) for side in SIDES}
        super().__init__(self.forth, new_generator(), discriminators, pools, settings, eight_bit)

    @torch.no_grad()
    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """The first source, its conversion, and the conversion back."""
        source = batch["source"][:1].float()
        made = self.forth(source)
        spectrogram = mel_of(self.forth.sample_rate)
        sounds = {"source": source, "converted": made, "back": self.generators["source"](made)}
        return Preview(
            {name: spectrogram(sound)[0] for name, sound in sounds.items()},
            {name: (sound, self.forth.sample_rate) for name, sound in sounds.items()},
        )
