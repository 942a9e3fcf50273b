"""The instruments of the package by name: sampled ones and synthesised ones.

Names and descriptions load neither numpy nor the engine.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from audiotransfer.errors import AudioTransferError
from audiotransfer.suggest import suggest
from audiotransfer.synthesis.description import FILE, read_description
from audiotransfer.synthesis.synth_presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

FOLDER = Path(__file__).parent / "instruments"
_ELECTRONIC_KIT = "kit_electronic"


class Described(Protocol):
    """What a mix and a MIDI file need to know of an instrument."""

    @property
    def title(self) -> str: ...
    @property
    def program(self) -> int:
        """General MIDI program from 0, or the number of a drum kit."""

    @property
    def drums(self) -> bool: ...
    @property
    def channels(self) -> int: ...
    @property
    def mix_db(self) -> float:
        """Gain that brings typical notes to the level of the instrument's role."""

    @property
    def low_key(self) -> int: ...
    @property
    def high_key(self) -> int: ...


class Voice(Protocol):
    """A note from sample ``onset`` on, of at most ``length`` samples."""

    @property
    def onset(self) -> int: ...
    @property
    def length(self) -> int: ...
    def add(self, into: NDArray[np.float32]) -> None:
        """Adds the note to ``into`` ``[C, T]``, whose first sample is that of its onset."""


class Instrument(Protocol):
    """Notes to voices, at the sample rate that it was loaded for."""

    name: str
    channels: int

    @property
    def description(self) -> Described: ...
    def voices(self, notes: NDArray[np.float64]) -> Sequence[Voice]:
        """Voices of notes ``[N, 4]`` (start s, duration s, pitch, velocity), by their onset."""


def instrument_names() -> tuple[str, ...]:
    """Names of all instruments, sampled ones first."""
    sampled = sorted(path.parent.name for path in FOLDER.glob(f"*/{FILE}"))
    return (*sampled, *PRESETS, _ELECTRONIC_KIT)


@lru_cache(maxsize=64)
def describe(name: str) -> Described:
    """Title, General MIDI program, range and level of an instrument.

    Raises AudioTransferError for an unknown name; the nearest is named.
    """
    if name in PRESETS:
        return PRESETS[name]
    if name == _ELECTRONIC_KIT:
        from audiotransfer.synthesis.drum_synthesis import electronic_kit

        return electronic_kit()
    _check(name)
    return read_description(FOLDER / name)


def load_instrument(name: str, sample_rate: int = 44100, tuning: float = 0.0) -> Instrument:
    """An instrument by its name; its sounds are read when they are first played.

    ``tuning`` is the deviation from A = 440 Hz in cents; drums have none.

    Raises AudioTransferError for an unknown name; the nearest is named.
    """
    if name in PRESETS:
        from audiotransfer.synthesis.analog import SynthInstrument

        return SynthInstrument(name, PRESETS[name], sample_rate, tuning)
    from audiotransfer.synthesis.sampled import SampledInstrument, folder_loader

    if name == _ELECTRONIC_KIT:
        from audiotransfer.synthesis.drum_synthesis import electronic_kit, load_piece

        return SampledInstrument(name, electronic_kit(), load_piece, sample_rate)
    _check(name)
    folder = FOLDER / name
    return SampledInstrument(
        name, read_description(folder), folder_loader(folder), sample_rate, tuning
    )


def _check(name: str) -> None:
    names = instrument_names()
    if name not in names:
        raise AudioTransferError(f"instrument {name!r} is unknown; {suggest(name, names)}")
