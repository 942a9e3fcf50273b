"""The paired objective: regression to a rendering of the same score in the target style."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from audiotransfer.spectral.models.base import STEMS
from audiotransfer.spectral.networks import FullFrequencyDiscriminator, PatchDiscriminator
from audiotransfer.spectral.objectives.losses import discriminator_view
from audiotransfer.spectral.objectives.stem_spectrograms import StemSpectrograms, stem_planes
from audiotransfer.training import Group, Preview, Turn
from audiotransfer.training.adversarial import discriminator_hinge
from audiotransfer.training.distances import audible_difference


class PairedObjective:
    """Distance to the true spectrogram, and adversarial terms against blur.

    Batches hold sound: ``source`` and ``target`` ``[B, 2, T]``, and ``stem`` ``[B]``. Terms of the
    generator: ``audible``, mean absolute audible difference in log level (nats); ``deep``, the same
    down to the spectrogram's floor; ``together``, where a batch holds whole songs, ``audible`` of
    the stems' sum to the true mix; ``full`` and ``patch``, the adversarial terms of two
    discriminators, from step ``adversarial_from`` on; None: never, and there are none.
    Discriminators see the stem as one-hot planes beside the spectrogram.
    """

    def __init__(
        self,
        generator: nn.Module,
        spectrograms: StemSpectrograms,
        weights: Mapping[str, float],
        adversarial_from: int | None = 2000,
        learning_rate: float = 3e-4,
        discriminator_learning_rate: float = 3e-4,
    ) -> None:
        self.spectrograms = spectrograms
        self.generator = generator
        self.weights = dict(weights)
        self.adversarial_from = adversarial_from
        self.discriminators = nn.ModuleDict()
        self.networks: dict[str, nn.Module] = {"generator": generator}
        self.groups = {"generator": Group(("generator",), learning_rate, (0.5, 0.99))}
        if adversarial_from is not None:
            inputs = 1 + len(STEMS)
            self.discriminators["full"] = FullFrequencyDiscriminator(
                spectrograms.settings.bins, inputs=inputs
            )
            self.discriminators["patch"] = PatchDiscriminator(inputs=inputs)
            self.networks["discriminators"] = self.discriminators
            self.groups["discriminators"] = Group(
                ("discriminators",), discriminator_learning_rate, (0.0, 0.99)
            )

    def turns(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator
    ) -> Iterator[Turn]:
        """Yields the discriminators' turn once they take part, then the generator's."""
        source, target = self._spectrograms(batch)
        stem = batch["stem"]
        made = self.generator(source, stem)
        adversarial = self.adversarial_from is not None and step >= self.adversarial_from
        if adversarial:
            real, fake = self._view(target, stem), self._view(made.detach(), stem)
            yield Turn(
                "discriminators",
                {
                    name: discriminator_hinge(discriminator(real), discriminator(fake))
                    for name, discriminator in self.discriminators.items()
                },
            )
        terms = {
            "audible": audible_difference(made, target).abs().mean(),
            "deep": (made - target).abs().mean(),
        }
        if "mix" in batch:
            terms["together"] = self._mix_distance(made, batch)
        if adversarial:
            fake = self._view(made, stem)
            for name, discriminator in self.discriminators.items():
                terms[name] = -discriminator(fake).float().mean()
        yield Turn("generator", terms, self.weights)

    def preview(self, batch: dict[str, Tensor], generator: torch.Generator) -> Preview:
        """Source, output and truth of the first pair of each stem in the batch."""
        source, target = self._spectrograms(batch)
        made = self.generator(source, batch["stem"])
        images = {}
        for index, name in enumerate(STEMS):
            where = (batch["stem"] == index).nonzero()
            if len(where):
                at = int(where[0])
                images[f"{name}/source"] = source[at]
                images[f"{name}/output"] = made[at]
                images[f"{name}/truth"] = target[at]
        return Preview(images)

    def distances(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """Mean absolute audible difference (nats) of output and of source to the truth.

        ``STEM`` and ``STEM/nothing`` for each stem in the batch.
        """
        source, target = self._spectrograms(batch)
        made = self.generator(source, batch["stem"])
        figures = {}
        for index, name in enumerate(STEMS):
            chosen = batch["stem"] == index
            if bool(chosen.any()):
                figures[name] = _mean_difference(made[chosen], target[chosen])
                figures[f"{name}/nothing"] = _mean_difference(source[chosen], target[chosen])
        return figures

    def _spectrograms(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The spectrograms of source and target."""
        source = self.spectrograms.source(batch["source"], batch["stem"])
        return source, self.spectrograms.target(batch["target"])

    def _mix_distance(self, made: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Audible difference of the mix of outputs and of what is kept, to the true mix."""
        kept = self.spectrograms.target(batch["kept"])
        mix = self.spectrograms.target(batch["mix"])
        stems = made.float().unflatten(0, (len(kept), -1))
        # Stems are taken as incoherent: their powers add up.
        total = torch.logsumexp(2 * torch.cat([stems, kept[:, None]], dim=1), dim=1) / 2
        return audible_difference(total, mix).abs().mean()

    def _view(self, spectrogram: Tensor, stem: Tensor) -> Tensor:
        """The discriminators' input."""
        return stem_planes(discriminator_view(spectrogram), stem)


def _mean_difference(made: Tensor, target: Tensor) -> float:
    """Mean absolute audible difference in nats."""
    return float(audible_difference(made, target).abs().mean())
