"""Generators of scores on disk: what kind they are, their shape, and weights in half precision."""

from __future__ import annotations

from pathlib import Path

from audiotransfer.errors import AudioTransferError
from audiotransfer.files.weights import load_weights, save_weights
from audiotransfer.symbolic.genre.networks import ConditionalGenerator, PaperGenerator

Generator = PaperGenerator | ConditionalGenerator
KINDS: dict[str, type[PaperGenerator] | type[ConditionalGenerator]] = {
    PaperGenerator.kind: PaperGenerator,
    ConditionalGenerator.kind: ConditionalGenerator,
}


def save_generator(path: Path, generator: Generator) -> None:
    """Writes a generator as half-precision safetensors."""
    save_weights(path, generator.state_dict(), {"kind": generator.kind, **generator.shape()})


def load_generator(path: Path) -> Generator:
    """Reads what :func:`save_generator` wrote. Raises AudioTransferError for anything else."""
    shape, state = load_weights(path)
    try:
        generator = KINDS[shape.pop("kind")](**shape)
        generator.load_state_dict(state)
    except (KeyError, IndexError, TypeError, RuntimeError) as error:
        raise AudioTransferError(
            f"{path} holds no generator of scores that this version knows; install the style again"
        ) from error
    return generator
