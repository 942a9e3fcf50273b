"""Renders parts of an ensemble to sound, each with its soundfont."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Part:
    """What one player plays.

    ``notes`` is ``[N, 4]``: start (s), duration (s), MIDI pitch, velocity (1..127).
    ``program`` is the General MIDI program from 0, or the kit of a drummer. ``levels`` ``[K, 3]``
    are gains of the left and right channel from a time (s) on, 1 before the first: what volume,
    expression and pan make of them.
    """

    stem: str
    program: int
    drums: bool
    notes: NDArray[np.float64]
    levels: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))


def sustains(program: int) -> bool:
    """Whether a General MIDI program sounds as long as its key is held."""
    family = program // 8
    if family == 5:  # strings, but for pizzicato, harp and timpani
        return program < 45
    return family in (2, 6, 7, 8, 9, 10, 11) and program != 55


def default_soundfont() -> Path:
    """Path of the General MIDI soundfont that the package pretty_midi carries.

    Raises AudioTransferError where pretty_midi is not installed.
    """
    found = importlib.util.find_spec("pretty_midi")
    path = Path(found.origin).parent / "TimGM6mb.sf2" if found and found.origin else None
    if path is None or not path.is_file():
        raise AudioTransferError(
            "no soundfont was named and pretty_midi, which carries one, is not installed; "
            "`pip install pretty_midi` gets it"
        )
    return path


class Synthesizer:
    """Plays parts through one or several soundfonts: stereo, float32, at ``sample_rate`` Hz.

    Parts rendered together are the sum of the parts rendered alone.
    """

    def __init__(self, sample_rate: int = 44100) -> None:
        # Compiled code is loaded with it, which only what renders need wait for.
        from audiotransfer.synthesis import Sampler

        self.sample_rate = sample_rate
        self._sampler = Sampler(sample_rate)

    def render(self, parts: Sequence[tuple[Part, Path]], seconds: float) -> NDArray[np.float32]:
        """Sound of the parts, each with its soundfont: ``[2, seconds * sample_rate]``.

        Notes that begin after ``seconds`` are left out; tails are cut there. A program that a
        soundfont lacks is played by the nearest that it has.
        Raises AudioTransferError where a soundfont does not exist or is unreadable.
        """
        sound = np.zeros((2, round(seconds * self.sample_rate)), dtype=np.float32)
        for part, path in parts:
            if not path.is_file():
                raise AudioTransferError(f"soundfont {path} does not exist; name an .sf2 or .sf3")
            self._sampler.play(sound, part.notes, path, part.program, part.drums)
        return sound
