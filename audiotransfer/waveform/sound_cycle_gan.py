"""CycleGAN on samples, whose discriminators see sound through the mu law's 256 steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor, nn

from audiotransfer.data.domains import PAIRS
from audiotransfer.training import Preview, Turn
from audiotransfer.training.adversarial import ImagePool
from audiotransfer.training.cycle_consistency import SIDES, CycleConsistency, CycleGanSettings
from audiotransfer.waveform.generators import WaveformGenerator
from audiotransfer.waveform.pair_distances import mel_of, shorter_windows, window_difference
from audiotransfer.waveform.quantisation import eight_bit

_WINDOWS = (2048, 1024, 512, 256)  # samples, in which pairs are compared
#: Adam moves every weight about as far a step; a filterbank's are much smaller than a layer's.
_FILTERBANK_RATE = 0.05


@dataclass(frozen=True)
class SoundCycleSettings(CycleGanSettings):
    """Those of a CycleGAN, and what rendered pairs add.

    ``pairs`` is the weight of the spectral difference of converted sources to the true targets of
    rendered pairs (mean absolute nats), 0 for none; with them, all that needs no pairs has its turn
    at every ``every``-th step only.
    """

    pairs: float = 0.0
    every: int = 1


class SoundCycleGan(CycleConsistency):
    """`CycleConsistency` of sounds ``[B, T]``.

    Real and generated sound is companded, quantised and expanded before the discriminators, with a
    straight-through gradient; cycles and identities are measured there too. Where
    ``settings.pairs`` has a weight, batches also hold ``pairs/source`` and ``pairs/target``
    ``[B, T]``.

    Args:
        new_generator, new_discriminator: called twice each.
        length: samples of a crop.
        settings: see `SoundCycleSettings`.
    """

    settings: SoundCycleSettings

    def __init__(
        self,
        new_generator: Callable[[], WaveformGenerator],
        new_discriminator: Callable[[], nn.Module],
        length: int,
        settings: SoundCycleSettings,
    ) -> None:
        self.forth = new_generator()
        discriminators = {side: {"samples": new_discriminator()} for side in SIDES}
        pools = {side: ImagePool(settings.pool, length) for side in SIDES}
        super().__init__(self.forth, new_generator(), discriminators, pools, settings, eight_bit)
        rates = {"analysis": _FILTERBANK_RATE, "synthesis": _FILTERBANK_RATE}
        self.groups["generator"] = replace(self.groups["generator"], rates=rates)
        self.compared = shorter_windows(self.forth.sample_rate, _WINDOWS)

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """Yields a turn with the pairs, where there are some, and at times those without pairs."""
        if self.settings.pairs:
            made = self.forth(batch[f"{PAIRS}/source"])
            difference = window_difference(
                self.compared, made.float(), batch[f"{PAIRS}/target"].float()
            )
            yield Turn("generator", {PAIRS: difference}, {PAIRS: self.settings.pairs})
        if step % self.settings.every == 0:
            yield from super().turns(batch, step, generator)

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
