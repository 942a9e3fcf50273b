"""Jazz drums: ride, foot hi-hat, comping snare and kick by their counts, fills, brushes."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.cover import tablature
from audiotransfer.cover.band import settings_of
from audiotransfer.cover.counts import table
from audiotransfer.cover.figures import groove
from audiotransfer.cover.form import section_starts

if TYPE_CHECKING:
    from numpy.random import Generator

    from audiotransfer.cover.band import Role
    from audiotransfer.cover.plan import Notes, Plan
    from audiotransfer.leadsheet import Bar

KICK, SNARE, FOOT_HAT, CRASH, RIDE = 36, 38, 44, 49, 51  # General MIDI keys
STIR, EDGE = 25, 40  # the same of the brush kit
_SAME_RIDE = 0.35  # share of bars whose ride is that of the bar before
_SAME_SNARE = 0.25  # the same of the comping snare's figure
_FAST_TRIPLETS, _FAST_SIXTEENTHS = 230.0, 170.0  # bpm above which fills don't have them
_CALM = 0.45  # mean energy of a section below which brushes leave the ride
_OWN_GROOVE = 62  # velocity of the song's own kick and snare; counted accents 84, ghosts 31
_PHRASE = 4  # bars for which kick and foot hi-hat keep their habit


@dataclass
class _Hits:
    """Hits that are collected: of two of a key at one place the louder."""

    struck: dict[tuple[float, int], tuple[float, float]] = field(default_factory=dict)
    """Place in beats and key -> velocity and length in beats."""

    def add(self, place: float, key: int, velocity: float, length: float = 0.1) -> None:
        at = (round(float(place), 4), key)
        hit = (float(min(max(round(velocity), 1), 122)), length)
        self.struck[at] = max(hit, self.struck.get(at, hit))

    def notes(self) -> Notes:
        hits = [
            (place, length, key, velocity)
            for (place, key), (velocity, length) in self.struck.items()
        ]
        table = np.array(hits, dtype=np.float64).reshape(-1, 4)
        return table[np.lexsort((table[:, 2], table[:, 0]))]


@dataclass
class _Habit:
    """What changes from phrase to phrase or is kept from bar to bar."""

    ride: str = ""
    snare: tuple[int, ...] = ()
    feathered: bool = False
    foot: bool = True


@dataclass(frozen=True)
class JazzDrumSettings:
    """Settings of jazz drums, in the notation of `audiotransfer.cover.tablature`.

    ``rides`` are ride rhythms with weights by the number of beats of a bar (those of bars of four
    are counted ones); ``fills`` are patterns of one to four beats. ``compound`` and
    ``compound_fills`` are the same for bars whose beats have three parts.
    """

    rides: dict[int, dict[str, float]] = field(default_factory=dict)
    compound: dict[int, dict[str, float]] = field(default_factory=dict)
    fills: tuple[str, ...] = ("Ss sS",)
    compound_fills: tuple[str, ...] = ("Ss sS",)


def jazz_drums(plan: Plan, role: Role, random: Generator) -> Notes:
    """Writes jazz drums for sticks, or for brushes where the role's instrument is a brush kit.

    Where no melody leads the song's usual kick and snare take the place of counted comping.

    Settings of the role: `JazzDrumSettings`.
    """
    settings = settings_of(role, JazzDrumSettings)
    brushes = "brush" in role.instruments[0]
    counted = table(plan.band, "ride")
    starts = set(section_starts(plan.sheet).tolist())
    tapped = _tapped(plan) if brushes else frozenset[int]()
    own = groove(plan, (KICK, SNARE))
    hits, habit = _Hits(), _Habit()
    last = len(plan.sheet.bars) - 1
    after_fill = False
    for index, bar in enumerate(plan.sheet.bars):
        energy = float(plan.energy[index])
        if index % _PHRASE == 0:
            habit.feathered = random.random() < counted["kick"]["per_bar"][3]
            habit.foot = random.random() < 0.85 + 0.1 * energy
        if index == last:
            _ending(hits, bar, energy, brushes)
            break
        fill = index in plan.fills
        ride = _ride(settings, counted, bar, habit, fill, after_fill, random)
        crash = index in starts and index > 0 and after_fill and energy > 0.55
        free = _ride_bar(hits, bar, ride, energy, brushes, index in tapped, crash, random)
        _foot_hat(hits, bar, counted, habit, energy, random)
        if fill:
            _fill(hits, plan, settings, bar, free, energy, random)
        else:
            if own.get(index, {}).get(SNARE):
                _accents(hits, bar, own[index], SNARE, energy, random)
            else:
                _snare(hits, bar, counted, habit, energy, brushes, random)
        if own.get(index, {}).get(KICK) and not fill:
            _accents(hits, bar, own[index], KICK, energy, random)
        else:
            _kick(hits, bar, counted, habit, energy, free if fill else float(bar.beats), random)
        if crash or (after_fill and energy > 0.3):
            hits.add(bar.beat, KICK, 55 + 40 * energy)
        after_fill = fill
    return hits.notes()


def _tapped(plan: Plan) -> frozenset[int]:
    """Bars in which the brush taps the snare in place of the ride: the calm first chorus."""
    starts = section_starts(plan.sheet).tolist()
    bars: set[int] = set()
    for start, end in pairwise([*starts, len(plan.sheet.bars)]):
        if plan.chorus[start] == 0 and plan.energy[start:end].mean() < _CALM:
            bars.update(range(start, end))
    return frozenset(bars)


def _level(energy: float) -> float:
    """Factor of velocities: the counts are those of energy .5."""
    return 0.8 + 0.4 * energy


def _ride(
    settings: JazzDrumSettings,
    counted: dict[str, Any],
    bar: Bar,
    habit: _Habit,
    fill: bool,
    after_fill: bool,
    random: Generator,
) -> str:
    """The ride rhythm of a bar.

    A bar with a fill has one that leaves its second half free, the bar after it one with the 1.
    """
    patterns = _rides(settings, counted, bar)
    half = len(next(iter(patterns))) // 2
    closing = {name: n for name, n in patterns.items() if set(name[half:]) <= {tablature.REST}}
    if fill:
        return tablature.draw(closing or {tablature.REST * 2 * half: 1}, random)
    if habit.ride in patterns and not after_fill and random.random() < _SAME_RIDE:
        return habit.ride
    habit.ride = tablature.draw(
        {
            name: n
            for name, n in patterns.items()
            if name not in closing and (not after_fill or name[0] != tablature.REST)
        }
        or patterns,
        random,
    )
    return habit.ride


def _rides(settings: JazzDrumSettings, counted: dict[str, Any], bar: Bar) -> dict[str, float]:
    """Ride rhythms and their weights for a bar's number of beats; others are put together."""
    if bar.division == 2 and bar.beats == 4:
        return dict(counted["bars"])
    rides = settings.compound if bar.division == 3 else settings.rides
    patterns = {name.replace(" ", ""): n for name, n in rides.get(bar.beats, {}).items()}
    if patterns:
        return patterns
    two, three = ("x.x.xx", "x.xx.xx.x") if bar.division == 3 else ("x.xx", "x.x.xx")
    if bar.beats == 1:
        return {"x" + "." * (bar.division - 1): 1.0}
    threes = bar.beats % 2
    return {three * threes + two * ((bar.beats - 3 * threes) // 2): 1.0}


def _ride_bar(
    hits: _Hits,
    bar: Bar,
    ride: str,
    energy: float,
    brushes: bool,
    tapped: bool,
    crash: bool,
    random: Generator,
) -> float:
    """Strikes a bar's ride rhythm; returns from which beat of the bar the cymbal is silent."""
    places = tablature.onsets(ride, bar.division)
    velocity = _level(energy) * (0.75 if brushes else 1.0)
    for place in places:
        beat, off = int(place), place % 1.0 > 0.01
        # Counted: 2 and 4 at 89, 1 and 3 at 71, skip notes at 66.
        mean = 66 if off else 89 if beat % 2 else 71
        key = CRASH if crash and place == 0 else SNARE if tapped else RIDE
        loud = 1.15 if key == CRASH else 0.65 if tapped else 1.0
        hits.add(bar.beat + place, key, velocity * loud * (mean + random.normal(0, 11)))
    if brushes:
        for beat in range(0, bar.beats, 2):
            length = min(2.0, bar.beats - beat) - 0.05
            hits.add(bar.beat + beat, STIR, _level(energy) * (58 + random.normal(0, 4)), length)
    return float(np.ceil(places[-1] + 0.25)) if places else 0.0


def _foot_hat(
    hits: _Hits,
    bar: Bar,
    counted: dict[str, Any],
    habit: _Habit,
    energy: float,
    random: Generator,
) -> None:
    """Foot hi-hat: on 2 and 4 by their counts; in other metres after the first beat."""
    shares = counted["foot_hat"]["on_beat"]
    if bar.beats == 4:
        chances = list(shares)
    elif bar.beats == 2:
        chances = [0.1, shares[1]]
    elif bar.beats % 2:
        chances = [0.1] + [0.75 if beat in (1, 4, 6) else 0.3 for beat in range(1, bar.beats)]
    else:
        chances = [shares[beat % 2] for beat in range(bar.beats)]
    for beat, chance in enumerate(chances):
        # Off a phrase's habit the hi-hat is rare, so that on it the counts are reached.
        usual = chance > 0.5
        share = min(chance / 0.9, 1.0) if habit.foot and usual else 0.15 if usual else chance * 0.8
        if random.random() < share:
            mean = 80 if usual else 52
            hits.add(bar.beat + beat, FOOT_HAT, _level(energy) * (mean + random.normal(0, 14)))


def _snare(
    hits: _Hits,
    bar: Bar,
    counted: dict[str, Any],
    habit: _Habit,
    energy: float,
    brushes: bool,
    random: Generator,
) -> None:
    """Comping on the snare: a number of hits, at places and velocities as counted."""
    slots = 2 * bar.beats if bar.division == 2 else 3 * bar.beats
    if habit.snare and random.random() < _SAME_SNARE:
        chosen = [slot for slot in habit.snare if slot < slots]
    else:
        number = int(random.choice(4, p=counted["snare"]["per_bar"]))
        number += int(number == 3 and random.random() < 0.4)
        kept = int(random.binomial(round(number * bar.beats / 4), min(0.5 + 0.7 * energy, 1.0)))
        weights = _snare_weights(counted, bar)
        chosen = sorted(
            int(slot) for slot in random.choice(slots, min(kept, slots), replace=False, p=weights)
        )
    habit.snare = tuple(chosen)
    # Counted quartiles 19, 36, 65: mostly ghost notes, few accents.
    loudness = np.sort(31 * np.exp(random.normal(0, 0.9, len(chosen))))
    # The loudest stands off the beat where one does.
    order = sorted(chosen, key=lambda slot: (slot % 2, random.random()))
    for slot, velocity in zip(order, loudness, strict=True):
        level = min(max(float(velocity), 9.0), 100.0) * _level(energy)
        hits.add(bar.beat + slot / bar.division, EDGE if brushes and level > 70 else SNARE, level)


def _snare_weights(counted: dict[str, Any], bar: Bar) -> np.ndarray:
    """Shares of the places in a bar at which the snare comps."""
    if bar.division == 3:
        weights = np.tile([0.4, 0.7, 1.0], bar.beats)
    else:
        of_four = np.array(counted["snare"]["slots"], dtype=np.float64)
        weights = np.resize(of_four, 2 * bar.beats)
        if bar.denominator >= 8:  # its beats are eighths: what is between them, sixteenths
            weights[1::2] *= 0.2
    share: np.ndarray = weights / weights.sum()
    return share


def _kick(
    hits: _Hits,
    bar: Bar,
    counted: dict[str, Any],
    habit: _Habit,
    energy: float,
    until: float,
    random: Generator,
) -> None:
    """Kick before the beat ``until``: feathered quarters in some phrases, else few hits."""
    if habit.feathered and bar.division == 2 and energy > 0.2:
        for beat in range(int(until)):
            hits.add(bar.beat + beat, KICK, _level(energy) * (36 + random.normal(0, 3)))
        return
    share = np.array(counted["kick"]["per_bar"][:3])
    number = int(random.choice(3, p=share / share.sum()))
    slots = int(bar.division * until)
    if not slots or not number:
        return
    # Counted: 1 at .29, other places at .10 to .19. The feathered phrases have the beats, so that
    # here off-beats outweigh them; those are the louder ones.
    place = np.arange(slots)
    off = 0.05 if bar.division == 2 and bar.denominator >= 8 else 0.22
    weights = np.where(place == 0, 0.2, np.where(place % bar.division == 0, 0.07, off))
    weights /= weights.sum()
    chosen = random.choice(slots, min(number, slots), replace=False, p=weights)
    for slot in sorted(int(value) for value in chosen):
        accent = slot % bar.division and random.random() < 0.6
        mean = 84 if accent else 45
        hits.add(
            bar.beat + slot / bar.division, KICK, _level(energy) * (mean + random.normal(0, 8))
        )


def _accents(
    hits: _Hits,
    bar: Bar,
    own: dict[int, list[float]],
    key: int,
    energy: float,
    random: Generator,
) -> None:
    """The song's own hits of a drum in a bar, light beside the ride as a drummer comps."""
    for place in own[key]:
        hits.add(bar.beat + place, key, _level(energy) * (_OWN_GROOVE + random.normal(0, 8)))


def _fill(
    hits: _Hits,
    plan: Plan,
    settings: JazzDrumSettings,
    bar: Bar,
    free: float,
    energy: float,
    random: Generator,
) -> None:
    """A fill from the beat ``free`` to the end of the bar, growing towards its end."""
    fills = settings.compound_fills if bar.division == 3 else settings.fills
    tempo = float(plan.sheet.tempo_at(bar.beat))
    most = 2 if tempo > _FAST_TRIPLETS else 3 if tempo > _FAST_SIXTEENTHS else 4
    patterns = [
        pattern
        for pattern in fills
        if bar.division == 3 or max(len(word) for word in pattern.split()) <= most
    ]
    place, end = free, float(bar.beats)
    while place < end - 0.5:
        left = end - place
        fitting = [p for p in patterns if tablature.beats(p) <= left]
        if not fitting:
            return
        longest = max(tablature.beats(p) for p in fitting)
        choice = [p for p in fitting if tablature.beats(p) == longest]
        pattern = choice[int(random.integers(len(choice)))]
        for offset, key, accent in tablature.hits(pattern):
            growth = 0.85 + 0.2 * (place + offset) / end
            mean = (92 if accent else 58) + random.normal(0, 6)
            hits.add(bar.beat + place + offset, key, _level(energy) * growth * mean)
        place += longest


def _ending(hits: _Hits, bar: Bar, energy: float, brushes: bool) -> None:
    """The last bar: a cymbal with the kick, left to ring."""
    level = _level(energy)
    hits.add(bar.beat, CRASH if energy > 0.4 and not brushes else RIDE, 84 * level, bar.beats)
    hits.add(bar.beat, KICK, 72 * level)
    if brushes:
        hits.add(bar.beat, STIR, 50 * level, bar.beats - 0.1)
