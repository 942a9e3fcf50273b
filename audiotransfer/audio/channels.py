"""Between channel counts, and from one block to the next."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

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
_ORDER = {  # of wav and flac, where a file does not say (RFC 9639 §9.1.3)
    1: "FC",
    2: "FL FR",
    3: "FL FR FC",
    4: "FL FR BL BR",
    5: "FL FR FC BL BR",
    6: "FL FR FC LFE BL BR",
    7: "FL FR FC LFE BC SL SR",
    8: "FL FR FC LFE BL BR SL SR",
}
_NAMES = {
    ("FC",): "mono",
    ("FL", "FR"): "stereo",
    ("FC", "FL", "FR"): "3.0",
    ("BC", "FC", "FL", "FR"): "4.0",
    ("BL", "BR", "FL", "FR"): "quad",
    ("FL", "FR", "SL", "SR"): "quad",
    ("BL", "BR", "FC", "FL", "FR"): "5.0",
    ("FC", "FL", "FR", "SL", "SR"): "5.0",
    ("BL", "BR", "FC", "FL", "FR", "LFE"): "5.1",
    ("FC", "FL", "FR", "LFE", "SL", "SR"): "5.1",
    ("BC", "FC", "FL", "FR", "LFE", "SL", "SR"): "6.1",
    ("BL", "BR", "FC", "FL", "FR", "LFE", "SL", "SR"): "7.1",
}

Layout = Sequence[str]
"""A loudspeaker for each channel, by WAV's names: FL, FR, FC, LFE, BL, BR, BC, SL, SR …"""


def default_layout(channels: int) -> tuple[str, ...]:
    """WAV's order for a number of channels; beyond 8 left and right by turns."""
    known = _ORDER.get(channels)
    return tuple(known.split()) if known else tuple(("FL", "FR")[n % 2] for n in range(channels))


def layout_name(layout: Layout) -> str:
    """What people call it: "5.1"; "" for what has no common name."""
    return _NAMES.get(tuple(sorted(layout)), "")


def to_stereo(audio: Tensor, layout: Layout | None = None) -> Tensor:
    """Audio [C, T] as [2, T]: mono doubled, stereo as it is, more channels folded down.

    Folding is ITU-R BS.775's: the centre at −3 dB to both sides, surround channels at −3 dB to
    theirs, the low-frequency channel left out. The sum is not scaled, and may pass full scale.
    """
    if audio.shape[0] == 1:
        return audio.repeat(2, 1)
    if audio.shape[0] == 2:
        return audio
    if layout is None or len(layout) != audio.shape[0]:
        layout = default_layout(audio.shape[0])
    gains = torch.tensor([[side.get(name, 0.0) for name in layout] for side in (_LEFT, _RIGHT)])
    if audio.shape[0] > max(_ORDER) and not set(layout) - {"FL", "FR"}:
        gains = gains / gains.sum(dim=1, keepdim=True)  # no layout: the mean of each side
    return gains.to(audio) @ audio


def to_channels(audio: Tensor, channels: int) -> Tensor:
    """Audio [C, T] as [channels, T], channels being 1 (the mean) or 2.

    Raises AudioTransferError for other counts, unless there is nothing to change.
    """
    if audio.shape[0] == channels:
        return audio
    if channels == 1:
        return audio.mean(dim=0, keepdim=True)
    if channels == 2:
        return to_stereo(audio)
    raise AudioTransferError(f"{audio.shape[0]} channels cannot become {channels}; ask for 1 or 2")


def crossfade(tail: Tensor, head: Tensor) -> Tensor:
    """Fade from tail [C, N] to head [C, N], linearly: equal signals stay as they are."""
    count = tail.shape[1]
    rise = (torch.arange(count, dtype=tail.dtype, device=tail.device) + 0.5) / max(1, count)
    return tail + (head - tail) * rise
