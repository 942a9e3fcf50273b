"""Drum networks on disk: what kind they are, their shape, and weights in half precision."""

from __future__ import annotations

from pathlib import Path

from audiotransfer.errors import AudioTransferError
from audiotransfer.files.weights import load_weights, save_weights
from audiotransfer.symbolic.drums.music_vae import MusicVae
from audiotransfer.symbolic.drums.network import DrumVae

Network = DrumVae | MusicVae
KINDS: dict[str, type[DrumVae] | type[MusicVae]] = {k.kind: k for k in (DrumVae, MusicVae)}
SHIPPED = Path(__file__).parent.parent / "shipped" / "drums"
"""The drummer that comes with the package: weights and card."""

_METADATA = "drums"
_CENTRES = "centres"


def save_drums(path: Path, network: Network) -> None:
    """Writes a network as half-precision safetensors."""
    state = network.state_dict()
    if isinstance(network, DrumVae):
        state[_CENTRES] = network.centres
    save_weights(path, state, {"kind": network.kind, **network.shape()}, _METADATA)


def load_drums(path: Path) -> Network:
    """Reads what :func:`save_drums` wrote. Raises AudioTransferError for anything else."""
    shape, state = load_weights(path, _METADATA)
    try:
        network = KINDS[shape.pop("kind")](**shape)
        if isinstance(network, DrumVae):
            network.centres.copy_(state.pop(_CENTRES))
        network.load_state_dict(state)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise AudioTransferError(
            f"{path} holds no drum network that this version knows; install it again"
        ) from error
    return network.eval()
