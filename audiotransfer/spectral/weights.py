"""Generators on disk: what kind they are, their shape, and weights in half precision."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError, safe_open

from audiotransfer import files
from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.generator import Generator, fold
from audiotransfer.spectral.hits import HitGenerator
from audiotransfer.spectral.networks import (
    ConditionalUNet,
    PaddedUNet,
    ResNetGenerator,
    WholeFrequencyGenerator,
)
from audiotransfer.spectral.notes import NoteGenerator
from audiotransfer.spectral.repainter import Repainter

KINDS: dict[str, Callable[..., Repainter]] = {
    kind.kind: kind
    for kind in (
        Generator,
        NoteGenerator,
        HitGenerator,
        WholeFrequencyGenerator,
        PaddedUNet,
        ResNetGenerator,
        ConditionalUNet,
    )
}


def save_generator(path: Path, generator: Repainter) -> None:
    """Writes a generator, whose norms are folded, as half-precision safetensors.

    Raises AudioTransferError where it cannot be written.
    """
    from safetensors.torch import save

    state = {key: value.half().contiguous() for key, value in generator.state_dict().items()}
    shape = {"kind": generator.kind, **generator.shape()}
    files.write_bytes(path, save(state, {"generator": json.dumps(shape)}), overwrite=True)


def load_generator(path: Path) -> Repainter:
    """Reads what :func:`save_generator` wrote. Raises AudioTransferError for anything else."""
    try:
        with safe_open(str(path), framework="pt") as file:
            shape = json.loads((file.metadata() or {}).get("generator", "{}"))
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise AudioTransferError(
            f"weights {path} cannot be read ({error}); install the style again"
        ) from error
    try:
        generator = KINDS[shape.pop("kind", Generator.kind)](**shape)
        fold(generator)
        generator.load_state_dict(state)
    except (AudioTransferError, KeyError, IndexError, TypeError, RuntimeError) as error:
        raise AudioTransferError(
            f"{path} holds no generator that this version knows; install the style again"
        ) from error
    return generator
