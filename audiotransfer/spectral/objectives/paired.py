"""The paired turn: the same score in the target's instruments is the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiotransfer.spectral.models.unet import DISCRIMINATOR_FLOOR, STEMS, normalised
from audiotransfer.spectral.networks.discriminators import (
    FullFrequencyDiscriminator,
    PatchDiscriminator,
)
from audiotransfer.spectral.objectives.losses import audible
from audiotransfer.spectral.objectives.melgan_vc import discriminator_hinge
from audiotransfer.training import Group, Preview, Turn
from vocoder.spectrogram import SpectrogramSettings


class PairedObjective:
    """Distance to the true spectrogram, and discriminators against blur.

    Batches hold sound: ``source`` and ``target`` ``[B, 2, T]``, and ``stem`` ``[B]``. Terms of the
    generator: ``audible``, mean absolute difference in log level (nats) above the level at which a
    mix hides everything; ``deep``, the same down to the spectrogram's floor; ``together``, where a
    batch holds whole songs, ``audible`` of the stems' sum to the true mix; ``full`` and ``patch``,
    what two discriminators think of the output, from step ``adversarial_from`` on. Discriminators
    see the stem's index as planes beside the spectrogram, so that a fine brush stroke is never good
    enough for a bass.
    """

    def __init__(
        self,
        generator: nn.Module,
        spectrogram: SpectrogramSettings,
        weights: Mapping[str, float],
        adversarial_from: int = 2000,
        learning_rate: float = 3e-4,
        discriminator_learning_rate: float = 3e-4,
    ) -> None:
        self.spectrogram = spectrogram
        self.generator = generator
        self.weights = dict(weights)
        self.adversarial_from = adversarial_from
        self.discriminators = nn.ModuleDict(
            {
                "full": FullFrequencyDiscriminator(spectrogram.bins, inputs=1 + len(STEMS)),
                "patch": PatchDiscriminator(inputs=1 + len(STEMS)),
            }
        )
        self.networks: dict[str, nn.Module] = {
            "generator": generator,
            "discriminators": self.discriminators,
        }
        self.groups = {
            "discriminators": Group(("discriminators",), discriminator_learning_rate, (0.0, 0.99)),
            "generator": Group(("generator",), learning_rate, (0.5, 0.99)),
        }

    def turns(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator
    ) -> Iterator[Turn]:
        """The discriminators' turn once they take part, then the generator's."""
        source, target = self._spectrograms(batch)
        stem = batch["stem"]
        made = self.generator(source, stem)
        if step >= self.adversarial_from:
            real, fake = self._seen(target, stem), self._seen(made.detach(), stem)
            yield Turn(
                "discriminators",
                {
                    name: discriminator_hinge(discriminator(real), discriminator(fake))
                    for name, discriminator in self.discriminators.items()
                },
            )
        terms = {
            "audible": audible(made, target).abs().mean(),
            "deep": (made - target).abs().mean(),
        }
        if "mix" in batch:
            terms["together"] = self._together(made, batch)
        if step >= self.adversarial_from:
            fake = self._seen(made, stem)
            for name, discriminator in self.discriminators.items():
                terms[name] = -discriminator(fake).float().mean()
        yield Turn("generator", terms, self.weights)

    def preview(self, batch: dict[str, Tensor], generator: torch.Generator) -> Preview:
        """Source, output and truth of the first pair of each stem in the batch."""
        source, target = self._spectrograms(batch)
        made = self.generator(source, batch["stem"])
        spectrograms = {}
        for index, name in enumerate(STEMS):
            where = (batch["stem"] == index).nonzero()
            if len(where):
                at = int(where[0])
                spectrograms[f"{name}/source"] = source[at]
                spectrograms[f"{name}/output"] = made[at]
                spectrograms[f"{name}/truth"] = target[at]
        return Preview(spectrograms)

    def distances(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """Audible distance to the truth, per stem, and what doing nothing gives (nats)."""
        source, target = self._spectrograms(batch)
        made = self.generator(source, batch["stem"])
        figures = {}
        for index, name in enumerate(STEMS):
            chosen = batch["stem"] == index
            if bool(chosen.any()):
                figures[name] = float(audible(made[chosen], target[chosen]).abs().mean())
                figures[f"{name}/nothing"] = float(
                    audible(source[chosen], target[chosen]).abs().mean()
                )
        return figures

    def _spectrograms(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        with torch.no_grad(), torch.autocast(batch["source"].device.type, enabled=False):
            return self.spectrogram.stereo(batch["source"]), self.spectrogram.stereo(
                batch["target"]
            )

    def _together(self, made: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Audible distance of the stems' sum, with what is kept, to the true mix."""
        with torch.no_grad(), torch.autocast(made.device.type, enabled=False):
            kept = self.spectrogram.stereo(batch["kept"])
            mix = self.spectrogram.stereo(batch["mix"])
        stems = made.float().unflatten(0, (len(kept), -1))
        # Stems are taken as incoherent: their powers add up.
        total = torch.logsumexp(2 * torch.cat([stems, kept[:, None]], dim=1), dim=1) / 2
        return audible(total, mix).abs().mean()

    def _seen(self, spectrogram: Tensor, stem: Tensor) -> Tensor:
        """What discriminators see: the spectrogram and a plane per stem, ``[B, 1 + stems, F,
        L]``.
        """
        planes = functional.one_hot(stem, len(STEMS)).to(spectrogram.dtype)[:, :, None, None]
        planes = planes.expand(-1, -1, *spectrogram.shape[-2:])
        return torch.cat(
            [normalised(spectrogram.clamp_min(DISCRIMINATOR_FLOOR))[:, None], planes], 1
        )
