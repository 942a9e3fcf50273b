"""Plays notes with presets of SoundFont files."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.errors import AudioTransferError
from audiotransfer.synthesis.generators import EXCLUSIVE_CLASS
from audiotransfer.synthesis.soundfont import DRUM_BANK, SoundFont, Zone
from audiotransfer.synthesis.voice import Voice

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHORTEST_SECONDS = 0.03


class Sampler:
    """Plays notes through soundfonts: stereo, float32, at ``sample_rate`` Hz.

    Every note is computed by itself, so that whatever is played together is the sum of what is
    played alone. Dry: a room is somebody else's task.
    """

    def __init__(self, sample_rate: int = 44100) -> None:
        self.sample_rate = sample_rate
        self._font = lru_cache(maxsize=8)(SoundFont)

    def preset(self, path: Path, program: int, drums: bool = False) -> tuple[Zone, ...]:
        """The zones of a General MIDI program or kit, or of the nearest that the soundfont has: the
        first of its family, or of all. Raises AudioTransferError where there is none.
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
        """Adds notes ``[N, 4]`` (start and duration in s, MIDI pitch, velocity 1..127) to ``into``
        ``[2, T]``. What begins outside it is left out, what lasts longer is cut.

        Raises AudioTransferError where the soundfont is unreadable.
        """
        zones, font = self.preset(path, program, drums), self._font(path)
        total = into.shape[1]
        onsets: dict[int, list[int]] = {}
        # From the last note to the first, so that each knows what silences it.
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
            # Notes of one class silence each other, as a closed hi-hat does an open one.
            for kind in {zone.generators[EXCLUSIVE_CLASS] for zone in sounding} - {0}:
                onsets.setdefault(kind, []).append(on)
