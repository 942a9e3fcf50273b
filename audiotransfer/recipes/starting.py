"""A run that goes on from another one's weights."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from audiotransfer.errors import AudioTransferError
from audiotransfer.training import load_networks


def start_from(
    network: nn.Module, checkpoint: Path, settings: str, name: str = "generator"
) -> None:
    """Takes the first weights of a network from another run's checkpoint, where it has a name.

    Raises AudioTransferError where it holds none, or one of another shape: ``settings`` names
    what decides that.
    """
    networks = load_networks(checkpoint)
    if name not in networks:
        raise AudioTransferError(
            f"checkpoint {checkpoint} holds {', '.join(networks)}, but no {name}; name another"
        )
    try:
        network.load_state_dict(networks[name])
    except RuntimeError as error:
        raise AudioTransferError(
            f"the {name} of {checkpoint} has another shape; set {settings} as there"
        ) from error
