"""Small networks with random weights for the inverters that need one, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import vocoder
from audiotransfer.recipes.inverters import export_inverter
from vocoder import Inverter, SpectrogramSettings
from vocoder.deep_griffinlim.network import ResidualNetwork
from vocoder.neural.network import MagnitudeNetwork
from vocoder.waveglow.network import WaveGlow
from vocoder.wavenet.network import WaveNet

NETWORKS = ("deep-griffinlim", "waveglow", "wavenet")


def toy_network(name: str, settings: SpectrogramSettings, seed: int = 0) -> Any:
    """A network that changes something, for spectrograms of the settings."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name == "deep-griffinlim":
            residual = ResidualNetwork(4, 2)
            torch.nn.init.normal_(residual.real, std=0.02)
            torch.nn.init.normal_(residual.imaginary, std=0.02)
            return residual.eval()
        if name == "neural":
            magnitude = MagnitudeNetwork(settings.bins, settings.n_fft // 2 + 1, 8, 8, 1)
            torch.nn.init.normal_(magnitude.leave.weight, std=0.05)
            return magnitude.eval()
        if name == "wavenet":
            return WaveNet(
                1, 12, 4, 4, 4, 4, 2, local=settings.bins, frames=8
            ).eval()  # fmt: skip
        glow = WaveGlow(settings.bins, settings.hop_length, 8, 3, 2, 1, 4, 4, 2)
        for flow in glow.flows:
            torch.nn.init.normal_(flow.network.leave.weight, std=0.1)  # type: ignore[union-attr, arg-type]
        return glow.eval()


def toy_options(name: str, settings: SpectrogramSettings, folder: Path) -> dict[str, Any]:
    """Options of `vocoder.create` for an inverter: none, or the file of a toy network."""
    if name not in (*NETWORKS, "neural"):
        return {}
    path = folder / f"{name}.safetensors"
    if not path.exists():
        export_inverter(path, toy_network(name, settings), settings, name)
    return {"weights": path}


def toy_inverter(name: str, settings: SpectrogramSettings, folder: Path, **more: Any) -> Inverter:
    """An inverter by name; with a toy network where it needs one."""
    return vocoder.create(name, settings, **toy_options(name, settings, folder), **more)
