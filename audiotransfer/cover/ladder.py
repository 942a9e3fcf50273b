"""What an arrangement is asked for: its options, and the steps that strength climbs."""

from __future__ import annotations

from dataclasses import dataclass

#: Strengths from which a step of the way to the style is taken; below the first the song's own
#: notes are played by the style's instruments.
SWUNG, ARRANGED, SEVENTHS, TWO_FIVES, SUBSTITUTES = 0.25, 0.45, 0.6, 0.75, 0.9


@dataclass(frozen=True)
class ArrangeOptions:
    """Options of an arrangement.

    ``lead`` names the lead's instrument; ``transpose`` is in semitones; ``tempo`` in beats per
    minute replaces the song's mean tempo; ``intro`` and ``outro`` are numbers of added bars;
    ``swing`` scales how far eighths are swung, 0 is straight; ``None`` is as counted, with sung
    melodies straight.
    """

    lead: str | None = None
    transpose: int = 0
    tempo: float | None = None
    intro: int = 0
    outro: int = 0
    swing: float | None = None
