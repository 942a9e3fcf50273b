"""Synthesis of notes by sampled and synthesised instruments, soundfonts and additive instruments.

Imported lazily: the names of instruments are read without numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiotransfer.synthesis.catalogue import describe, instrument_names, load_instrument
    from audiotransfer.synthesis.ensemble import Ensemble, EnsemblePart
    from audiotransfer.synthesis.room import Room
    from audiotransfer.synthesis.soundfont import DRUM_BANK, SoundFont
    from audiotransfer.synthesis.synthesizer import Part, Sampler, Synthesizer

__all__ = [
    "DRUM_BANK",
    "Ensemble",
    "EnsemblePart",
    "Part",
    "Room",
    "Sampler",
    "SoundFont",
    "Synthesizer",
    "describe",
    "instrument_names",
    "load_instrument",
]

_MODULES = {
    "catalogue": ("describe", "instrument_names", "load_instrument"),
    "ensemble": ("Ensemble", "EnsemblePart"),
    "room": ("Room",),
    "soundfont": ("DRUM_BANK", "SoundFont"),
    "synthesizer": ("Part", "Sampler", "Synthesizer"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
