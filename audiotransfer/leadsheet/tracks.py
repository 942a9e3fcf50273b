"""The tracks of a score with their notes in beats and seconds, and what tells them apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.leadsheet.metre import seconds_of
from audiotransfer.midi.score import UNPITCHED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.leadsheet.metre import Timeline

_TOGETHER = 0.03  # beats within which notes begin together


@dataclass(frozen=True)
class TrackNotes:
    """The notes of a track, sorted by start, then pitch.

    ``beats`` ``[N, 4]`` are start and end in beats, MIDI pitch and velocity; ``seconds`` ``[N, 2]``
    are start and end in seconds. ``lyrics`` ``[L]`` are places of syllables in beats.
    """

    name: str
    program: int
    drums: bool
    beats: NDArray[np.float64]
    seconds: NDArray[np.float64]
    lyrics: NDArray[np.float64]


def tracks_of(score: Any, timeline: Timeline) -> list[TrackNotes]:
    """The tracks of a score that have notes; sound effects are left out."""
    return [_track(track, score, timeline) for track in score.tracks if has_part(track)]


def has_part(track: Any) -> bool:
    """Whether a track of a score has notes that are no sound effects."""
    return bool(len(track.notes) and (track.is_drum or track.program < UNPITCHED))


def _track(track: Any, score: Any, timeline: Timeline) -> TrackNotes:
    notes = track.notes.numpy()
    spans = np.stack([notes["time"], notes["time"] + notes["duration"]], axis=1)
    table = np.concatenate(
        [
            timeline.beats_of(spans),
            np.stack([notes["pitch"], notes["velocity"]], axis=1),
            seconds_of(score, spans),
        ],
        axis=1,
    )
    table = table[np.lexsort((table[:, 2], table[:, 0]))]
    lyrics = timeline.beats_of([event.time for event in track.lyrics])
    return TrackNotes(
        track.name, int(track.program), bool(track.is_drum), table[:, :4], table[:, 4:], lyrics
    )


def onset_groups(beats: NDArray[np.float64]) -> NDArray[np.int64]:
    """Numbers of the onsets ``[N]``, from 0, of notes sorted by start: chords share one."""
    steps = np.diff(beats[:, 0], prepend=beats[:1, 0]) > _TOGETHER
    return np.cumsum(steps)
