"""Loudspeaker names of channel layouts, as WAV's channel mask, libsndfile and FFmpeg say them."""

from __future__ import annotations

from collections.abc import Iterable

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

Layout = tuple[str, ...]


def mask_layout(mask: int, channels: int) -> Layout | None:
    """The speakers of a WAVEFORMATEXTENSIBLE channel mask; None where it names another number."""
    return _checked((name for bit, name in enumerate(_MASK) if mask >> bit & 1), channels)


def mask_order(layout: Layout) -> Layout:
    """The same loudspeakers in the order of a channel mask."""
    return tuple(name for name in _MASK if name in layout)


def of_core_audio(chunk: bytes, channels: int) -> Layout | None:
    """The speakers of an aiff's CHAN or a caf's chan chunk; None where it names no usual layout."""
    tag, mask = (int.from_bytes(chunk[at : at + 4], "big") for at in (0, 4))
    if tag == 1 << 16:
        return mask_layout(mask, channels)
    return _checked(_CORE_AUDIO.get(tag >> 16, "").split(), channels)


def of_libsndfile(numbers: Iterable[int]) -> Layout | None:
    """The speakers of libsndfile's channel map; None where one is not known."""
    names = [_LIBSNDFILE[n] if 0 <= n < len(_LIBSNDFILE) else "" for n in numbers]
    return _checked(names, len(names))


def of_ffmpeg(names: Iterable[str], channels: int) -> Layout | None:
    """The speakers of FFmpeg's layout; None where it is not known."""
    return _checked(names, channels)


def _checked(names: Iterable[str], channels: int) -> Layout | None:
    layout = tuple(names)
    known = all(name in _MASK for name in layout) and len(set(layout)) == len(layout)
    return layout if known and len(layout) == channels else None
