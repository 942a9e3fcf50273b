"""The whole state of a training as named tensors, there and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from audiotransfer.training.averages import MovingAverage
from audiotransfer.training.checkpoints import pack, unpack

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
