"""Turns into optimiser steps: gradients of one group, checked before they move anything."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from audiotransfer.errors import AudioTransferError
from audiotransfer.training.devices import NarrowInFloat32
from audiotransfer.training.objective import GroupLike, TurnLike

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Stepper:
    """Owns one optimiser per group and lets only the group's parameters see a turn's loss.

    Raises:
        AudioTransferError: a group names a network that there is not.
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
            require(networks, group.networks, f"group {name!r}")
        self.parameters = {name: _parameters(group, networks) for name, group in groups.items()}
        self.optimisers = {
            name: _optimiser(group, self.parameters[name]) for name, group in groups.items()
        }

    def next(self, turns: Iterator[TurnLike]) -> TurnLike | None:
        """Return the next turn, computed in the chosen precision."""
        # Entered for each turn anew: autocast keeps cast copies of the weights while it lasts, and
        # the turn before has just changed them.
        with self.fabric.autocast(), NarrowInFloat32():
            return next(turns, None)

    def take(self, turn: TurnLike, scale: float) -> dict[str, float]:
        """Step the turn's group at `scale` times its rate, and return the turn's numbers.

        They are the terms, the loss and the norm of the gradient, of all processes together; where
        one of them is not finite nothing has moved.
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
            values = self._join(parameters, values)
        gradients = [p.grad for p in parameters if p.grad is not None]
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

    def _join(self, parameters: list[nn.Parameter], numbers: Tensor) -> Tensor:
        """Put the mean over the processes in each gradient's place; return that of the numbers.

        For losses that are means over examples this is the gradient of the joined batch. All goes
        in one message. A parameter that no process's loss reached keeps no gradient: one of zeros
        would still let Adam's momentum move it.
        """
        reached = numbers.new_tensor([p.grad is not None for p in parameters])
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        parts = [numbers, reached, *gradients]
        message = torch.cat([part.float().flatten() for part in parts])
        answer = cast(Tensor, self.fabric.all_reduce(message, reduce_op="mean"))
        means = answer.split([part.numel() for part in parts])
        for parameter, mean, share in zip(parameters, means[2:], means[1].tolist(), strict=True):
            parameter.grad = mean.view_as(parameter).to(parameter.dtype) if share > 0 else None
        return means[0]


def loss_of(turn: TurnLike) -> Tensor:
    """Return the sum of a turn's terms, each times its weight, without those of weight 0."""
    return torch.stack(
        [
            term.float() * turn.weights.get(name, 1.0)
            for name, term in turn.terms.items()
            if turn.weights.get(name, 1.0) != 0.0
        ]
    ).sum()


def require(networks: Mapping[str, nn.Module], names: tuple[str, ...], who: str) -> None:
    """Raise AudioTransferError unless each name is a network's."""
    for name in names:
        if name not in networks:
            known = ", ".join(networks)
            raise AudioTransferError(f"{who} names network {name!r}; there are {known}")


def impossible(step: int, batch: dict[str, Tensor], error: Exception) -> AudioTransferError:
    """One line about shapes that do not fit, or memory that does not suffice."""
    held = ", ".join(f"{name} {list(value.shape)}" for name, value in batch.items())
    reason = " ".join(str(error).split()) or type(error).__name__
    return AudioTransferError(
        f"step {step} cannot be computed ({reason}); its batch holds {held}: correct the sizes in "
        "the config"
    )


def _parameters(group: GroupLike, networks: Mapping[str, nn.Module]) -> list[nn.Parameter]:
    return [
        parameter
        for name in group.networks
        for parameter in networks[name].parameters()
        if parameter.requires_grad
    ]


def _optimiser(group: GroupLike, parameters: list[nn.Parameter]) -> Optimizer:
    settings = [{"params": parameters, "initial_lr": group.learning_rate}]
    if group.weight_decay:
        return AdamW(settings, group.learning_rate, group.betas, weight_decay=group.weight_decay)
    return Adam(settings, group.learning_rate, group.betas)
