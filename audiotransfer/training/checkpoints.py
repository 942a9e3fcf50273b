"""Checkpoints: a folder of tensors and JSON, written atomically."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from audiotransfer.atomic import clear_stale, temporary_path
from audiotransfer.errors import AudioTransferError
from audiotransfer.training.objective import GroupLike, Objective
from audiotransfer.training.settings import TrainerSettings
from audiotransfer.training.stepping import MovingAverage

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from lightning_fabric import Fabric

TENSORS = "state.safetensors"
FACTS = "state.json"


class Unwritable(AudioTransferError):
    """A checkpoint could not be written; training can go on and try again."""


def save(folder: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Writes a checkpoint to `folder` in place of the one that is there.

    The new folder is written beside the old one and renamed; a kill between the two renames leaves
    the old one under its backup name, from where `load` restores it.

    Raises:
        Unwritable: the disk is full, say; the old checkpoint is kept.
    """
    part = temporary_path(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        clear_stale(folder.parent)
        part.mkdir()
        _write(part, tensors, facts)
        old = _backup(folder)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
        part.rename(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(part, ignore_errors=True)
        kept = "the one before is kept" if folder.exists() else "there is none before it"
        raise Unwritable(
            f"checkpoint {folder} cannot be written ({error}); {kept}: make room and go on from it"
        ) from error
    shutil.rmtree(old, ignore_errors=True)


def _write(part: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Writes both files and flushes them to the disk."""
    # A copy each: safetensors refuses tensors that share memory.
    copies = {
        key: value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for key, value in tensors.items()
    }
    save_file(copies, str(part / TENSORS))
    (part / FACTS).write_text(json.dumps(facts, indent=1))
    for name in (TENSORS, FACTS):
        with (part / name).open("rb") as file:
            os.fsync(file.fileno())


def load(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Returns the tensors (on the CPU) and facts of a checkpoint, or None where there is none.

    Raises:
        AudioTransferError: the checkpoint is damaged.
    """
    if not folder.exists():
        if not _backup(folder).exists():
            return None
        _backup(folder).rename(folder)
    try:
        return load_file(str(folder / TENSORS)), json.loads((folder / FACTS).read_text())
    except (OSError, ValueError, SafetensorError) as error:
        raise AudioTransferError(
            f"checkpoint {folder} cannot be read ({error}); remove the folder to start again"
        ) from error


def load_facts(folder: Path) -> dict[str, Any]:
    """Returns the facts of a checkpoint: steps, figures and so on.

    Raises:
        AudioTransferError: no checkpoint in `folder`, or a damaged one.
    """
    try:
        facts: dict[str, Any] = json.loads((folder / FACTS).read_text())
    except (OSError, ValueError) as error:
        raise AudioTransferError(f"checkpoint {folder} cannot be read ({error})") from error
    return facts


def load_networks(folder: Path, *, averaged: bool = True) -> dict[str, dict[str, Tensor]]:
    """Returns each network's state from a checkpoint, averaged weights where there are some.

    Raises:
        AudioTransferError: no checkpoint in `folder`, or a damaged one.
    """
    found = load(folder)
    if found is None:
        raise AudioTransferError(f"checkpoint {folder} does not exist; train first")
    tensors, _ = found
    states: dict[str, dict[str, Tensor]] = {}
    for kind in ("networks", "averages") if averaged else ("networks",):
        for name, state in unpack(tensors, kind).items():
            states[name] = state
    return states


def collect_state(
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, Optimizer],
    average: MovingAverage | None,
    generator: Generator,
    fabric: Fabric,
) -> dict[str, Tensor]:
    """Returns every tensor that the next step depends on; all processes must call it together."""
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
            tensors[_generator_key(name, rank)] = one.to("cpu", torch.uint8)
    return tensors


def restore_state(
    tensors: Mapping[str, Tensor],
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, Optimizer],
    average: MovingAverage | None,
    generator: Generator,
    fabric: Fabric,
) -> None:
    """The inverse of `collect_state`.

    Generators of processes that the saved run did not have stay as they are. Raises KeyError or
    RuntimeError where the state is another training's.
    """
    weights = unpack(tensors, "networks")
    for name, network in networks.items():
        network.load_state_dict(weights[name])
    slots = unpack(tensors, "optimisers")
    for name, optimiser in optimisers.items():
        optimiser.load_state_dict(
            {
                "state": _optimiser_state(slots.get(name, {}), optimiser),
                "param_groups": optimiser.state_dict()["param_groups"],
            }
        )
    if average is not None:
        for name, state in unpack(tensors, "averages").items():
            for key, value in state.items():
                average.weights[name][key].copy_(value)
    own, cpu, cuda = (_generator_key(name, fabric.global_rank) for name in ("own", "cpu", "cuda"))
    if own in tensors:
        generator.set_state(tensors[own])
        torch.set_rng_state(tensors[cpu])
    if fabric.device.type == "cuda" and cuda in tensors:
        torch.cuda.set_rng_state(tensors[cuda], fabric.device)


def _generator_key(name: str, rank: int) -> str:
    """The key of a process's random state."""
    return f"generators/{name}" if rank == 0 else f"generators/{name}.{rank}"


def _optimiser_state(
    slots: Mapping[str, Tensor], optimiser: Optimizer
) -> dict[int, dict[str, Tensor]]:
    """Saved slots as `Optimizer.load_state_dict` takes them, by the parameter's index."""
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


def pack(kind: str, states: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Flattens states by name to tensors with keys `kind/NAME/KEY`."""
    return {f"{kind}/{n}/{k}": value for n, state in states.items() for k, value in state.items()}


def unpack(tensors: Mapping[str, Tensor], kind: str) -> dict[str, dict[str, Tensor]]:
    """The inverse of `pack` for one kind."""
    states: dict[str, dict[str, Tensor]] = {}
    for path, value in tensors.items():
        head, _, rest = path.partition("/")
        if head == kind:
            name, _, key = rest.partition("/")
            states.setdefault(name, {})[key] = value
    return states


def _backup(folder: Path) -> Path:
    """Path of the old checkpoint while it is replaced."""
    return folder.parent / f".{folder.name}.old"


_CONFIG = "config."
_NETWORKS = "networks."
_PRECISIONS = {"'float32'": "'32-true'", "'bfloat16'": "'bf16-mixed'"}


def identity(
    objective: Objective, settings: TrainerSettings, config: DataclassInstance | None
) -> dict[str, str]:
    """Returns all that decides a run's weights, as text: settings, config, optimisers, shapes."""
    found = {key: repr(value) for key, value in settings.decisive().items()}
    if config is not None:
        found |= _flat(config, _CONFIG)
    for name, group in objective.groups.items():
        found[f"groups.{name}"] = repr(_group_fields(group))
    for name, network in objective.networks.items():
        shapes = ", ".join(f"{k}{tuple(v.shape)}" for k, v in network.state_dict().items())
        found[f"{_NETWORKS}{name}"] = shapes
    return found


def check_identity(folder: Path, then: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raises AudioTransferError, naming the first difference, unless both identities agree.

    A key of the config counts only where both have it: a setting that is new since then did not
    affect what was trained without it.
    """
    then = _present_keys(then)
    for key in sorted({*then, *now}):
        before, here = then.get(key), now.get(key)
        if before == here or (key.startswith(_CONFIG) and None in (before, here)):
            continue
        if key.startswith(_NETWORKS) and before and here:
            before, here = _first_difference(before, here)
        raise AudioTransferError(
            f"checkpoint {folder} was made with {key}={before}, not {here}; train it in another "
            "folder, or start again without resuming"
        )


def _group_fields(group: GroupLike) -> dict[str, Any]:
    """A group's settings; rates only where there are some: older checkpoints do not have them."""
    found = {
        "networks": group.networks,
        "learning_rate": group.learning_rate,
        "betas": group.betas,
        "weight_decay": group.weight_decay,
    }
    return found | ({"rates": dict(group.rates)} if group.rates else {})


def _flat(config: DataclassInstance, prefix: str) -> dict[str, str]:
    """The fields of nested dataclasses as text, by dotted names."""
    found: dict[str, str] = {}
    for field in fields(config):
        value: Any = getattr(config, field.name)
        name = f"{prefix}{field.name}"
        if is_dataclass(value) and not isinstance(value, type):
            found |= {name: type(value).__name__} | _flat(value, f"{name}.")
        else:
            found[name] = repr(value)
    return found


def _present_keys(then: Mapping[str, str]) -> dict[str, str]:
    """The identity in a checkpoint under present keys: older ones call the precision autocast."""
    found = dict(then)
    if "autocast" in found:
        found["precision"] = _PRECISIONS[found.pop("autocast")]
    return found


def _first_difference(then: str, now: str) -> tuple[str, str]:
    """The first entries that differ in two lists of shapes."""
    for before, here in zip_longest(then.split("), "), now.split("), "), fillvalue="nothing"):
        if before.rstrip(")") != here.rstrip(")"):
            return tuple(e if e == "nothing" else f"{e.rstrip(')')})" for e in (before, here))  # type: ignore[return-value]
    return then, now
