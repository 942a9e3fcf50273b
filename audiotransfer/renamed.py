"""Names of version 0.1.0 in configs, cards and manifests, and the names that took their place.

Files that hold an old name are read for one more release.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Word in a key -> the word that took its place.
WORDS = {
    "picture": "spectrogram",
    "pictures": "spectrograms",
    "critic": "discriminator",
    "critics": "discriminators",
}


def present_key(key: str) -> str:
    """The present name of a key, such as ``spectrogram`` for ``picture``."""
    return "_".join(WORDS.get(word, word) for word in key.split("_"))


def present_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values under present names, at the first level."""
    return {present_key(key): value for key, value in values.items()}
