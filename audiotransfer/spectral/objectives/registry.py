"""Objectives that learn from unpaired spectrograms, found by name.

Whatever the group `audiotransfer.objectives` registers and has `Settings` (a dataclass) and
`on_spectrograms(materials, settings)` counts: ours and those of installed plugins.
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
    PaddedUNet,
    PatchGan,
    ResNetGenerator,
    SpectrogramDiscriminator,
    WholeFrequencyDiscriminator,
    WholeFrequencyGenerator,
)
from audiotransfer.spectral.networks.discriminators import (
    FullFrequencyDiscriminator,
    PatchDiscriminator,
)
from audiotransfer.suggest import suggest
from audiotransfer.training import Objective
from audiotransfer.typed import read_mapping
from vocoder.spectrogram import to_unit

GROUP = "audiotransfer.objectives"


def names() -> list[str]:
    """Names that `create` knows, in alphabetical order."""
    return sorted(_registered())


def create(name: str, materials: Materials, settings: Mapping[str, Any]) -> Objective:
    """Build an objective with fresh networks.

    Raises AudioTransferError for an unknown name, setting or network, naming the nearest.
    """
    found = _registered()
    if name not in found:
        hint = suggest(name, sorted(found), form="{!r}")
        raise AudioTransferError(f"no objective {name!r} learns from unpaired spectrograms: {hint}")
    kind = found[name]
    chosen = read_mapping(settings, kind.Settings, "settings")
    objective: Objective = kind.on_spectrograms(materials, chosen)
    return objective


def _registered() -> dict[str, Any]:
    loaded = {entry.name: entry.load() for entry in entry_points(group=GROUP)}
    return {name: kind for name, kind in loaded.items() if hasattr(kind, "on_spectrograms")}


Shape = Mapping[str, Any]
GENERATORS: dict[str, type[SpectrogramNetwork]] = {
    kind.kind: kind for kind in (WholeFrequencyGenerator, PaddedUNet, ResNetGenerator)
}
#: By kind, from the bins and frames of what they judge.
DISCRIMINATORS: dict[str, Callable[..., nn.Module]] = {
    "whole-frequency": WholeFrequencyDiscriminator,
    "places": lambda bins, frames, **shape: FullFrequencyDiscriminator(bins, **shape),
    "patch": lambda bins, frames, **shape: PatchDiscriminator(**shape),
    "patch-gan": lambda bins, frames, **shape: PatchGan(**shape),
    "spectrogram": SpectrogramDiscriminator,
}


@dataclass(frozen=True)
class Materials:
    """The size of training windows, and how the networks for them are shaped.

    Args:
        bins, frames: F and L of a window.
        generator: a kind of `GENERATORS` and its settings, `{"kind": "resnet", "blocks": 6}`.
        discriminators: the same of `DISCRIMINATORS`, by name; they judge together.
    """

    bins: int
    frames: int
    generator: Shape = field(default_factory=dict)
    discriminators: Mapping[str, Shape] = field(default_factory=dict)

    def new_generator(self) -> SpectrogramNetwork:
        """Raises AudioTransferError for an unknown kind or setting, or a size that fails."""
        made: SpectrogramNetwork = _build(GENERATORS, self.generator, "generator", bins=self.bins)
        return made

    def new_discriminators(self) -> dict[str, nn.Module]:
        """A new discriminator for each name. Raises as above."""
        if not self.discriminators:
            raise AudioTransferError(
                "nothing judges the spectrograms; name at least one discriminator"
            )
        size = {"bins": self.bins, "frames": self.frames}
        return {
            name: _build(DISCRIMINATORS, shape, f"discriminator {name!r}", **size)
            for name, shape in self.discriminators.items()
        }

    @staticmethod
    def view(spectrogram: Tensor) -> Tensor:
        """What discriminators see of a spectrogram [B, F, L]: its levels in -1..1, float32."""
        return to_unit(spectrogram.float())


def _build(known: Mapping[str, Any], shape: Shape, what: str, **size: int) -> Any:
    settings = dict(shape)
    kind = settings.pop("kind", None)
    if kind not in known:
        hint = suggest(str(kind), known, form="{!r}")
        raise AudioTransferError(f"{what} has no kind {kind!r}: {hint}")
    try:
        return known[kind](**size, **settings)
    except (TypeError, ValueError, RuntimeError, ZeroDivisionError) as error:
        reason = " ".join(str(error).split())
        raise AudioTransferError(
            f"{what} of kind {kind!r} cannot be made for {size} with {settings} ({reason}); "
            "correct its settings"
        ) from error
