"""Where CUT compares patches: features of a generator's layers, projected to a common space."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from audiotransfer.spectral.networks.layers import SLOPE


class ProjectionHeads(nn.Module):
    """A two-layer network for each of a generator's layers, onto the unit sphere.

    Source: CUT (Park et al. 2020); leaky here, since a unit that never answers to the one channel
    of a picture would never learn to.

    Args:
        channels: of each layer.
        size: D.
    """

    def __init__(self, channels: Sequence[int], size: int = 256) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(inputs, size), nn.LeakyReLU(SLOPE), nn.Linear(size, size))
            for inputs in channels
        )

    def forward(self, patches: Sequence[Tensor]) -> list[Tensor]:
        """Patches ``[B, P, C]`` of each layer to points ``[B, P, D]`` of length 1."""
        return [
            functional.normalize(layer(one).float(), dim=-1, eps=1e-6)
            for layer, one in zip(self.layers, patches, strict=True)
        ]
