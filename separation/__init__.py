"""Source separation: a mix `[C, T]` to stems `[C, T]` that sum to it."""

from separation.base import GRID, Progress, SeparationError, Separator, create, fingerprint, names
from separation.demucs import MODELS, available, fetch, install

__all__ = [
    "GRID",
    "MODELS",
    "Progress",
    "SeparationError",
    "Separator",
    "available",
    "create",
    "fetch",
    "fingerprint",
    "install",
    "names",
]
