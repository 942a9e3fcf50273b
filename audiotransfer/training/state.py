"""The whole state of a training as named tensors, there and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from audiotransfer.training.averages import MovingAverage
from audiotransfer.training.checkpoints import pack, unpack
from audiotransfer.training.log import Window

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def collect(
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, Optimizer],
    average: MovingAverage | None,
    generator: Generator,
    fabric: Fabric,
) -> dict[str, Tensor]:
    """Return every tensor that the next step depends on; all processes must ask together."""
    tensors = pack("networks", {name: net.state_dict() for name, net in networks.items()})
    for name, optimiser in optimisers.items():
        slots = {
            f"{index}.{key}": torch.as_tensor(value)
            for index, state in optimiser.state_dict()["state"].items()
            for key, value in state.items()
        }
        tensors |= pack("optimisers", {name: slots})
    if average is not None:
        tensors |= pack("averages", average.weights)
    states = {"own": generator.get_state(), "cpu": torch.get_rng_state()}
    if fabric.device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(fabric.device)
    for name, state in states.items():
        gathered = cast(Tensor, fabric.all_gather(state))
        for rank, one in enumerate(gathered.reshape(-1, len(state))):
            tensors[_generator(name, rank)] = one.to("cpu", torch.uint8)
    return tensors


def restore(
    tensors: Mapping[str, Tensor],
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, Optimizer],
    average: MovingAverage | None,
    generator: Generator,
    fabric: Fabric,
) -> None:
    """Undo `collect`; the generators of a process that was not there then stay as they are.

    Raises KeyError or RuntimeError where the state is another training's.
    """
    weights = unpack(tensors, "networks")
    for name, network in networks.items():
        network.load_state_dict(weights[name])
    slots = unpack(tensors, "optimisers")
    for name, optimiser in optimisers.items():
        optimiser.load_state_dict(
            {
                "state": _by_parameter(slots.get(name, {}), optimiser),
                "param_groups": optimiser.state_dict()["param_groups"],
            }
        )
    if average is not None:
        for name, state in unpack(tensors, "averages").items():
            for key, value in state.items():
                average.weights[name][key].copy_(value)
    own, cpu, cuda = (_generator(name, fabric.global_rank) for name in ("own", "cpu", "cuda"))
    if own in tensors:
        generator.set_state(tensors[own])
        torch.set_rng_state(tensors[cpu])
    if fabric.device.type == "cuda" and cuda in tensors:
        torch.cuda.set_rng_state(tensors[cuda], fabric.device)


def _generator(name: str, rank: int) -> str:
    return f"generators/{name}" if rank == 0 else f"generators/{name}.{rank}"


def _by_parameter(
    slots: Mapping[str, Tensor], optimiser: Optimizer
) -> dict[int, dict[str, Tensor]]:
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for path, value in slots.items():
        index, _, key = path.partition(".")
        like = parameters[int(index)]
        if value.shape == like.shape:
            # In the parameter's memory layout, so that the same kernels run as before.
            value = torch.empty_like(like).copy_(value)
        state.setdefault(int(index), {})[key] = value
    return state


@dataclass
class Progress:
    """Steps done, how they went, and the best that validation found."""

    step: int = 0
    failed: int = 0
    failed_in_a_row: int = 0
    best: float = -math.inf
    since_best: int = 0  # validations
    window: Window = field(default_factory=Window)
    figures: dict[str, float] = field(default_factory=dict)

    def score(self, headline: float | None) -> bool:
        """Note what a validation found, if anything; say whether it is the best so far."""
        if headline is None:
            return False
        better = headline > self.best
        self.since_best = 0 if better else self.since_best + 1
        if better:
            self.best = headline
        return better

    def facts(self) -> dict[str, Any]:
        """Everything as JSON takes it."""
        return {
            "step": self.step,
            "failed": self.failed,
            "failed_in_a_row": self.failed_in_a_row,
            "best": self.best if math.isfinite(self.best) else None,
            "since_best": self.since_best,
            "window": self.window.sums,
            "figures": {n: v if math.isfinite(v) else None for n, v in self.figures.items()},
        }

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Progress:
        """Undo `facts`, of older checkpoints too."""
        return cls(
            int(facts["step"]),
            int(facts["failed"]),
            int(facts["failed_in_a_row"]),
            -math.inf if facts["best"] is None else float(facts["best"]),
            int(facts.get("since_best", 0)),
            Window(facts["window"]),
            {n: math.nan if v is None else v for n, v in facts["figures"].items()},
        )
