"""Taking a mix apart into stems that sum to it again."""

from separation.base import GRID, Progress, Separator, create, names
from separation.demucs import MODELS, available, fetch
from separation.errors import SeparationError

__all__ = [
    "GRID",
    "MODELS",
    "Progress",
    "SeparationError",
    "Separator",
    "available",
    "create",
    "fetch",
    "names",
]
