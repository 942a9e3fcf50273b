"""Demucs, by the real library: which models there are, whether and how their weights get here.

The separator itself is in `separation.demucs.separator`, which loads torch.
"""

from separation.demucs.hub import MODELS, available, fetch
from separation.demucs.installing import install

__all__ = ["MODELS", "available", "fetch", "install"]
