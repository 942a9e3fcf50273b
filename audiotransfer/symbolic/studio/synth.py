"""Notes to sound with a soundfont, in tune, by whichever synthesizer is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.errors import AudioTransferError
from audiotransfer.symbolic.studio.band import Part

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DRUM_BANK = 128
_REMEDY = "no soundfont synthesizer is installed; `pip install --no-deps tinysoundfont` gets one"


def default_soundfont() -> Path:
    """Path of the General MIDI soundfont that the package pretty_midi carries.

    Raises AudioTransferError where pretty_midi is not installed.
    """
    found = importlib.util.find_spec("pretty_midi")
    if found is None or found.origin is None:
        raise AudioTransferError(
            "no soundfont was named and pretty_midi, which carries one, is not installed; "
            "`pip install pretty_midi` gets it"
        )
    return Path(found.origin).parent / "TimGM6mb.sf2"


def synthesizer_available() -> bool:
    """Whether notes can be rendered on this machine."""
    return importlib.util.find_spec("tinysoundfont") is not None


class Synthesizer:
    """Plays parts through one or several soundfonts.

    The sounds are stereo, float32, at ``sample_rate`` Hz. Rendering one part on its own or
    together with others gives the same sound to about -40 dB: nothing is shared between channels,
    but envelopes move in steps that begin anew with every event of any part.
    Memory grows with what has been rendered: renew the process now and then.

    Raises AudioTransferError where no synthesizer is installed or a soundfont is unreadable.
    """

    def __init__(self, sample_rate: int = 44100) -> None:
        if not synthesizer_available():
            raise AudioTransferError(_REMEDY)
        import tinysoundfont

        self.sample_rate = sample_rate
        self._synth: Any = tinysoundfont.Synth(samplerate=sample_rate)
        self._loaded: dict[Path, int] = {}

    def _font(self, path: Path) -> int:
        if path not in self._loaded:
            if not path.is_file():
                raise AudioTransferError(f"soundfont {path} does not exist; name an .sf2 or .sf3")
            try:
                self._loaded[path] = self._synth.sfload(str(path))
            except Exception as error:
                raise AudioTransferError(f"soundfont {path} cannot be read: {error}") from error
        return self._loaded[path]

    def _select(self, channel: int, part: Part, font: int) -> None:
        """The part's preset, or the nearest one that the soundfont has."""
        bank = _DRUM_BANK if part.drums else 0
        family = part.program - part.program % 8
        for program in (part.program, family, 0):
            if self._synth.sfpreset_name(font, bank, program) is not None:
                self._synth.program_select(channel, font, bank, program, part.drums)
                return
        raise AudioTransferError(f"the soundfont has no preset for bank {bank} at all")

    def render(self, parts: Sequence[tuple[Part, Path]], seconds: float) -> NDArray[np.float32]:
        """Sound of the parts, each with its soundfont: ``[2, seconds * sample_rate]``.

        Notes that begin after ``seconds`` are left out; tails are cut there.
        """
        total = round(seconds * self.sample_rate)
        # The parts are played in groups of 15: a synthesizer has 16 channels, and none may be
        # shared, or a note-off of one part would silence another's note.
        sound = np.zeros((2, total), dtype=np.float32)
        for first in range(0, len(parts), 15):
            sound += self._render_group(parts[first : first + 15], total)
        return sound

    def _render_group(self, parts: Sequence[tuple[Part, Path]], total: int) -> NDArray[np.float32]:
        events: list[tuple[int, int, int, int, int]] = []
        for channel, (part, path) in enumerate(parts):
            self._select(channel, part, self._font(path))
            for start, duration, pitch, velocity in part.notes:
                on = round(float(start) * self.sample_rate)
                off = round(float(start + max(duration, 0.03)) * self.sample_rate)
                if 0 <= on < total:
                    # Note-offs sort before note-ons of the same sample: repeated notes sound.
                    events.append((on, 1, channel, int(pitch), int(velocity)))
                    events.append((min(off, total), 0, channel, int(pitch), 0))
        events.sort()
        chunks: list[NDArray[np.float32]] = []
        now = 0
        for at, on, channel, pitch, velocity in events:
            if at > now:
                chunks.append(self._generate(at - now))
                now = at
            if on:
                self._synth.noteon(channel, pitch, velocity)
            else:
                self._synth.noteoff(channel, pitch)
        if now < total:
            chunks.append(self._generate(total - now))
        self._synth.sounds_off()
        # It fades what still sounds within 10 ms, which would open the next rendering.
        self._generate(self.sample_rate // 20)
        if not chunks:
            return np.zeros((2, total), dtype=np.float32)
        return np.ascontiguousarray(np.concatenate(chunks).T)

    def _generate(self, samples: int) -> NDArray[np.float32]:
        buffer = self._synth.generate(samples)
        return np.frombuffer(buffer, dtype=np.float32).reshape(-1, 2).copy()
