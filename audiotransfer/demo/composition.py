"""Composes and renders the demo song: "Paper lanterns", twelve bars of pop-rock in D (CC0).

Time is counted in beats from 0, with four beats a bar: four bars of verse, eight of chorus.
``python -m audiotransfer.demo.composition FILE.ogg [SOUNDFONT]`` writes it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.data.rendering.arrangement import Arrangement
from audiotransfer.data.rendering.production import room
from audiotransfer.synthesis.synthesizer import Part, Synthesizer, default_soundfont

if TYPE_CHECKING:
    from numpy.typing import NDArray

BEATS_A_MINUTE = 112.0
BARS = 12
SAMPLE_RATE = 44100
#: Length of the last chord's decay after the last bar.
TAIL_SECONDS = 1.6
_FADE_SECONDS = 0.6
_PEAK = 0.8

# General MIDI programs, from 0, and keys of the drum kit.
_DRUM_KIT, _CLEAN_GUITAR, _OVERDRIVE = 0, 27, 29
_FINGERED_BASS, _SYNTH_STRINGS, _SAW_LEAD = 33, 50, 81
_KICK, _SNARE, _HAT, _OPEN_HAT, _CRASH = 36, 38, 42, 46, 49
_LOW_TOM, _MID_TOM, _HIGH_TOM = 43, 47, 50

#: Chord -> MIDI pitch of the bass, and of the three notes above it.
_CHORDS = {
    "D": (38, (62, 66, 69)),
    "A/C#": (37, (61, 64, 69)),
    "Bm": (35, (62, 66, 71)),
    "G": (43, (62, 67, 71)),
    "Em": (40, (64, 67, 71)),
    "A": (33, (61, 64, 69)),
}
_VERSE = ("D", "A/C#", "Bm", "G")
_CHORUS = ("G", "A", "D", "Bm", "Em", "G", "A", "D")

#: The melody: (beat in the song, length in beats, MIDI pitch).
_MELODY = (
    *((0.5, 0.5, 66), (1, 0.5, 69), (1.5, 1, 74), (2.5, 0.5, 73), (3, 1, 69)),
    *((4.5, 0.5, 69), (5, 0.5, 71), (5.5, 1, 73), (6.5, 0.5, 71), (7, 1, 69)),
    *((8.5, 0.5, 66), (9, 0.5, 69), (9.5, 1, 71), (10.5, 0.5, 74), (11, 1, 73)),
    *((12, 1.5, 71), (13.5, 0.5, 69), (14, 0.5, 67), (14.5, 0.5, 69), (15, 1, 71)),
    *((16, 1.5, 74), (17.5, 0.5, 71), (18, 1, 74), (19, 0.5, 76), (19.5, 0.5, 74)),
    *((20, 1.5, 73), (21.5, 0.5, 69), (22, 1, 73), (23, 1, 76)),
    *((24, 1, 78), (25, 0.5, 76), (25.5, 1, 74), (26.5, 0.5, 69), (27, 1, 74)),
    *((28, 1.5, 73), (29.5, 0.5, 71), (30, 2, 66)),
    *((32, 1.5, 67), (33.5, 0.5, 71), (34, 1, 76), (35, 0.5, 78), (35.5, 0.5, 76)),
    *((36, 1.5, 74), (37.5, 0.5, 71), (38, 1, 74), (39, 1, 79)),
    *((40, 1.5, 78), (41.5, 0.5, 76), (42, 1, 73), (43, 0.5, 71), (43.5, 0.5, 73)),
    *((44, 3.5, 74),),
)

_Note = tuple[float, float, int, int]  # start and length in beats, pitch, velocity


def _drums() -> list[_Note]:
    """Rock beat, with fills before the chorus and in the middle of it."""
    notes: list[_Note] = []
    for bar in range(BARS):
        start, chorus = 4.0 * bar, bar >= len(_VERSE)
        if bar == BARS - 1:
            return [*notes, (start, 2, _CRASH, 110), (start, 1, _KICK, 112)]
        for eighth in range(8):
            cymbal = _OPEN_HAT if chorus and eighth % 4 == 3 else _HAT
            notes.append((start + eighth / 2, 0.4, cymbal, 92 if eighth % 2 == 0 else 70))
        for beat in (0, 1.5, 2, 3.5) if chorus else (0, 2, 2.5):
            notes.append((start + beat, 0.5, _KICK, 108))
        if bar in (3, 7):
            notes.append((start + 1, 0.5, _SNARE, 106))
            fill = (_SNARE, _SNARE, _HIGH_TOM, _HIGH_TOM, _MID_TOM, _MID_TOM, _LOW_TOM, _LOW_TOM)
            notes += [(start + 2 + k / 4, 0.3, drum, 88 + 3 * k) for k, drum in enumerate(fill)]
        else:
            notes += [(start + beat, 0.5, _SNARE, 108) for beat in (1, 3)]
        if bar in (0, 4, 8):
            notes.append((start, 3, _CRASH, 100))
    return notes


def _bass() -> list[_Note]:
    """Bass in eighths, with octaves in the chorus."""
    notes: list[_Note] = []
    for bar, name in enumerate(_VERSE + _CHORUS):
        root, start = _CHORDS[name][0], 4.0 * bar
        if bar == BARS - 1:
            notes.append((start, 4, root, 104))
            continue
        # The sixth above the bass of a chord on its third is the chord's root.
        high = 8 if "/" in name else 7
        steps = (0, 0, 0, 12, 0, 0, high, 12) if bar >= len(_VERSE) else (0, 0, 0, 0, 0, 0, high, 0)
        notes += [
            (start + k / 2, 0.45, root + step, 102 if k % 4 == 0 else 88)
            for k, step in enumerate(steps)
        ]
    return notes


def _picked_guitar() -> list[_Note]:
    """Broken chords in eighths in the verse, and a last one in the last bar."""
    notes: list[_Note] = []
    for bar, name in enumerate(_VERSE):
        low, middle, high = _CHORDS[name][1]
        pattern = (low, middle, high, middle, low + 12, high, middle, high)
        notes += [
            (4.0 * bar + k / 2, 0.9, pitch, 84 if k % 4 == 0 else 70)
            for k, pitch in enumerate(pattern)
        ]
    notes += [(44.0 + k / 8, 3.5, pitch, 78) for k, pitch in enumerate((62, 66, 69, 74))]
    return notes


def _power_chords() -> list[_Note]:
    """Power chords of the chorus."""
    notes: list[_Note] = []
    for bar, name in enumerate(_CHORUS, start=len(_VERSE)):
        root = _CHORDS[name][0] + 12
        strokes = ((0, 4.0),) if bar == BARS - 1 else ((0, 1.4), (1.5, 0.9), (2.5, 1.4))
        for beat, length in strokes:
            notes += [(4.0 * bar + beat, length, root + step, 94) for step in (0, 7, 12)]
    return notes


def _strings() -> list[_Note]:
    """A held chord for each bar of the chorus."""
    return [
        (4.0 * bar, 3.9, pitch, 66)
        for bar, name in enumerate(_CHORUS, start=len(_VERSE))
        for pitch in _CHORDS[name][1]
    ]


def _lead() -> list[_Note]:
    """The melody, a little detached."""
    return [
        (start, 0.92 * length, pitch, 98 if start % 1 == 0 else 88)
        for start, length, pitch in _MELODY
    ]


def arrangement() -> Arrangement:
    """The song in six parts: drums, bass, two guitars, strings and the lead."""
    beat = 60.0 / BEATS_A_MINUTE

    def part(stem: str, program: int, notes: list[_Note], drums: bool = False) -> Part:
        in_seconds = np.array(notes, dtype=np.float64) * (beat, beat, 1, 1)
        return Part(stem, program, drums, in_seconds)

    return Arrangement(
        (
            part("drums", _DRUM_KIT, _drums(), drums=True),
            part("bass", _FINGERED_BASS, _bass()),
            part("other", _CLEAN_GUITAR, _picked_guitar()),
            part("other", _OVERDRIVE, _power_chords()),
            part("other", _SYNTH_STRINGS, _strings()),
            part("other", _SAW_LEAD, _lead()),
        ),
        beat=beat,
    )


def score() -> Any:
    """The song's notes as a ``symusic.Score`` in ticks."""
    import symusic

    song = arrangement()
    quarter = 480
    notes: Any = symusic.Score(quarter)
    notes.tempos.append(symusic.Tempo(0, qpm=BEATS_A_MINUTE))
    notes.time_signatures.append(symusic.TimeSignature(0, 4, 4))
    names = ("drums", "bass", "picked guitar", "power chords", "strings", "lead")
    for part, name in zip(song.parts, names, strict=True):
        track: Any = symusic.Track(name, part.program, part.drums)
        ticks = np.rint(part.notes[:, :2] * quarter / song.beat).astype(int)
        for (start, length), (pitch, velocity) in zip(ticks, part.notes[:, 2:], strict=True):
            note = symusic.Note(int(start), int(length), int(pitch), int(velocity))
            track.notes.append(note)
        notes.tracks.append(track)
    return notes


