"""When notes sound: eighths are swung by instrument and tempo, instruments lag and drift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.cover.melody import divisions, sung_notes

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audiotransfer.cover.band import Role, Timing
    from audiotransfer.cover.plan import Plan

_NEAR = 0.07  # beats: what starts this near to a place of the beat counts as standing there
_GRACE = 0.88  # of a beat: what starts later is a grace note or early, no sixteenth
_DRIFT = 0.6  # share of the spread's variance that is slow, so that neighbours move together
_MEMORY = 2.0  # beats over which the slow part forgets
_FURTHEST = 2.5  # standard deviations of the spread at which it is cut off
_SHORTEST_S = 0.03  # of a note


def to_seconds(
    notes: NDArray[np.float64],
    plan: Plan,
    role: Role,
    random: Generator,
    swing: float | None = None,
) -> NDArray[np.float64]:
    """Notes ``[N, 4]`` in beats, straight, as they sound: start and duration in seconds.

    Off-beat eighths move to where the role's ratio at the local tempo has them; triplets, beats
    with sixteenths, and bars of compound metres stay. Then come the role's lag and its spread.
    ``swing`` scales how far eighths move; without it notes that double somebody's singing stay.
    Starts keep their order and no note begins before 0 s.
    """
    if not len(notes):
        return np.empty((0, 4))
    notes = notes[np.lexsort((notes[:, 2], notes[:, 0]))].copy()
    timing = role.timing
    place, end = notes[:, 0], notes[:, 0] + notes[:, 1]
    tempo = np.maximum(plan.sheet.tempo_at(place), 1.0)
    if role.name == "lead" and plan.feel < 1:
        # The melody's notes are as fast as the song: halved, its beats would be swung too far.
        tempo = tempo / plan.feel
    if plan.swung and timing.swing and swing != 0:
        straight = straight_beats(plan, place)
        if swing is None and role.name == "lead":
            straight[_beats_of(place[sung_notes(plan.sheet, place)], len(straight))] = True
        ratio = swing_ratio(timing, tempo, 1.0 if swing is None else swing)
        place, end = _swung(place, ratio, straight, end=False), _swung(end, ratio, straight)
    shift = (_lag(timing, tempo) + _spread(notes[:, 0], timing.spread_ms, random)) / 1000.0
    of_key = np.array([timing.key_lag_ms.get(int(key), 0.0) for key in notes[:, 2]]) / 1000.0
    start = np.maximum.accumulate(plan.sheet.time_at(place) + shift)
    start = np.maximum(start + of_key, 0.0)
    stop = plan.sheet.time_at(end) + shift + of_key
    timed = np.stack(
        [start, np.maximum(stop - start, _SHORTEST_S), notes[:, 2], notes[:, 3]], axis=1
    )
    return timed[np.lexsort((timed[:, 2], timed[:, 0]))]


def swing_ratio(
    timing: Timing, tempo: NDArray[np.float64], scale: float = 1.0
) -> NDArray[np.float64]:
    """Long to short eighth at tempos in beats per minute; 1 is straight. ``scale`` 0 too."""
    bpm, ratios = np.array(timing.swing).T
    ratio: NDArray[np.float64] = 1.0 + scale * (np.interp(tempo, bpm, ratios) - 1.0)
    return np.maximum(ratio, 1.0)


def straight_beats(plan: Plan, places: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Beats ``[N]`` that are not swung: with a triplet or sixteenths, or of a compound metre.

    ``places`` are the starts of all notes of one part; the off-beat eighth of a beat is swung
    where nothing but it stands inside the beat.
    """
    straight: NDArray[np.bool_] = divisions(plan.sheet) == 3
    fraction = places % 1.0
    inside = (fraction > _NEAR) & (fraction < _GRACE) & (abs(fraction - 0.5) > _NEAR)
    straight[_beats_of(places[inside], len(straight))] = True
    return straight


def _beats_of(places: NDArray[np.float64], beats: int) -> NDArray[np.int64]:
    return np.clip(np.floor(places).astype(np.int64), 0, beats - 1)


def _swung(
    places: NDArray[np.float64],
    ratio: NDArray[np.float64],
    straight: NDArray[np.bool_],
    *,
    end: bool = True,
) -> NDArray[np.float64]:
    """Places in beats, the middle of the beat moved to ratio / (1 + ratio).

    Of starts only those near the middle move; ends move on the broken line through it.
    """
    beat = np.floor(places)
    fraction = places - beat
    middle = ratio / (1.0 + ratio)
    line = np.where(
        fraction <= 0.5, fraction * 2 * middle, middle + (fraction - 0.5) * 2 * (1 - middle)
    )
    moves = ~straight[_beats_of(places, len(straight))]
    if not end:
        moves &= abs(fraction - 0.5) <= _NEAR
    moved: NDArray[np.float64] = np.where(moves, beat + line, places)
    return moved


def _lag(timing: Timing, tempo: NDArray[np.float64]) -> NDArray[np.float64]:
    """Delay after the beat in ms at tempos in beats per minute."""
    if not timing.lag:
        return np.zeros(len(tempo))
    bpm, delays = np.array(timing.lag).T
    lag: NDArray[np.float64] = np.interp(tempo, bpm, delays)
    return lag


def _spread(
    places: NDArray[np.float64], spread_ms: float, random: Generator
) -> NDArray[np.float64]:
    """Random deviations in ms of notes sorted by place; what starts together moves together.

    Part of the variance is a slow drift (a first-order autoregression over beats), the rest is
    white, and both are cut off at 2.5 standard deviations.
    """
    onsets, member = np.unique(np.round(places, 3), return_inverse=True)
    white = random.standard_normal(len(onsets))
    noise = random.standard_normal(len(onsets))
    kept = np.exp(-np.diff(onsets, prepend=onsets[0]) / _MEMORY)
    fresh = np.sqrt(1 - kept**2)
    drift = np.empty(len(onsets))
    level = drift[0] = noise[0]
    for index in range(1, len(onsets)):
        level = drift[index] = kept[index] * level + fresh[index] * noise[index]
    both = np.sqrt(_DRIFT) * drift + np.sqrt(1 - _DRIFT) * white
    cut: NDArray[np.float64] = spread_ms * np.clip(both, -_FURTHEST, _FURTHEST)[member]
    return cut
