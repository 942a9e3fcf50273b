"""Style bundles: finds, checks and loads them. torch is imported only when a style is loaded."""

from audiotransfer.styles.bundle import (
    Keep,
    Share,
    StemTransfer,
    Style,
    load_for_recordings,
    load_style,
    style_label,
)
from audiotransfer.styles.card import (
    Card,
    StemEntry,
    check_playable,
    check_weights,
    read_card,
    sha256,
    write_card,
)
from audiotransfer.styles.find import (
    Installed,
    available,
    find_for_recordings,
    find_style,
    installed,
    search_path,
)

__all__ = [
    "Card",
    "Installed",
    "Keep",
    "Share",
    "StemEntry",
    "StemTransfer",
    "Style",
    "available",
    "check_playable",
    "check_weights",
    "find_for_recordings",
    "find_style",
    "installed",
    "load_for_recordings",
    "load_style",
    "read_card",
    "search_path",
    "sha256",
    "style_label",
    "write_card",
]
