"""Objectives that learn from unpaired pictures, found by name.

Whatever the group `audiotransfer.objectives` registers and has `Settings` (a dataclass) and
`on_pictures(materials, settings)` counts: ours and those of installed plugins.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.materials import Materials
from audiotransfer.training import Objective
from audiotransfer.training.config import read_settings

GROUP = "audiotransfer.objectives"


def names() -> list[str]:
    """Names that `create` knows, in alphabetical order."""
    return sorted(_registered())


def create(name: str, materials: Materials, settings: Mapping[str, Any]) -> Objective:
    """Build an objective with fresh networks.

    Raises AudioTransferError for an unknown name, setting or network, naming the nearest.
    """
    found = _registered()
    if name not in found:
        near = difflib.get_close_matches(name, found, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(found))}"
        raise AudioTransferError(f"no objective {name!r} learns from unpaired pictures: {hint}")
    kind = found[name]
    chosen = read_settings(settings, kind.Settings, "settings")
    objective: Objective = kind.on_pictures(materials, chosen)
    return objective


def _registered() -> dict[str, Any]:
    loaded = {entry.name: entry.load() for entry in entry_points(group=GROUP)}
    return {name: kind for name, kind in loaded.items() if hasattr(kind, "on_pictures")}
