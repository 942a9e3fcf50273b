"""Networks as safetensors files: weights, and the arguments that rebuild the network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from audiotransfer.atomic import write_bytes
from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from torch import Tensor, nn

Network = TypeVar("Network", bound="nn.Module")


def save_weights(
    path: Path, state: Mapping[str, Tensor], shape: Mapping[str, Any], name: str = "generator"
) -> None:
    """Write safetensors, floats in half precision; metadata hold ``shape`` as JSON under ``name``.

    Raises AudioTransferError where the file cannot be written.
    """
    from safetensors.torch import save

    halves = {
        key: (value.half() if value.is_floating_point() else value).contiguous()
        for key, value in state.items()
    }
    write_bytes(path, save(halves, {name: json.dumps(shape)}), overwrite=True)


def load_weights(path: Path, name: str = "generator") -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Shape and single-precision weights that `save_weights` wrote; the shape may be empty.

    Raises AudioTransferError where the file cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            shape = json.loads((file.metadata() or {}).get(name, "{}"))
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise AudioTransferError(
            f"weights {path} cannot be read ({error}); install it again"
        ) from error
    return shape, state


def load_network(
    path: Path,
    networks: Mapping[str, Callable[..., Network]],
    what: str,
    *,
    name: str = "generator",
    again: str = "it",
) -> Network:
    """Builds a network from its weights, whose shape has its ``kind`` and its arguments.

    Args:
        networks: kind -> what builds the network from its arguments.
        what: what the file should hold; ``again``: what to install again where it does not.
        name: as in `save_weights`.

    Raises:
        AudioTransferError: the file cannot be read, or holds something else.
    """
    shape, state = load_weights(path, name)
    try:
        network = networks[shape.pop("kind")](**shape)
        network.load_state_dict(state)
    except (ValueError, KeyError, IndexError, TypeError, RuntimeError) as error:
        raise AudioTransferError(
            f"{path} holds no {what} that this version knows; install {again} again"
        ) from error
    return network
