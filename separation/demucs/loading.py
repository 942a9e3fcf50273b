"""Building a Demucs model from its files without trusting them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from demucs.apply import BagOfModels
from demucs.hf import load_safetensors_model
from safetensors import SafetensorError, safe_open
from torch import nn

from separation.demucs.hub import BagFiles
from separation.errors import SeparationError

CLASSES = ("demucs.htdemucs.HTDemucs", "demucs.hdemucs.HDemucs", "demucs.demucs.Demucs")
"""The networks that a file may name: the library imports whatever stands there."""


def load_bag(files: BagFiles) -> BagOfModels:
    """The networks of a bag with their weights, on the CPU, ready to separate.

    Raises SeparationError, naming the file, for what is no safetensors file, for a class that is
    not Demucs's, for weights that do not fit it or are not finite.
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
        # Arguments from a file reach a constructor: it may fail in any way.
        reason = " ".join(str(error).split())[:160]
        raise SeparationError(
            f"{path} does not hold the demucs network that it names ({reason}): fetch it again"
        ) from error
    if not all(bool(torch.isfinite(weight).all()) for weight in network.state_dict().values()):
        raise SeparationError(f"{path} holds weights that are not finite: fetch it again")
    return network


def _check_header(path: Path) -> None:
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
