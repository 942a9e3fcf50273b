"""Where the drums of General MIDI stand on a percussion staff."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Drum:
    """A drum: General MIDI key, name, place on the staff as a treble clef's, and notehead."""

    key: int
    name: str
    step: str
    octave: int
    head: str = "normal"


_DRUMS = {
    drum.key: drum
    for drum in (
        Drum(36, "Bass drum", "F", 4),
        Drum(37, "Side stick", "C", 5, "x"),
        Drum(38, "Snare drum", "C", 5),
        Drum(39, "Hand clap", "C", 5, "triangle"),
        Drum(41, "Low floor tom", "G", 4),
        Drum(42, "Closed hi-hat", "G", 5, "x"),
        Drum(43, "High floor tom", "A", 4),
        Drum(44, "Pedal hi-hat", "D", 4, "x"),
        Drum(45, "Low tom", "B", 4),
        Drum(46, "Open hi-hat", "G", 5, "circle-x"),
        Drum(47, "Low mid tom", "D", 5),
        Drum(48, "High mid tom", "E", 5),
        Drum(49, "Crash cymbal", "A", 5, "x"),
        Drum(51, "Ride cymbal", "F", 5, "x"),
        Drum(53, "Ride bell", "F", 5, "diamond"),
        Drum(54, "Tambourine", "B", 5, "triangle"),
        Drum(56, "Cowbell", "E", 5, "triangle"),
        Drum(70, "Maracas", "B", 5, "x"),
        Drum(75, "Claves", "D", 5, "triangle"),
    )
}
# Keys that are another sound of the same drum.
_ALIKE = {35: 36, 40: 38, 50: 48, 52: 49, 55: 49, 57: 49, 59: 51, 69: 70, 82: 70}
_FEET = (35, 36, 44)


def drum_of(key: int) -> Drum:
    """The drum of a General MIDI key; of others, one with the key as its name."""
    known = _DRUMS.get(_ALIKE.get(key, key))
    return known or Drum(key, f"Percussion {key}", "E", 5, "slash")


def is_foot(key: int) -> bool:
    """Whether the drum of a General MIDI key is played with a foot."""
    return key in _FEET
