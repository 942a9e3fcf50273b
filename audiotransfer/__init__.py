"""Music style transfer: a song goes in, the same song in another style comes out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiotransfer.pipeline.song import Song, load_style, transfer

__version__ = "0.1.0"
__all__ = ["Song", "load_style", "transfer"]


def __getattr__(name: str) -> Any:
    # Lazy, so that `audiotransfer --help` need not wait for torch.
    if name in __all__:
        return getattr(importlib.import_module("audiotransfer.pipeline.song"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
