"""Checkpoints: a folder of tensors and JSON that is either whole or not there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from audiotransfer.atomic import clear_stale, temporary_path
from audiotransfer.errors import AudioTransferError
from audiotransfer.training.objective import Group, Objective
from audiotransfer.training.settings import TrainerSettings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

TENSORS = "state.safetensors"
FACTS = "state.json"


class Unwritable(AudioTransferError):
    """A checkpoint that could not be written; training can go on and try again."""


def save(folder: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write a checkpoint to `folder`, replacing the one that stands there.

    The new folder is written beside the old one and renamed; a kill between the two renames leaves
    the old one under its set-aside name, from where `load` takes it back.

    Raises:
        Unwritable: the disk is full, say; the old checkpoint stands as it did.
    """
    part = temporary_path(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        clear_stale(folder.parent)
        part.mkdir()
        _write(part, tensors, facts)
        old = _aside(folder)
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
    """Return the tensors (on the CPU) and facts of a checkpoint, or None where there is none.

    Raises:
        AudioTransferError: the checkpoint is there, but damaged.
    """
    if not folder.exists():
        if not _aside(folder).exists():
            return None
        _aside(folder).rename(folder)
    try:
        return load_file(str(folder / TENSORS)), json.loads((folder / FACTS).read_text())
    except (OSError, ValueError, SafetensorError) as error:
        raise AudioTransferError(
            f"checkpoint {folder} cannot be read ({error}); remove the folder to start again"
        ) from error


def load_facts(folder: Path) -> dict[str, Any]:
    """Return what a checkpoint says of the run: steps, figures and so on.

    Raises:
        AudioTransferError: no checkpoint in `folder`, or a damaged one.
    """
    try:
        facts: dict[str, Any] = json.loads((folder / FACTS).read_text())
    except (OSError, ValueError) as error:
        raise AudioTransferError(f"checkpoint {folder} cannot be read ({error})") from error
    return facts


def load_networks(folder: Path, *, averaged: bool = True) -> dict[str, dict[str, Tensor]]:
    """Return each network's state from a checkpoint, averaged weights where there are some.

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


def pack(kind: str, states: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Name tensors `kind/NAME/KEY`."""
    return {f"{kind}/{n}/{k}": value for n, state in states.items() for k, value in state.items()}


def unpack(tensors: Mapping[str, Tensor], kind: str) -> dict[str, dict[str, Tensor]]:
    """Undo `pack` for one kind."""
    states: dict[str, dict[str, Tensor]] = {}
    for path, value in tensors.items():
        head, _, rest = path.partition("/")
        if head == kind:
            name, _, key = rest.partition("/")
            states.setdefault(name, {})[key] = value
    return states


def _aside(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.old"


_CONFIG = "config."
_NETWORKS = "networks."
_PRECISIONS = {"'float32'": "'32-true'", "'bfloat16'": "'bf16-mixed'"}


def identity(
    objective: Objective, settings: TrainerSettings, config: DataclassInstance | None
) -> dict[str, str]:
    """Return what decides a run: settings, config, optimisers and the shapes of networks."""
    found = {key: repr(value) for key, value in settings.what_decides().items()}
    if config is not None:
        found |= _flat(config, _CONFIG)
    for name, group in objective.groups.items():
        found[f"groups.{name}"] = repr({f.name: getattr(group, f.name) for f in fields(Group)})
    for name, network in objective.networks.items():
        shapes = ", ".join(f"{k}{tuple(v.shape)}" for k, v in network.state_dict().items())
        found[f"{_NETWORKS}{name}"] = shapes
    return found


def refuse_another(folder: Path, then: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raise AudioTransferError, naming the first difference, unless both are one run.

    A key of the config counts where both know it: a setting that is new since then has no say in
    what was trained without it.
    """
    then = _renamed(then)
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


def _flat(config: DataclassInstance, prefix: str) -> dict[str, str]:
    """Dataclasses by their fields, so that a message names one; all else as it is."""
    found: dict[str, str] = {}
    for field in fields(config):
        value: Any = getattr(config, field.name)
        name = f"{prefix}{field.name}"
        if is_dataclass(value) and not isinstance(value, type):
            found |= {name: type(value).__name__} | _flat(value, f"{name}.")
        else:
            found[name] = repr(value)
    return found


def _renamed(then: Mapping[str, str]) -> dict[str, str]:
    """Old checkpoints call the precision autocast."""
    found = dict(then)
    if "autocast" in found:
        found["precision"] = _PRECISIONS[found.pop("autocast")]
    return found


def _first_difference(then: str, now: str) -> tuple[str, str]:
    """Of two lists of shapes, the first entries that differ."""
    for before, here in zip_longest(then.split("), "), now.split("), "), fillvalue="nothing"):
        if before.rstrip(")") != here.rstrip(")"):
            return tuple(e if e == "nothing" else f"{e.rstrip(')')})" for e in (before, here))  # type: ignore[return-value]
    return then, now
