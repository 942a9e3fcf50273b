"""What two runs must share for one to go on where the other stopped, as plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotransfer.errors import AudioTransferError
from audiotransfer.training.settings import TrainerSettings
from audiotransfer.training.turns import Group, Objective

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

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
