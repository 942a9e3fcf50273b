"""Small networks that predict the next event of a part of the jazz band."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from audiotransfer.training import Group, Preview, Turn
from audiotransfer.weights import load_network, save_weights

_NETWORK = "events"


class EventNetwork(nn.Module):
    """Logits of the next event's classes: features ``[B, F]`` to ``[B, classes]``."""

    kind = "events"

    def __init__(
        self, features: int, classes: int, widths: tuple[int, ...] = (64, 32), dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.features, self.classes = features, classes
        self.widths, self.dropout = tuple(widths), dropout
        layers: list[nn.Module] = []
        before = features
        for width in self.widths:
            layers += [nn.Linear(before, width), nn.ReLU(), nn.Dropout(dropout)]
            before = width
        self.layers = nn.Sequential(*layers, nn.Linear(before, classes))

    def shape(self) -> dict[str, Any]:
        """The arguments that build this network again."""
        return {
            "features": self.features,
            "classes": self.classes,
            "widths": self.widths,
            "dropout": self.dropout,
        }

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.layers(features)
        return logits

    @torch.no_grad()
    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """The probability of each class, ``[B, F] -> [B, classes]``."""
        logits = self(torch.from_numpy(np.atleast_2d(features)))
        shares: NDArray[np.float64] = logits.double().softmax(-1).numpy()
        return shares


def save_events(path: Path, network: EventNetwork) -> None:
    """Writes the network's weights and shape. Raises AudioTransferError where it cannot."""
    save_weights(path, network.state_dict(), {"kind": network.kind, **network.shape()})


def load_events(path: Path) -> EventNetwork:
    """Reads what `save_events` wrote.

    Raises AudioTransferError: the file cannot be read, or holds something else.
    """
    network = load_network(path, {EventNetwork.kind: EventNetwork}, "network of events")
    return network.eval()


class EventObjective:
    """Trains an `EventNetwork` by the cross entropy of the events, in bits.

    A batch is {"features": [B, F], "events": [B]}.
    """

    def __init__(self, network: EventNetwork, learning_rate: float, weight_decay: float) -> None:
        self.network = network
        self.networks: Mapping[str, nn.Module] = {_NETWORK: network}
        self.groups: Mapping[str, Group] = {
            _NETWORK: Group((_NETWORK,), learning_rate, (0.9, 0.999), weight_decay)
        }

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """One turn: the cross entropy."""
        yield Turn(_NETWORK, {"bits": bits(self.network(batch["features"]), batch["events"])})

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """Nothing: the features are no images."""
        return Preview()


def bits(logits: Tensor, events: Tensor) -> Tensor:
    """Mean cross entropy of events ``[B]`` by logits ``[B, classes]``, in bits."""
    return F.cross_entropy(logits, events) / float(np.log(2))
