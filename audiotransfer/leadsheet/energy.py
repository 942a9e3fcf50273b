"""How energetic each bar of a score is, from its notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.leadsheet.leadsheet import bar_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiotransfer.leadsheet.leadsheet import Bar
    from audiotransfer.leadsheet.tracks import TrackNotes

# Weights by rule of thumb: how much is played and how loud count most.
_WEIGHTS = {"density": 0.35, "velocity": 0.3, "tracks": 0.2, "register": 0.15}


def energy_of(tracks: Sequence[TrackNotes], bars: Sequence[Bar]) -> tuple[float, ...]:
    """Energy 0..1 of each bar: onsets a quarter note, velocity, tracks that play, width of the
    register, each from the song's 5th (0) to its 95th percentile (1); 0 where nothing is struck.
    """
    count = len(bars)
    edges = bar_lines(bars)
    onsets, loudness, playing = np.zeros(count), np.zeros(count), np.zeros(count)
    low, high = np.full(count, 128.0), np.zeros(count)
    for track in tracks:
        at = np.searchsorted(edges, track.beats[:, 0] + 0.02, side="right") - 1
        at = np.clip(at, 0, count - 1)
        np.add.at(onsets, at, 1.0)
        np.add.at(loudness, at, track.beats[:, 3])
        playing[np.unique(at)] += 1
        if not track.drums:
            np.minimum.at(low, at, track.beats[:, 2])
            np.maximum.at(high, at, track.beats[:, 2])
    quarters = np.array([bar.quarters for bar in bars])
    played = onsets > 0
    values = {
        "density": np.log1p(onsets / quarters),
        "velocity": loudness / np.maximum(onsets, 1),
        "tracks": playing,
        "register": np.maximum(high - low, 0),
    }
    energy = sum(_WEIGHTS[name] * _scaled(value, played) for name, value in values.items())
    return tuple(np.round(np.where(played, energy, 0.0), 3).tolist())


def _scaled(values: NDArray[np.float64], played: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Values as shares of the range of bars that are played; 0.5 where they are all the same."""
    if not played.any():
        return np.zeros(len(values))
    low, high = np.percentile(values[played], [5, 95])
    if high - low < 1e-9:
        return np.full(len(values), 0.5)
    scaled: NDArray[np.float64] = np.clip((values - low) / (high - low), 0, 1)
    return scaled
