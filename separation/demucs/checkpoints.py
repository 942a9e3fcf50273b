"""Reading Demucs models from safetensors files with checks, and writing them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
import yaml
from demucs.apply import BagOfModels
from demucs.hf import load_safetensors_model
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from separation.base import SeparationError
from separation.demucs.hub import BagFiles

CLASSES = ("demucs.htdemucs.HTDemucs", "demucs.hdemucs.HDemucs", "demucs.demucs.Demucs")
"""Networks that a file may name: the library imports whatever class stands there."""


def load_bag(files: BagFiles) -> BagOfModels:
    """The networks of a bag with their weights, on the CPU, in evaluation mode.

    Raises SeparationError, naming the file, where it is no safetensors file, names a class that is
    not Demucs's, or holds weights that do not fit it or are not finite.
    """
    networks: list[Any] = [_load_network(path) for path in files.networks]
    try:
        bag = BagOfModels(networks, files.weights, files.segment)
    except (AssertionError, TypeError) as error:
        raise SeparationError(
            f"demucs model '{files.name}': its networks, weights and segment do not fit together"
        ) from error
    if bag.audio_channels != 2:
        raise SeparationError(
            f"demucs model '{files.name}' separates {bag.audio_channels} channels, not 2"
        )
    bag.eval()
    return bag


def _load_network(path: Path) -> nn.Module:
    try:
        _check_header(path)
        network: nn.Module = load_safetensors_model(path)
    except SafetensorError as error:
        raise SeparationError(
            f"{path} is not a safetensors file ({error}): pickled or damaged weights are not "
            "opened, fetch it again"
        ) from error
    except SeparationError:
        raise
    except Exception as error:
        # Arguments from a file are passed to a constructor, which may raise anything.
        reason = " ".join(str(error).split())[:160]
        raise SeparationError(
            f"{path} does not hold the demucs network that it names ({reason}): fetch it again"
        ) from error
    if not all(bool(torch.isfinite(weight).all()) for weight in network.state_dict().values()):
        raise SeparationError(f"{path} holds weights that are not finite: fetch it again")
    return network


def _check_header(path: Path) -> None:
    """Raise SeparationError for a class, quantisation or arguments that cannot be loaded safely."""
    with safe_open(str(path), framework="pt") as file:
        header = file.metadata() or {}
    name = header.get("klass")
    if name not in CLASSES:
        raise SeparationError(
            f"{path} names the class '{name}': only {', '.join(CLASSES)} are loaded"
        )
    if "structure" in header:
        raise SeparationError(f"{path} holds quantised weights, which are not supported")
    if not isinstance(json.loads(header.get("kwargs", "null")), dict):
        raise SeparationError(f"{path} does not say how its network is built: fetch it again")


def save_bag(
    folder: str | Path,
    name: str,
    networks: Sequence[nn.Module],
    weights: list[list[float]] | None = None,
    segment: float | None = None,
) -> Path:
    """Write Demucs networks so that the separator takes them as `demucs:FOLDER/NAME`.

    Writes `NAME.yaml` and a safetensors file per network, which holds its class and arguments.
    Returns the path `FOLDER/NAME`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    bag: dict[str, Any] = {"models": [_save_network(folder, network) for network in networks]}
    if weights is not None:
        bag["weights"] = weights
    if segment is not None:
        bag["segment"] = segment
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(bag))
    return folder / name


def serialise(
    kind: type[nn.Module], arguments: Any, options: Any, state: Mapping[str, Tensor]
) -> bytes:
    """A network's safetensors file: its weights and, in the header, its class and arguments."""
    header = {
        "klass": f"{kind.__module__}.{kind.__qualname__}",
        "args": json.dumps(arguments, default=_encode),
        "kwargs": json.dumps(options, default=_encode),
    }
    content: bytes = save(
        {key: value.detach().cpu().contiguous() for key, value in state.items()}, metadata=header
    )
    return content


def _save_network(folder: Path, network: Any) -> str:
    # Demucs's networks store the arguments of their constructor.
    arguments, options = network._init_args_kwargs
    content = serialise(type(network), arguments, options, network.state_dict())
    signature = hashlib.sha256(content).hexdigest()[:8]
    (folder / f"{signature}.safetensors").write_bytes(content)
    return signature


def _encode(value: object) -> dict[str, object]:
    if isinstance(value, Fraction):
        return {
            "_type": "fraction",
            "numerator": value.numerator,
            "denominator": value.denominator,
        }
    raise TypeError(f"{value!r} has no form in the header of a demucs file")
