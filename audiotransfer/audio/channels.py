"""Conversion between channel counts, and cross-fades between blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from audiotransfer.audio.layouts import ORDERS, default_layout
from audiotransfer.errors import AudioTransferError

_HALF_POWER = 0.5**0.5  # -3 dB
_LEFT: dict[str, float] = {  # ITU-R BS.775-4 table 2; wide and high speakers as their neighbours
    "FL": 1.0,
    "FLC": 1.0,
    "FC": _HALF_POWER,
    "BL": _HALF_POWER,
    "SL": _HALF_POWER,
    "BC": 0.5,
    "TFL": _HALF_POWER,
    "TBL": _HALF_POWER,
    "TSL": _HALF_POWER,
    "TC": 0.5,
    "TFC": 0.5,
    "TBC": 0.5,
    "WL": _HALF_POWER,
    "DL": 1.0,
}
_RIGHT = {
    name[:-1] + "R" if name.endswith("L") else name.replace("FLC", "FRC"): gain
    for name, gain in _LEFT.items()
}


def to_stereo(audio: Tensor, layout: Sequence[str] | None = None) -> Tensor:
    """Audio [C, T] as [2, T]: mono is doubled, stereo kept, more channels are folded down.

    Folding follows ITU-R BS.775: the centre at −3 dB to both sides, surround channels at −3 dB to
    theirs, the low-frequency channel left out. The sum is not scaled, and may exceed full scale.
    """
    if audio.shape[0] == 1:
        return audio.repeat(2, 1)
    if audio.shape[0] == 2:
        return audio
    if layout is None or len(layout) != audio.shape[0]:
        layout = default_layout(audio.shape[0])
    gains = torch.tensor([[side.get(name, 0.0) for name in layout] for side in (_LEFT, _RIGHT)])
    if audio.shape[0] > max(ORDERS) and not set(layout) - {"FL", "FR"}:
        gains = gains / gains.sum(dim=1, keepdim=True)  # unknown layout: the mean of each side
    return gains.to(audio) @ audio


def to_channels(audio: Tensor, channels: int) -> Tensor:
    """Audio [C, T] as [channels, T], where channels is 1 (the mean) or 2.

    Raises AudioTransferError for other counts, unless C equals channels.
    """
    if audio.shape[0] == channels:
        return audio
    if channels == 1:
        return audio.mean(dim=0, keepdim=True)
    if channels == 2:
        return to_stereo(audio)
    raise AudioTransferError(f"{audio.shape[0]} channels cannot become {channels}; ask for 1 or 2")


def crossfade(tail: Tensor, head: Tensor) -> Tensor:
    """Linear fade from tail [C, N] to head [C, N]; equal signals are kept."""
    count = tail.shape[1]
    rise = (torch.arange(count, dtype=tail.dtype, device=tail.device) + 0.5) / max(1, count)
    return tail + (head - tail) * rise
