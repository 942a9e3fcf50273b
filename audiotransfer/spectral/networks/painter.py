"""What every generator here is: a network from pictures to pictures in the tanh unit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from audiotransfer.spectral.networks.levels import from_unit, to_unit
from audiotransfer.spectral.repainter import Repainter


class Painter(Repainter):
    """Turns log-level pictures ``[B, F, L]`` into new ones, every cell painted afresh.

    A subclass says in `paint` what it does to pictures ``[B, 1, F, L]`` in -1..1, before tanh, and
    gives its settings to `__init__`, so that it can be built again from its `shape`.
    """

    def __init__(self, bins: int, **settings: Any) -> None:
        super().__init__()
        self.bins = bins
        self._settings = settings

    def forward(self, picture: Tensor) -> Tensor:
        """``[B, F, L] -> [B, F, L]``, any length that the network takes."""
        painted = torch.tanh(self.paint(to_unit(picture)[:, None]))
        return from_unit(painted[:, 0].float())

    def paint(self, unit: Tensor) -> Tensor:
        """``[B, 1, F, L] -> [B, 1, F, L]``, unbounded."""
        raise NotImplementedError

    def shape(self) -> dict[str, Any]:
        """What builds the same network again."""
        return {"bins": self.bins, **self._settings}

    def repaint(self, views: Tensor, stem: Tensor) -> Tensor:
        """As `forward`: one network for one stem, whichever it is."""
        painted: Tensor = self(views)
        return painted
