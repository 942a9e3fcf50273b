"""Taking a mix apart into stems that sum to it again."""

from separation.base import GRID, Progress, Separator, create, names
from separation.demucs import MODELS, available, fetch, install
from separation.errors import SeparationError
from separation.spectrum import fingerprint

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
