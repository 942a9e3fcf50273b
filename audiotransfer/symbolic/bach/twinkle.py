"""The tune of "Twinkle, twinkle, little star" ("Ah! vous dirai-je, maman", 1761), in G."""

from __future__ import annotations

from typing import Any

import numpy as np

from audiotransfer.symbolic.bach.chorales import BEAT, Voices

NAME = "twinkle"
_QPM = 100.0
_VELOCITY = 90
_CALL = [67, 67, 74, 74, 76, 76, 74, 72, 72, 71, 71, 69, 69, 67]
_ANSWER = [74, 74, 72, 72, 71, 71, 69] * 2
PITCHES = [*_CALL, *_ANSWER, *_CALL]
_QUARTERS = [1, 1, 1, 1, 1, 1, 2]  # of each phrase
LENGTHS = _QUARTERS * (len(PITCHES) // len(_QUARTERS))


def steps() -> Voices:
    """Its twelve bars of four, a MIDI pitch a sixteenth: [192]."""
    return np.repeat(np.array(PITCHES, dtype=np.int64), BEAT * np.array(LENGTHS))


def score() -> Any:
    """The tune as a ``symusic.Score`` of one track, 4/4 at 100 quarters a minute."""
    import symusic

    quarter = 480
    made: Any = symusic.Score(quarter)
    made.tempos.append(symusic.Tempo(0, qpm=_QPM))
    made.time_signatures.append(symusic.TimeSignature(0, 4, 4))
    track: Any = symusic.Track("Melody", 0, False)
    start = 0
    for pitch, length in zip(PITCHES, LENGTHS, strict=True):
        track.notes.append(symusic.Note(start, quarter * length, pitch, _VELOCITY))
        start += quarter * length
    made.tracks.append(track)
    return made
