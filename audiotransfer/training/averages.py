"""Exponential moving averages of networks: what ships is smoother than the last step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage:
    """Averages the parameters of some networks; buffers are taken as they are.

    Args:
        networks: by name.
        decay: the share of the old average that stays at each step. It is held back at the start,
            to (1 + n) / (10 + n) after n updates, so that the first weights are soon forgotten.
    """

    def __init__(self, networks: Mapping[str, nn.Module], decay: float) -> None:
        self.networks = dict(networks)
        self.decay = decay
        self.updates = 0
        self.weights: dict[str, dict[str, Tensor]] = {
            name: {key: value.detach().clone() for key, value in network.state_dict().items()}
            for name, network in self.networks.items()
        }

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages toward the present weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        for name, network in self.networks.items():
            learned = {key for key, _ in network.named_parameters()}
            for key, value in network.state_dict().items():
                kept = self.weights[name][key]
                if key in learned and value.is_floating_point():
                    kept.lerp_(value, 1 - decay)
                else:
                    kept.copy_(value)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Lend the averaged weights to the networks, and give the present ones back after."""
        present = {
            name: {key: value.detach().clone() for key, value in network.state_dict().items()}
            for name, network in self.networks.items()
        }
        try:
            for name, network in self.networks.items():
                network.load_state_dict(self.weights[name])
            yield
        finally:
            for name, network in self.networks.items():
                network.load_state_dict(present[name])
