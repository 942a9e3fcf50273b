"""Classifiers on disk: a card (JSON) and weights (safetensors) whose hash the card holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from audiotransfer.atomic import write_bytes
from audiotransfer.errors import AudioTransferError
from audiotransfer.renamed import notice


def write_classifier(
    folder: str | Path,
    name: str,
    state: Mapping[str, Tensor],
    card: Mapping[str, Any],
    report: Mapping[str, Any],
) -> None:
    """Writes ``NAME.safetensors`` and ``NAME.json`` into a folder, which is made where missing.

    The card also gets the weights' ``sha256``, and ``report`` last.

    Raises:
        AudioTransferError: a file cannot be written.
    """
    from safetensors.torch import save

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = save({key: value.contiguous() for key, value in state.items()})
    values = {**card, "sha256": hashlib.sha256(weights).hexdigest(), "report": report}
    text = json.dumps(values, indent=1, ensure_ascii=False) + "\n"
    write_bytes(folder / f"{name}.safetensors", weights, overwrite=True)
    write_bytes(folder / f"{name}.json", text.encode(), overwrite=True)


def is_saved(folder: str | Path, name: str, old_name: str) -> bool:
    """Whether a folder has the card of a classifier under its present name or that of 0.1.0."""
    return any((Path(folder) / f"{one}.json").is_file() for one in (name, old_name))


def read_classifier(
    folder: str | Path, name: str, old_name: str
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The card without its hash, and the weights, that :func:`write_classifier` wrote.

    Where ``NAME.json`` is missing the files of version 0.1.0, called ``old_name``, are read.

    Raises:
        OSError, ValueError, KeyError: a file is missing, damaged, or something else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    folder = Path(folder)
    old = (folder / f"{old_name}.json").is_file() and not (folder / f"{name}.json").is_file()
    if old:
        notice(f"{folder / old_name}.json", f"{name}.json")
        name = old_name
    card = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    weights = (folder / f"{name}.safetensors").read_bytes()
    if card.pop("sha256") != hashlib.sha256(weights).hexdigest():
        raise ValueError(f"{name}.safetensors is not what {name}.json describes")
    try:
        return card, load(weights)
    except SafetensorError as error:
        raise ValueError(str(error)) from error


#: What reading a damaged classifier and building its network from a card may raise.
DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError)


def unreadable(what: str, folder: str | Path, error: Exception) -> AudioTransferError:
    """The error for a classifier that cannot be read."""
    return AudioTransferError(
        f"no {what} can be read from {folder}: {error}; train one or name another folder"
    )
