"""How the melody changes when comping chords are struck, as a small network learned it.

The counted table of rhythms says what follows what; the network says how much more or less likely
each rhythm is beside this melody than beside none.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from audiotransfer.cover.features import HISTORY, SLOTS, comping_features
from audiotransfer.cover.networks import load_events

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from audiotransfer.cover.networks import EventNetwork

_cached = lru_cache(maxsize=4)(load_events)


class MelodyInfluence:
    """Weights of comping rhythms beside a melody.

    ``rhythms`` ``[R, 8]`` are onsets in the half beats of a bar of four; ``melody`` ``[T]`` is 1 in
    the half beats of the song in which a melody note begins; ``tempo`` is in beats per minute.
    """

    def __init__(
        self,
        weights: Path,
        rhythms: NDArray[np.bool_],
        melody: NDArray[np.int64],
        tempo: float,
        density: float,
    ) -> None:
        self._network: EventNetwork = _cached(weights)
        self._rhythms = rhythms.astype(np.int64)
        self._melody, self._tempo, self._density = melody, tempo, density

    def weights(self, slot: int, played: NDArray[np.int64]) -> NDArray[np.float64]:
        """How much likelier each rhythm ``[R]`` is in the bar from half beat ``slot`` on.

        ``played`` ``[slot]`` is 1 in the half beats before in which a chord was struck.
        """
        start = max(slot - HISTORY, 0)
        past = np.zeros(HISTORY, dtype=np.int64)
        past[HISTORY - (slot - start) :] = played[start:slot]
        around = np.zeros(2 * HISTORY + SLOTS, dtype=np.int64)
        near = self._melody[start : slot + HISTORY + SLOTS]
        around[HISTORY - (slot - start) :][: len(near)] = near
        beside = self._log_probability(past, around)
        alone = self._log_probability(past, np.zeros_like(around))
        change = beside - alone
        weights: NDArray[np.float64] = np.exp(change - change.mean())
        return weights

    def _log_probability(
        self, past: NDArray[np.int64], melody: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Log probability of each rhythm after ``past``, beside the melody around it."""
        count = len(self._rhythms)
        slots = HISTORY + np.arange(SLOTS)
        # All features but the chords before are the same for all rhythms.
        features = comping_features(past, melody, self._tempo, self._density, slots)
        rows = np.tile(features, (count, 1, 1))
        played = np.concatenate([np.tile(past, (count, 1)), self._rhythms], axis=1)
        rows[:, :, :HISTORY] = sliding_window_view(played, HISTORY, axis=1)[:, :SLOTS]
        shares = self._network.probabilities(rows.reshape(count * SLOTS, -1))
        picked = np.take_along_axis(
            shares.reshape(count, SLOTS, 2), self._rhythms[:, :, None], axis=2
        )
        total: NDArray[np.float64] = np.log(np.maximum(picked, 1e-6)).sum(axis=(1, 2))
        return total
