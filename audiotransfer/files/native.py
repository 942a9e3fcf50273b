"""Paths as libsndfile takes them."""

from __future__ import annotations

import os
from pathlib import Path


def native(path: Path) -> str | bytes:
    """A path whose bytes may be no text: soundfile refuses such a string, and takes the bytes."""
    return os.fsencode(path) if os.name == "posix" else str(path)
