"""The whole state of a training as named tensors, there and back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from audiotransfer.training.averages import MovingAverage
from audiotransfer.training.checkpoints import pack, unpack


def collect(
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, Optimizer],
    average: MovingAverage | None,
    generator: Generator,
    device: torch.device,
) -> dict[str, Tensor]:
    """Return every tensor that the next step depends on."""
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
    tensors["generators/own"] = generator.get_state()
    tensors["generators/cpu"] = torch.get_rng_state()
    if device.type == "cuda":
        tensors["generators/cuda"] = torch.cuda.get_rng_state(device)
    return tensors


def restore(
    tensors: Mapping[str, Tensor],
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, Optimizer],
    average: MovingAverage | None,
    generator: Generator,
    device: torch.device,
) -> None:
    """Undo `collect`. Raises KeyError or RuntimeError where the state is another training's."""
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
    generator.set_state(tensors["generators/own"])
    torch.set_rng_state(tensors["generators/cpu"])
    if device.type == "cuda" and "generators/cuda" in tensors:
        torch.cuda.set_rng_state(tensors["generators/cuda"], device)


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
