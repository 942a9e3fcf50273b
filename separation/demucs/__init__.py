"""Demucs through its own library: the models, where their files are found, and their installation.

The separator itself is in `separation.demucs.separator`, which loads torch.
"""

from separation.demucs.hub import MODELS, available, fetch
from separation.demucs.installing import install

__all__ = ["MODELS", "available", "fetch", "install"]
