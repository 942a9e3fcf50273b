"""Writing a Demucs model in the hub's layout, the counterpart of loading one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import save
from torch import Tensor, nn


def save_bag(
    folder: str | Path,
    name: str,
    networks: Sequence[nn.Module],
    weights: list[list[float]] | None = None,
    segment: float | None = None,
) -> Path:
    """Write Demucs networks (one's own, or ones that were pickled) so that the separator takes
    them as `demucs:FOLDER/NAME`: `NAME.yaml` and a safetensors file for each network, which
    carries its class and arguments. Returns the path to ask for, `FOLDER/NAME`.
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
    # Demucs's networks keep the arguments that they were built with.
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
