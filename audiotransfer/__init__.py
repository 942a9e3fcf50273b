"""Music style transfer on recordings and MIDI files."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiotransfer.pipeline.song import Song, load_style, transfer

__version__ = "0.2.0"
__all__ = ["Song", "load_style", "transfer"]


def __getattr__(name: str) -> Any:
    # Imported lazily, so that `audiotransfer --help` does not load torch.
    if name in __all__:
        return getattr(importlib.import_module("audiotransfer.pipeline.song"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
