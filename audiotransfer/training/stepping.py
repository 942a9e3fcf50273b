"""Optimiser steps of an objective's turns, and exponential moving averages of weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from audiotransfer.errors import AudioTransferError
from audiotransfer.training.devices import NarrowInFloat32, own_randomness
from audiotransfer.training.objective import GroupLike, TurnLike

if TYPE_CHECKING:
    from lightning_fabric import Fabric


_EPSILON = 1e-8  # Adam's


class Stepper:
    """Steps one optimiser per group; a turn's loss changes its own group only.

    Raises:
        AudioTransferError: a group names an unknown network.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        groups: Mapping[str, GroupLike],
        fabric: Fabric,
        *,
        clip_norm: float | None = None,
    ) -> None:
        self.fabric = fabric
        self.clip_norm = clip_norm
        for name, group in groups.items():
            require_networks(networks, group.networks, f"group {name!r}")
        named = {name: _named_parameters(group, networks) for name, group in groups.items()}
        self.parameters = {name: [p for _, p in pairs] for name, pairs in named.items()}
        self.rates = {
            name: [_rate(groups[name], parameter) for parameter, _ in pairs]
            for name, pairs in named.items()
        }
        self.optimisers = {name: _optimiser(group, named[name]) for name, group in groups.items()}

    def next(self, turns: Iterator[TurnLike]) -> TurnLike | None:
        """Returns the next turn, computed in the chosen precision."""
        # Entered for each turn anew: autocast caches cast copies of the weights while it lasts,
        # and the turn before has just changed them.
        with self.fabric.autocast(), NarrowInFloat32():
            return next(turns, None)

    def take(self, turn: TurnLike, scale: float) -> dict[str, float]:
        """Steps the turn's group at `scale` times its learning rate; returns the turn's figures.

        They are the terms, the loss and the norm of the gradient, of all processes together; where
        one of them is not finite no weight was changed.
        """
        parameters = self.parameters[turn.group]
        loss = loss_of(turn)
        for parameter in parameters:
            parameter.grad = None
        self.fabric.backward(loss, inputs=parameters)
        found: dict[str, Tensor] = {**turn.terms, "loss": loss}
        device = self.fabric.device
        values = torch.stack([v.detach().float().to(device) for v in found.values()])
        if self.fabric.world_size > 1:
            values = self._average(parameters, values)
        gradients = [
            p.grad if rate == 1.0 else p.grad * rate
            for p, rate in zip(parameters, self.rates[turn.group], strict=True)
            if p.grad is not None
        ]
        norm = torch.nn.utils.get_total_norm(gradients)
        # One transfer for all numbers: each would make the accelerator wait.
        *listed, length = torch.cat([values, norm.float().to(device)[None]]).tolist()
        numbers = {f"{turn.group}/{n}": v for n, v in zip(found, listed, strict=True)}
        numbers[f"{turn.group}/gradient"] = length
        if all(map(math.isfinite, numbers.values())):
            if self.clip_norm is not None:
                torch.nn.utils.clip_grads_with_norm_(parameters, self.clip_norm, norm)
            optimiser = self.optimisers[turn.group]
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] * scale
            optimiser.step()
        for parameter in parameters:
            parameter.grad = None
        return numbers

    def _average(self, parameters: list[nn.Parameter], numbers: Tensor) -> Tensor:
        """Replaces each gradient by its mean over the processes; returns the numbers' means.

        For losses that are means over examples this is the gradient of the joined batch. All is
        sent in one message. A parameter that no process's loss depends on keeps no gradient: with
        one of zeros Adam's momentum would still move it.
        """
        reached = numbers.new_tensor([p.grad is not None for p in parameters])
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        parts = [numbers, reached, *gradients]
        message = torch.cat([part.float().flatten() for part in parts])
        answer = cast(Tensor, self.fabric.all_reduce(message, reduce_op="mean"))
        means: tuple[Tensor, ...] = answer.split([part.numel() for part in parts])
        for parameter, mean, share in zip(parameters, means[2:], means[1].tolist(), strict=True):
            parameter.grad = mean.view_as(parameter).to(parameter.dtype) if share > 0 else None
        return means[0]


def loss_of(turn: TurnLike) -> Tensor:
    """Returns the sum of a turn's terms, each times its weight, without those of weight 0."""
    return torch.stack(
        [
            term.float() * turn.weights.get(name, 1.0)
            for name, term in turn.terms.items()
            if turn.weights.get(name, 1.0) != 0.0
        ]
    ).sum()


