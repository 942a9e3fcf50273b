"""Networks of inverters from the files that their training wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from torch import nn

from vocoder.base import VocoderError
from vocoder.spectrogram import SpectrogramSettings

Network = TypeVar("Network", bound=nn.Module)


def load_trained(
    weights: str | Path, name: str, build: Callable[..., Network]
) -> tuple[Network, SpectrogramSettings]:
    """A network of the inverter `name`, and the settings of the spectrograms of its training.

    The file's metadata describe it under the name, `build` makes it from the arguments that stand
    there, and the config of the same name trains it. Raises VocoderError where the file is missing
    or damaged or holds something else.
    """
    if not Path(weights).is_file():
        train = f"train them (audiotransfer train {name})"
        if Path(weights).parent.is_relative_to(Path(__file__).parent):
            raise VocoderError(
                f"no weights of {name} ship with this package: {train} and give their file, as in"
                f" {name}:runs/{name}/{name}.safetensors"
            )
        raise VocoderError(f"weights of {name}, {weights}, do not exist: {train}")
    return _load(str(weights), name, build)  # type: ignore[return-value]


@lru_cache(maxsize=6)
def _load(
    weights: str, name: str, build: Callable[..., nn.Module]
) -> tuple[nn.Module, SpectrogramSettings]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, framework="pt") as file:
            about = json.loads((file.metadata() or {})[name])
            state = {at: file.get_tensor(at).float() for at in file.keys()}  # noqa: SIM118
        network = build(**about["shape"])
        network.load_state_dict(state)
        settings = SpectrogramSettings.from_dict(about["spectrogram"])
    except KeyError as error:
        raise VocoderError(f"{weights} holds no weights of {name}: give another file") from error
    except (OSError, SafetensorError, ValueError, TypeError, RuntimeError) as error:
        raise VocoderError(f"weights of {name}, {weights}, cannot be used: {error}") from error
    return network.eval().requires_grad_(False), settings
