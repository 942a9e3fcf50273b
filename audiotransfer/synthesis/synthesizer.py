"""Synthesis of parts of an ensemble through SoundFont files."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.errors import AudioTransferError
from audiotransfer.synthesis.generators import EXCLUSIVE_CLASS
from audiotransfer.synthesis.soundfont import DRUM_BANK, SoundFont, Zone

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHORTEST_SECONDS = 0.03


@dataclass(frozen=True)
class Part:
    """Notes of one instrument.

    ``notes`` is ``[N, 4]``: start (s), duration (s), MIDI pitch, velocity (1..127). ``program`` is
    the General MIDI program from 0, or the number of a drum kit. ``levels`` ``[K, 3]`` are gains of
    the left and right channel from a time (s) on, from volume, expression and pan; 1 before the
    first.
    """

    stem: str
    program: int
    drums: bool
    notes: NDArray[np.float64]
    levels: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))


def sustains(program: int) -> bool:
    """Whether a General MIDI program sounds for as long as its key is held."""
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


class Sampler:
    """Renders notes by soundfonts: stereo, float32, at ``sample_rate`` Hz, without a room.

    Every note is computed by itself, so that notes played together are the sum of notes played
    alone.
    """

    def __init__(self, sample_rate: int = 44100) -> None:
        self.sample_rate = sample_rate
        self._font = lru_cache(maxsize=8)(SoundFont)

    def preset(self, path: Path, program: int, drums: bool = False) -> tuple[Zone, ...]:
        """Zones of a General MIDI program or drum kit.

        Where the soundfont lacks it, the first program of its family is taken, or the first of all.
        Raises AudioTransferError where there is none of these.
        """
        font = self._font(path)
        bank = DRUM_BANK if drums else 0
        for number in (program, program - program % 8, 0):
            if (bank, number) in font.presets:
                return font.zones(bank, number)
        raise AudioTransferError(f"soundfont {path} has no preset in bank {bank}")

    def play(
        self,
        into: NDArray[np.float32],
        notes: NDArray[np.float64],
        path: Path,
        program: int,
        drums: bool = False,
    ) -> None:
        """Render notes ``[N, 4]`` and add them to ``into`` ``[2, T]``.

        A note is start (s), duration (s), MIDI pitch, velocity 1..127. Notes that begin outside are
        left out, longer ones are cut. Raises AudioTransferError where the soundfont is unreadable.
        """
        # Loads numba, which takes a second: only what renders has to wait for it.
        from audiotransfer.synthesis.voice import Voice

        zones, font = self.preset(path, program, drums), self._font(path)
        total = into.shape[1]
        onsets: dict[int, list[int]] = {}
        # From the last note to the first, so that later notes that cut a note off are known.
        for start, duration, pitch, velocity in notes[np.argsort(notes[:, 0], kind="stable")][::-1]:
            on = round(float(start) * self.sample_rate)
            if not 0 <= on < total:
                continue
            held = round(max(float(duration), _SHORTEST_SECONDS) * self.sample_rate)
            sounding = [zone for zone in zones if zone.sounds_at(int(pitch), int(velocity))]
            for zone in sounding:
                later = onsets.get(zone.generators[EXCLUSIVE_CLASS], [])
                cut = next((at - on for at in reversed(later) if at > on), None)
                voice = Voice(font, zone, int(pitch), int(velocity), held, self.sample_rate)
                voice.add(into[:, on:], cut)
            # Notes of one exclusive class cut each other off, as a closed hi-hat does an open one.
            for group in {zone.generators[EXCLUSIVE_CLASS] for zone in sounding} - {0}:
                onsets.setdefault(group, []).append(on)


class Synthesizer:
    """Renders parts by one or several soundfonts: stereo, float32, at ``sample_rate`` Hz.

    Parts rendered together are the sum of the parts rendered alone.
    """

    def __init__(self, sample_rate: int = 44100) -> None:
        self.sample_rate = sample_rate
        self._sampler = Sampler(sample_rate)

    def render(self, parts: Sequence[tuple[Part, Path]], seconds: float) -> NDArray[np.float32]:
        """Render parts, each with its soundfont, to sound ``[2, seconds * sample_rate]``.

        Notes that begin after ``seconds`` are left out; tails are cut there. A program that a
        soundfont lacks is replaced by the nearest that it has. Raises AudioTransferError where a
        soundfont does not exist or is unreadable.
        """
        sound = np.zeros((2, round(seconds * self.sample_rate)), dtype=np.float32)
        for part, path in parts:
            if not path.is_file():
                raise AudioTransferError(f"soundfont {path} does not exist; name an .sf2 or .sf3")
            self._sampler.play(sound, part.notes, path, part.program, part.drums)
        return sound
