"""What an unpaired objective is made from: fresh networks for pictures of one size."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.critics import FullFrequencyCritic, PatchCritic
from audiotransfer.spectral.networks import (
    PaddedUNet,
    Painter,
    PatchGan,
    PictureCritic,
    ResNetGenerator,
    WholeFrequencyCritic,
    WholeFrequencyGenerator,
    to_unit,
)

Shape = Mapping[str, Any]
GENERATORS: dict[str, type[Painter]] = {
    kind.kind: kind for kind in (WholeFrequencyGenerator, PaddedUNet, ResNetGenerator)
}
#: By kind, from the bins and frames of what they judge.
CRITICS: dict[str, Callable[..., nn.Module]] = {
    "whole-frequency": WholeFrequencyCritic,
    "places": lambda bins, frames, **shape: FullFrequencyCritic(bins, **shape),
    "patch": lambda bins, frames, **shape: PatchCritic(**shape),
    "patch-gan": lambda bins, frames, **shape: PatchGan(**shape),
    "picture": PictureCritic,
}


@dataclass(frozen=True)
class Materials:
    """The size of training windows, and how the networks for them are shaped.

    Args:
        bins, frames: F and L of a window.
        generator: a kind of `GENERATORS` and its settings, `{"kind": "resnet", "blocks": 6}`.
        critics: the same of `CRITICS`, by name; they judge together.
    """

    bins: int
    frames: int
    generator: Shape = field(default_factory=dict)
    critics: Mapping[str, Shape] = field(default_factory=dict)

    def new_generator(self) -> Painter:
        """Raises AudioTransferError for an unknown kind or setting, or a size that fails."""
        made: Painter = _build(GENERATORS, self.generator, "generator", bins=self.bins)
        return made

    def new_critics(self) -> dict[str, nn.Module]:
        """A new critic for each name. Raises as above."""
        if not self.critics:
            raise AudioTransferError("nothing judges the pictures; name at least one critic")
        size = {"bins": self.bins, "frames": self.frames}
        return {
            name: _build(CRITICS, shape, f"critic {name!r}", **size)
            for name, shape in self.critics.items()
        }

    @staticmethod
    def view(picture: Tensor) -> Tensor:
        """What critics see of a picture [B, F, L]: its levels in -1..1, float32."""
        return to_unit(picture.float())


def _build(known: Mapping[str, Any], shape: Shape, what: str, **size: int) -> Any:
    settings = dict(shape)
    kind = settings.pop("kind", None)
    if kind not in known:
        near = difflib.get_close_matches(str(kind), known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        raise AudioTransferError(f"{what} has no kind {kind!r}: {hint}")
    try:
        return known[kind](**size, **settings)
    except (TypeError, ValueError, RuntimeError, ZeroDivisionError) as error:
        reason = " ".join(str(error).split())
        raise AudioTransferError(
            f"{what} of kind {kind!r} cannot be made for {size} with {settings} ({reason}); "
            "correct its settings"
        ) from error