def require_networks(networks: Mapping[str, nn.Module], names: tuple[str, ...], who: str) -> None:
    """Raises AudioTransferError unless each name is a network's."""
    for name in names:
        if name not in networks:
            known = ", ".join(networks)
            raise AudioTransferError(f"{who} names network {name!r}; there are {known}")


def step_error(step: int, batch: dict[str, Tensor], error: Exception) -> AudioTransferError:
    """The error, in one line, of a step whose shapes do not fit or whose memory is exceeded."""
    held = ", ".join(f"{name} {list(value.shape)}" for name, value in batch.items())
    reason = " ".join(str(error).split()) or type(error).__name__
    return AudioTransferError(
        f"step {step} cannot be computed ({reason}); its batch holds {held}: correct the sizes in "
        "the config"
    )


def _named_parameters(
    group: GroupLike, networks: Mapping[str, nn.Module]
) -> list[tuple[str, nn.Parameter]]:
    """The trained parameters of a group's networks, with their names in the network."""
    return [
        named
        for network in group.networks
        for named in networks[network].named_parameters()
        if named[1].requires_grad
    ]


def _optimiser(group: GroupLike, named: Sequence[tuple[str, nn.Parameter]]) -> Optimizer:
    """Adam, or AdamW with weight decay, with a parameter group for each learning rate."""
    by_rate: dict[float, list[nn.Parameter]] = {1.0: []}
    for name, parameter in named:
        by_rate.setdefault(_rate(group, name), []).append(parameter)
    settings = [
        {
            "params": parameters,
            "lr": group.learning_rate * rate,
            "initial_lr": group.learning_rate * rate,
            "eps": _EPSILON / rate,
        }
        for rate, parameters in by_rate.items()
    ]
    if group.weight_decay:
        return AdamW(settings, group.learning_rate, group.betas, weight_decay=group.weight_decay)
    return Adam(settings, group.learning_rate, group.betas)


def _rate(group: GroupLike, parameter: str) -> float:
    """The factor of a parameter's learning rate, by the last part of its name."""
    return group.rates.get(parameter.rpartition(".")[2], 1.0)


class MovingAverage:
    """Exponential moving averages of networks' parameters; buffers are copied.

    The first weights are the first average.

    Args:
        networks: by name.
        decay: the share of the old average at each update. It is (1 + n) / (10 + n) after n
            updates where that is less, so that the first weights are soon forgotten.
    """

    def __init__(self, networks: Mapping[str, nn.Module], decay: float) -> None:
        self.networks = dict(networks)
        self.decay = decay
        self.updates = 0
        self.averaged = {
            name: AveragedModel(network, multi_avg_fn=self._update_parameters)
            for name, network in self.networks.items()
        }
        for model in self.averaged.values():
            model.n_averaged.fill_(1)  # else the first update copies the weights

    @property
    def weights(self) -> dict[str, dict[str, Tensor]]:
        """The averaged state of each network."""
        return {name: model.module.state_dict() for name, model in self.averaged.items()}

    def update(self) -> None:
        """Updates the averages with the present weights."""
        for name, network in self.networks.items():
            self.averaged[name].update_parameters(network)
        self.updates += 1

    def _update_parameters(
        self, averaged: Sequence[Tensor], present: Sequence[Tensor], _: Any
    ) -> None:
        """Moves one device's averages toward the present parameters, in place."""
        # By our own count: reading AveragedModel's from an accelerator would wait for it.
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        get_ema_multi_avg_fn(decay)(averaged, present, None)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Loads the averages into the networks, and restores the present weights at the end."""
        present = {
            name: {key: value.detach().clone() for key, value in network.state_dict().items()}
            for name, network in self.networks.items()
        }
        try:
            for name, state in self.weights.items():
                self.networks[name].load_state_dict(state)
            yield
        finally:
            for name, network in self.networks.items():
                network.load_state_dict(present[name])


@contextmanager
def evaluating(
    networks: Mapping[str, nn.Module], average: MovingAverage | None, device: torch.device
) -> Iterator[None]:
    """Evaluation mode, averaged weights, no gradients, and the global random state restored."""
    averaged = average.applied() if average is not None else nullcontext()
    with torch.no_grad(), own_randomness(device), averaged:
        for network in networks.values():
            network.eval()
        try:
            yield
        finally:
            for network in networks.values():
                network.train()
