"""Drum networks on disk: what kind they are, their shape, and weights in half precision."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from audiotransfer.errors import AudioTransferError
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
    from safetensors.torch import save_file

    state = network.state_dict()
    if isinstance(network, DrumVae):
        state[_CENTRES] = network.centres
    state = {key: value.half().contiguous() for key, value in state.items()}
    shape = {"kind": network.kind, **network.shape()}
    save_file(state, str(path), metadata={_METADATA: json.dumps(shape)})


def load_drums(path: Path) -> Network:
    """Reads what :func:`save_drums` wrote. Raises AudioTransferError for anything else."""
    try:
        with safe_open(str(path), framework="pt") as file:
            shape = json.loads((file.metadata() or {}).get(_METADATA, "{}"))
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
        network = KINDS[shape.pop("kind")](**shape)
        if isinstance(network, DrumVae):
            network.centres.copy_(state.pop(_CENTRES))
        network.load_state_dict(state)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise AudioTransferError(
            f"{path} holds no drum network that this version knows; install it again"
        ) from error
    return network.eval()
