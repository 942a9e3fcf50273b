"""Envelopes and oscillators of a SoundFont voice (specification 2.04, 8.1.2 and 9.1.6 to 9.1.8)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: A voice that is quieter than this is over.
SILENCE_DB = 96.0
_FULL_DB = 100.0
_SHORTEST_SECONDS = 0.001
_CUT_SECONDS = 0.01


def seconds(timecents: float) -> float:
    """A time; none at all counts as a millisecond, so that nothing clicks."""
    return max(_SHORTEST_SECONDS, 2.0 ** (min(timecents, 8000.0) / 1200.0))


@dataclass(frozen=True)
class Envelope:
    """Delay, attack, hold and decay in seconds, sustain, and release in seconds.

    Sustain is an attenuation in dB for volumes, and a level 0..1 for modulations. Decay and release
    are the times of a full way, however far they have to go.
    """

    delay: float
    attack: float
    hold: float
    decay: float
    sustain: float
    release: float

    def volume(self, off: int, rate: int, cut: int | None = None) -> NDArray[np.float64]:
        """Amplitudes of a note that is let go at sample ``off``, as segments ``[S, 3]``: so many
        samples, each of them its predecessor times a factor plus a term. From ``cut`` on the note
        is faded out at once.
        """
        attack = max(1, round(self.attack * rate))
        depth = min(self.sustain, SILENCE_DB)
        decay = math.ceil(depth / _FULL_DB * self.decay * rate)
        held = [
            (round(self.delay * rate), 0.0, 0.0),
            (attack, 1.0, 1.0 / attack),
            (round(self.hold * rate), 1.0, 0.0),
            (decay, _factor(depth / max(1, decay)), 0.0),
        ]
        if depth < SILENCE_DB:
            held.append((off, 1.0, 0.0))
        let_go = _first(held, off)
        if sum(count for count, _, _ in held) >= off:
            release = math.ceil(SILENCE_DB / _FULL_DB * self.release * rate)
            let_go.append((release, _factor(SILENCE_DB / release), 0.0))
        if cut is not None and cut < sum(count for count, _, _ in let_go):
            fade = round(_CUT_SECONDS * rate)
            let_go = [*_first(let_go, cut), (fade, _factor(SILENCE_DB / fade), 0.0)]
        return np.array(let_go, dtype=np.float64)

    def modulation(self, times: NDArray[np.float64], off: float) -> NDArray[np.float64]:
        """Level 0..1 at ``times`` (s) of a note that is let go at ``off`` (s)."""
        top = self.delay + self.attack
        held = top + self.hold
        down = held + self.decay * (1.0 - self.sustain)

        def before(times: NDArray[np.float64]) -> NDArray[np.float64]:
            attack = np.clip((times - self.delay) / self.attack, 0.0, 1.0)
            convex = np.maximum(0.0, 1.0 + 40.0 / 96.0 * np.log10(np.maximum(attack, 1e-9)))
            return np.minimum(convex, np.interp(times, [held, down], [1.0, self.sustain]))

        level = float(before(np.array([off]))[0])
        after = np.maximum(0.0, level - (times - off) / self.release)
        return np.where(times < off, before(times), after)


def _factor(decibels: float) -> float:
    return float(10.0 ** (-decibels / 20.0))


def _first(
    segments: list[tuple[int, float, float]], samples: int
) -> list[tuple[int, float, float]]:
    """The first ``samples`` of what segments describe."""
    kept = []
    for count, factor, term in segments:
        kept.append((min(count, samples), factor, term))
        samples -= kept[-1][0]
    return kept


def triangle(times: NDArray[np.float64], delay: float, hertz: float) -> NDArray[np.float64]:
    """A low-frequency oscillator, -1..1, that rises from 0 after ``delay`` (s)."""
    turns = np.maximum(0.0, times - delay) * hertz + 0.25
    return 1.0 - 4.0 * np.abs(turns % 1.0 - 0.5)