#: Gain (linear) and pan (-1 left .. 1 right) of each part.
_MIX = ((1.0, 0.0), (0.9, 0.0), (0.8, -0.6), (0.42, 0.55), (0.35, -0.3), (0.5, 0.15))


def render_song(soundfont: Path | None = None, seed: int = 0) -> NDArray[np.float32]:
    """Renders the song, ``[2, T]`` at 44.1 kHz: parts are panned, and share one reverberation.

    ``soundfont`` is an .sf2 or .sf3; the default is that of pretty_midi.
    Raises AudioTransferError where the soundfont is missing or unreadable.
    """
    song, font = arrangement(), soundfont or default_soundfont()
    seconds = song.seconds + TAIL_SECONDS
    mix = np.zeros((2, round(seconds * SAMPLE_RATE)), dtype=np.float32)
    for part, (gain, pan) in zip(song.parts, _MIX, strict=True):
        sound = Synthesizer(SAMPLE_RATE).render([(part, font)], seconds)
        sound /= np.sqrt(np.mean(sound**2)) + 1e-9
        sides = np.array([[min(1.0, 1 - pan)], [min(1.0, 1 + pan)]], dtype=np.float32)
        mix += gain * sides * sound
    mix = room(mix, SAMPLE_RATE, np.random.default_rng(seed), decay=0.7, wet_db=-16.0)
    fade = round(_FADE_SECONDS * SAMPLE_RATE)
    mix[:, -fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    normalised: NDArray[np.float32] = mix * (_PEAK / np.abs(mix).max())
    return normalised


def main() -> None:
    """Writes the song as Ogg Vorbis to the path of the first argument."""
    import soundfile

    target = Path(sys.argv[1])
    sound = render_song(Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    soundfile.write(target, sound.T, SAMPLE_RATE, format="OGG", subtype="VORBIS")


if __name__ == "__main__":
    main()
