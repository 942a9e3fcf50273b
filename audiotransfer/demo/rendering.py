"""The demo song from notes to sound: how the shipped file was made.

``python -m audiotransfer.demo.rendering SONG.ogg SOUNDFONT`` makes it again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.corpora.effects import room
from audiotransfer.demo.composition import TAIL_SECONDS, band
from audiotransfer.symbolic.studio.synth import Synthesizer, default_soundfont

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE_RATE = 44100
_PEAK = 0.8
_FADE_SECONDS = 0.6
#: Level (linear) and place (-1 left .. 1 right) of each player, in the order of the band.
_MIX = ((1.0, 0.0), (0.9, 0.0), (0.8, -0.6), (0.42, 0.55), (0.35, -0.3), (0.5, 0.15))


def render_song(soundfont: Path | None = None, seed: int = 0) -> NDArray[np.float32]:
    """The song's sound, ``[2, T]`` at 44.1 kHz: each player placed, in one room.

    ``soundfont`` is an .sf2 or .sf3; without one, the one that pretty_midi carries.
    Raises AudioTransferError where the soundfont is missing or unreadable.
    """
    song, font = band(), soundfont or default_soundfont()
    seconds = song.seconds + TAIL_SECONDS
    mix = np.zeros((2, round(seconds * SAMPLE_RATE)), dtype=np.float32)
    for part, (level, place) in zip(song.parts, _MIX, strict=True):
        sound = Synthesizer(SAMPLE_RATE).render([(part, font)], seconds)
        sound /= np.sqrt(np.mean(sound**2)) + 1e-9
        sides = np.array([[min(1.0, 1 - place)], [min(1.0, 1 + place)]], dtype=np.float32)
        mix += level * sides * sound
    mix = room(mix, SAMPLE_RATE, np.random.default_rng(seed), decay=0.7, wet_db=-16.0)
    fade = round(_FADE_SECONDS * SAMPLE_RATE)
    mix[:, -fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return mix * (_PEAK / np.abs(mix).max())


def main() -> None:
    """Writes the song as Ogg Vorbis to the path that is the first argument."""
    import soundfile

    target = Path(sys.argv[1])
    sound = render_song(Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    soundfile.write(target, sound.T, SAMPLE_RATE, format="OGG", subtype="VORBIS")


if __name__ == "__main__":
    main()
