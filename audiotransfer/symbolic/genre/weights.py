"""Generators of scores on disk: what kind they are, their shape, and weights in half precision."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from audiotransfer.errors import AudioTransferError
from audiotransfer.symbolic.genre.networks import ConditionalGenerator, PaperGenerator

Generator = PaperGenerator | ConditionalGenerator
KINDS: dict[str, type[PaperGenerator] | type[ConditionalGenerator]] = {
    PaperGenerator.kind: PaperGenerator,
    ConditionalGenerator.kind: ConditionalGenerator,
}


def save_generator(path: Path, generator: Generator) -> None:
    """Writes a generator as half-precision safetensors."""
    from safetensors.torch import save_file

    state = {key: value.half().contiguous() for key, value in generator.state_dict().items()}
    shape = {"kind": generator.kind, **generator.shape()}
    save_file(state, str(path), metadata={"generator": json.dumps(shape)})


def load_generator(path: Path) -> Generator:
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
        generator = KINDS[shape.pop("kind")](**shape)
        generator.load_state_dict(state)
    except (KeyError, IndexError, TypeError, RuntimeError) as error:
        raise AudioTransferError(
            f"{path} holds no generator of scores that this version knows; install the style again"
        ) from error
    return generator
