"""Generators on disk: what kind they are, their shape, and weights in half precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from audiotransfer.errors import AudioTransferError
from audiotransfer.files.weights import load_weights, save_weights
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
    save_weights(path, generator.state_dict(), {"kind": generator.kind, **generator.shape()})


def load_generator(path: Path) -> Repainter:
    """Reads what :func:`save_generator` wrote. Raises AudioTransferError for anything else."""
    shape, state = load_weights(path)
    try:
        generator = KINDS[shape.pop("kind", Generator.kind)](**shape)
        fold(generator)
        generator.load_state_dict(state)
    except (AudioTransferError, KeyError, IndexError, TypeError, RuntimeError) as error:
        raise AudioTransferError(
            f"{path} holds no generator that this version knows; install the style again"
        ) from error
    return generator
