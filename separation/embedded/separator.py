"""The separator that ships: a network's masks on the spectrum of mid and side."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from torch import Tensor

from separation.base import SeparationError, check_mix
from separation.embedded.masking import SCALE, Bands, MidSide
from separation.embedded.network import NETWORKS, REACH, STEMS, build, fold
from separation.stft import HOP_LENGTH, N_FFT, stft

SHIPPED = Path(__file__).parent / "separator.safetensors"


def analyse(audio: Tensor) -> Tensor:
    """Complex spectra of mid and side: ``[..., 2, T] -> [..., 2, bins, L]``."""
    left, right = audio[..., 0, :], audio[..., 1, :]
    mid_side = torch.stack([left + right, left - right]).movedim(0, -2) / 2
    flat = mid_side.reshape(-1, mid_side.shape[-1])
    spectra = stft(flat)
    return spectra.div_(SCALE).reshape(*mid_side.shape[:-1], *spectra.shape[-2:])


class EmbeddedSeparator:
    """Separates drums, bass, other and vocals with a small network.

    Mix ``[C, T]`` to stems ``[C, T]``.

    Takes one or two channels at 44.1 kHz and works best near its training level (RMS 0.1). Every
    layer is local in time: a mask depends on ``REACH`` frames on each side, and blocks start on the
    grid of the network's lowest time resolution.
    """

    stems = STEMS
    sample_rate = 44100
    context = REACH * HOP_LENGTH + N_FFT

    def __init__(self, network: torch.nn.Module, device: str = "cpu", identity: str = "") -> None:
        """``identity`` names the weights: separators of the same one give the same stems."""
        self.identity = identity
        self.device = torch.device(device)
        self.network = network.to(self.device).eval()
        self.bands = Bands().to(self.device)
        self.grid = HOP_LENGTH * int(network.time_factor)  # type: ignore[arg-type]

    @torch.no_grad()
    def __call__(self, mix: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Separate one block; the stems sum to the mix."""
        check_mix(mix)
        channels, length = mix.shape
        if channels not in (1, 2):
            raise SeparationError(
                f"the embedded separator takes 1 or 2 channels, not {channels}; fold the song first"
            )
        if length == 0:
            return {stem: mix.clone() for stem in STEMS}
        stereo = mix.to(self.device, torch.float32).expand(2, length)
        frames = MidSide(stereo)
        masks = self.network(frames.levels(self.bands)[None])[0]
        claimed = [index for index, stem in enumerate(STEMS) if stem != "other"]
        parts = frames.masked(masks[claimed], self.bands)
        stems = {STEMS[index]: part for index, part in zip(claimed, parts, strict=True)}
        stems["other"] = stereo - parts.sum(0)
        return {stem: stems[stem][:channels].to(mix.device) for stem in STEMS}


def load(device: str = "cpu", weights: str | Path | None = None) -> EmbeddedSeparator:
    """The shipped separator, or one from a ``.safetensors`` file that training wrote.

    Raises SeparationError where the file is missing, damaged or holds something else.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(weights) if weights else SHIPPED
    if not path.is_file():
        raise SeparationError(f"separator weights {path} do not exist; install the package again")
    try:
        with safe_open(str(path), framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("separator", "{}"))
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise SeparationError(f"separator weights {path} are damaged: {error}") from error
    if not isinstance(header, dict) or "network" not in header:
        raise SeparationError(f"{path} holds no separator; name a file that `train` wrote for one")
    name = str(header["network"])
    if name not in NETWORKS:
        raise SeparationError(
            f"{path} holds a network {name!r}, but this version knows {', '.join(NETWORKS)};"
            " install a newer one"
        )
    network = build(name, Bands().count)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise SeparationError(
            f"{path} does not fit the network {name}; name a file that `train` wrote"
        ) from error
    identity = hashlib.sha256(path.read_bytes()).hexdigest()
    return EmbeddedSeparator(fold(network.eval()), device, identity)
