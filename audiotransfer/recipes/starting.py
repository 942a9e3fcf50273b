"""A run that goes on from another one's weights."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from audiotransfer.errors import AudioTransferError
from audiotransfer.training import load_networks


def start_from(generator: nn.Module, checkpoint: Path, settings: str) -> None:
    """Takes the first weights of a generator from another run's checkpoint.

    Raises AudioTransferError where it holds none, or one of another shape: ``settings`` names
    what decides that.
    """
    networks = load_networks(checkpoint)
    if "generator" not in networks:
        raise AudioTransferError(
            f"checkpoint {checkpoint} holds {', '.join(networks)}, but no generator; name another"
        )
    try:
        generator.load_state_dict(networks["generator"])
    except RuntimeError as error:
        raise AudioTransferError(
            f"the generator of {checkpoint} has another shape; set {settings} as there"
        ) from error
