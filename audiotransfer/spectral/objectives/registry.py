"""Objectives for unpaired spectrograms by name, and the networks that configs describe for them.

An objective is one file and one line of the entry-point group `audiotransfer.objectives`, ours or
an installed plugin's. It is found here if it has `Settings` (a dataclass) and
`on_spectrograms(factory, settings)`, which builds it with new networks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

from torch import Tensor, nn

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.models.base import SpectrogramNetwork
from audiotransfer.spectral.networks import (
    FullFrequencyDiscriminator,
    PaddedUNet,
    PatchDiscriminator,
    PatchGan,
    ResNetGenerator,
    SpectrogramDiscriminator,
    WholeFrequencyDiscriminator,
    WholeFrequencyGenerator,
)
from audiotransfer.suggest import suggest
from audiotransfer.training import Objective
from audiotransfer.typed import read_mapping
from vocoder.spectrogram import to_unit

GROUP = "audiotransfer.objectives"


def names() -> list[str]:
    """Names that `create` takes, in alphabetical order."""
    return sorted(_registered())


def create(name: str, factory: NetworkFactory, settings: Mapping[str, Any]) -> Objective:
    """Builds an objective with new networks.

    Raises AudioTransferError for an unknown name, setting or network, naming the nearest.
    """
    found = _registered()
    if name not in found:
        hint = suggest(name, sorted(found), form="{!r}")
        raise AudioTransferError(f"no objective {name!r} learns from unpaired spectrograms: {hint}")
    objective_class = found[name]
    chosen = read_mapping(settings, objective_class.Settings, "settings")
    objective: Objective = objective_class.on_spectrograms(factory, chosen)
    return objective


def _registered() -> dict[str, Any]:
    """The registered objectives that `create` can build, by name."""
    loaded = {entry.name: entry.load() for entry in entry_points(group=GROUP)}
    return {name: kind for name, kind in loaded.items() if hasattr(kind, "on_spectrograms")}


NetworkSettings = Mapping[str, Any]
GENERATORS: dict[str, type[SpectrogramNetwork]] = {
    kind.kind: kind for kind in (WholeFrequencyGenerator, PaddedUNet, ResNetGenerator)
}
#: By kind: from the bins and frames of their input, and their settings.
DISCRIMINATORS: dict[str, Callable[..., nn.Module]] = {
    "whole-frequency": WholeFrequencyDiscriminator,
    "places": lambda bins, frames, **settings: FullFrequencyDiscriminator(bins, **settings),
    "patch": lambda bins, frames, **settings: PatchDiscriminator(**settings),
    "patch-gan": lambda bins, frames, **settings: PatchGan(**settings),
    "spectrogram": SpectrogramDiscriminator,
}


@dataclass(frozen=True)
class NetworkFactory:
    """Builds generators and discriminators for training windows of one size.

    Args:
        bins, frames: F and L of a window.
        generator: a kind of `GENERATORS` and its settings: ``{"kind": "resnet", "blocks": 6}``.
        discriminators: the same of `DISCRIMINATORS`, by name; their losses are averaged.
    """

    bins: int
    frames: int
    generator: NetworkSettings = field(default_factory=dict)
    discriminators: Mapping[str, NetworkSettings] = field(default_factory=dict)

    def new_generator(self) -> SpectrogramNetwork:
        """A new generator.

        Raises AudioTransferError for an unknown kind or setting, or a size that fails.
        """
        made: SpectrogramNetwork = _build(GENERATORS, self.generator, "generator", bins=self.bins)
        return made

    def new_discriminators(self) -> dict[str, nn.Module]:
        """A new discriminator for each name. Raises as above."""
        if not self.discriminators:
            raise AudioTransferError("there is no discriminator; name at least one discriminator")
        size = {"bins": self.bins, "frames": self.frames}
        return {
            name: _build(DISCRIMINATORS, settings, f"discriminator {name!r}", **size)
            for name, settings in self.discriminators.items()
        }

    @staticmethod
    def view(spectrogram: Tensor) -> Tensor:
        """The discriminators' input for a spectrogram [B, F, L]: its levels in -1..1, float32."""
        return to_unit(spectrogram.float())


def _build(known: Mapping[str, Any], settings: NetworkSettings, what: str, **size: int) -> Any:
    """Builds a network of a known kind; ``what`` names it in messages."""
    arguments = dict(settings)
    kind = arguments.pop("kind", None)
    if kind not in known:
        hint = suggest(str(kind), known, form="{!r}")
        raise AudioTransferError(f"{what} has no kind {kind!r}: {hint}")
    try:
        return known[kind](**size, **arguments)
    except (TypeError, ValueError, RuntimeError, ZeroDivisionError) as error:
        reason = " ".join(str(error).split())
        raise AudioTransferError(
            f"{what} of kind {kind!r} cannot be made for {size} with {arguments} ({reason}); "
            "correct its settings"
        ) from error
