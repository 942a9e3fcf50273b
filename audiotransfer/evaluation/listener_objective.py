"""Teaching a listener: what judges and taggers have in common while they learn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from audiotransfer.evaluation.listener import ListenerNetwork, ListenerSettings
from audiotransfer.training import Batches, Group, Turn
from audiotransfer.training.stepping import loss_of

_WINDOWS_AT_ONCE = 64


class ListenerObjective(ABC):
    """A fresh network that AdamW steps alone; a subclass says what it is taught.

    Its name among networks and groups is the ``kind`` of the listener that it becomes. ``seed``
    draws its first weights.
    """

    kind: ClassVar[str]

    def __init__(
        self, settings: ListenerSettings, *, learning_rate: float = 1e-3,
        weight_decay: float = 1e-2, seed: int = 0,
    ) -> None:  # fmt: skip
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = ListenerNetwork(settings)
        self.settings = settings
        self.seed = seed
        self.networks: Mapping[str, nn.Module] = {self.kind: self.network}
        self.groups: Mapping[str, Group] = {
            self.kind: Group((self.kind,), learning_rate, (0.9, 0.99), weight_decay)
        }

    @abstractmethod
    def turns(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator
    ) -> Iterator[Turn]:
        """What an `Objective` promises."""

    def learn(self, batches: Batches, steps: int) -> None:
        """Teaches the network on the spot, without a trainer: for listeners of a minute's work.

        Every call gives the same weights; global random numbers are left as they were.
        """
        group = self.groups[self.kind]
        optimiser = torch.optim.AdamW(
            self.network.parameters(),
            group.learning_rate,
            group.betas,
            weight_decay=group.weight_decay,
        )
        generator = torch.Generator().manual_seed(self.seed)
        self.network.train()
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            for step in range(steps):
                for turn in self.turns(batches.batch(step), step, generator):
                    optimiser.zero_grad()
                    loss_of(turn).backward()
                    optimiser.step()
        self.network.eval()


@torch.no_grad()
def logits_of(network: nn.Module, features: Tensor) -> Tensor:
    """What a network, evaluating, makes of windows [N, F, L]: [N, classes], on the CPU."""
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    parts = [network(part.to(device)).cpu() for part in features.split(_WINDOWS_AT_ONCE)]
    network.train(was_training)
    return torch.cat(parts)
