"""Channel layouts (loudspeakers by WAV's names), conversion between them, and cross-fades."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from torch import Tensor

Layout = tuple[str, ...]
"""A loudspeaker for each channel: FL, FR, FC, LFE, BL, BR, BC, SL, SR …"""

# fmt: off
_MASK = (
    "FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR",
    "TC", "TFL", "TFC", "TFR", "TBL", "TBC", "TBR",
)  # by bit
_LIBSNDFILE = (
    "", "FC", "FL", "FR", "FC", "FL", "FR", "FC", "BC", "BL", "BR", "LFE", "FLC", "FRC", "SL", "SR",
    "TC", "TFL", "TFR", "TFC", "TBL", "TBR", "TBC",
)  # by SF_CHANNEL_MAP number
# fmt: on
_CORE_AUDIO = {  # numbers of Core Audio's layout tags
    108: "FL FR SL SR",
    113: "FL FR FC",
    114: "FC FL FR",
    115: "FL FR FC BC",
    116: "FC FL FR BC",
    117: "FL FR FC SL SR",
    118: "FL FR SL SR FC",
    119: "FL FC FR SL SR",
    120: "FC FL FR SL SR",
    121: "FL FR FC LFE SL SR",
    122: "FL FR SL SR FC LFE",
    123: "FL FC FR SL SR LFE",
    124: "FC FL FR SL SR LFE",
    125: "FL FR FC LFE SL SR BC",
    126: "FL FR FC LFE SL SR FLC FRC",
    127: "FC FLC FRC FL FR SL SR LFE",
    128: "FL FR FC LFE SL SR BL BR",
}

ORDERS = {  # default orders of wav and flac by channel count (RFC 9639 §9.1.3)
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


def mask_layout(mask: int, channels: int) -> Layout | None:
    """Layout of a WAVEFORMATEXTENSIBLE channel mask; None where the number of channels differs."""
    return _checked((name for bit, name in enumerate(_MASK) if mask >> bit & 1), channels)


def mask_order(layout: Layout) -> Layout:
    """A layout's loudspeakers in the order of a channel mask."""
    return tuple(name for name in _MASK if name in layout)


def of_core_audio(chunk: bytes, channels: int) -> Layout | None:
    """Layout of an aiff's CHAN or a caf's chan chunk; None where it is no known one."""
    tag, mask = (int.from_bytes(chunk[at : at + 4], "big") for at in (0, 4))
    if tag == 1 << 16:
        return mask_layout(mask, channels)
    return _checked(_CORE_AUDIO.get(tag >> 16, "").split(), channels)


def of_libsndfile(numbers: Iterable[int]) -> Layout | None:
    """Layout of libsndfile's channel map; None where a loudspeaker is unknown."""
    names = [_LIBSNDFILE[n] if 0 <= n < len(_LIBSNDFILE) else "" for n in numbers]
    return _checked(names, len(names))


def of_ffmpeg(names: Iterable[str], channels: int) -> Layout | None:
    """Layout of FFmpeg's channel names; None where one is unknown."""
    return _checked(names, channels)


def _checked(names: Iterable[str], channels: int) -> Layout | None:
    """The names as a layout, or None where one is unknown or repeated, or their number differs."""
    layout = tuple(names)
    known = all(name in _MASK for name in layout) and len(set(layout)) == len(layout)
    return layout if known and len(layout) == channels else None


def default_layout(channels: int) -> tuple[str, ...]:
    """WAV's order for a number of channels; beyond 8 left and right alternate."""
    known = ORDERS.get(channels)
    return tuple(known.split()) if known else tuple(("FL", "FR")[n % 2] for n in range(channels))


def layout_name(layout: Sequence[str]) -> str:
    """Common name of a layout, such as "5.1"; "" where it has none."""
    return _NAMES.get(tuple(sorted(layout)), "")


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
    import torch

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
    import torch

    count = tail.shape[1]
    rise = (torch.arange(count, dtype=tail.dtype, device=tail.device) + 0.5) / max(1, count)
    return tail + (head - tail) * rise
