"""The outputs of the transcription networks, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Lowest MIDI pitch, and number of pitches, of the leads and notes; of the bass.
LOWEST, PITCHES = 21, 88
LOWEST_BASS, BASSES = 23, 38
#: Chord qualities of the network, in its order; class ``12 * quality + root``, the last is none.
CHORD_QUALITIES = ("", "m", "7", "maj7", "m7", "dim")
#: Drum classes of the network, in its order: kick, snare, hi-hat, tom, and other cymbals.
DRUM_CLASSES = ("kick", "snare", "hat", "tom", "cymbal")


@dataclass(frozen=True)
class PitchActivations:
    """What the pitch network says of a song, as probabilities of L frames at ``rate`` a second.

    Frame ``l`` is at ``l / rate`` seconds. ``lead`` ``[L, 89]`` is a distribution over the pitches
    (see `LOWEST`) and, last, none; ``lead_onsets``, ``notes`` and ``note_onsets`` ``[L, 88]`` are
    each pitch's own; ``bass`` ``[L, 39]`` is a distribution like the lead's (see `LOWEST_BASS`),
    ``chords`` ``[L, 73]`` one over chords (see `CHORD_QUALITIES`). ``voice`` ``[L]`` is the
    probability that somebody sings. ``levels`` ``[L, 88]`` are the levels in dB of the sound at
    each pitch, ``tuning`` the song's deviation from A = 440 Hz in cents. All are kept in half
    precision: an hour has 155 000 frames.
    """

    rate: float
    lead: NDArray[np.float16]
    lead_onsets: NDArray[np.float16]
    notes: NDArray[np.float16]
    note_onsets: NDArray[np.float16]
    bass: NDArray[np.float16]
    chords: NDArray[np.float16]
    voice: NDArray[np.float16]
    levels: NDArray[np.float16]
    tuning: float = 0.0


@dataclass(frozen=True)
class RhythmActivations:
    """What the rhythm network says of a song, as probabilities of L frames at ``rate`` a second.

    ``beats`` and ``downbeats`` ``[L]``; ``drums`` ``[L, 5]`` (see `DRUM_CLASSES`).
    """

    rate: float
    beats: NDArray[np.float32]
    downbeats: NDArray[np.float32]
    drums: NDArray[np.float32]
