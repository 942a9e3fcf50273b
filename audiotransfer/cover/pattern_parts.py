"""What all parts that play patterns share: settings, the last bar, dynamics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from audiotransfer.cover.patterns import (
    PatternSet,
    Step,
    kept_steps,
    steps,
)

if TYPE_CHECKING:
    from numpy.random import Generator

    from audiotransfer.cover.plan import Notes, Plan

_SWELL_BARS = 4


@dataclass(frozen=True)
class PartSettings:
    """Settings of every part that plays patterns.

    ``velocity`` are those at energy 0 and 1, ``spread`` the standard deviation of single notes,
    ``accent`` is added on the first beat of a bar. ``swell`` is by how much the velocity rises to
    the middle of four bars. ``vary`` is the probability that two bars leave their phrase's pattern.
    The last bar is one ``long`` note, a ``rest``, or as its ``pattern`` by ``ending``. ``riffs`` is
    the share of phrases in which basses and power chords have the song's own bass line.
    """

    patterns: tuple[PatternSet, ...]
    velocity: tuple[float, float] = (55.0, 100.0)
    spread: float = 4.0
    accent: float = 5.0
    swell: float = 0.0
    vary: float = 0.25
    ending: Literal["long", "rest", "pattern"] = "long"
    riffs: float = 0.0


def part_steps(
    plan: Plan, settings: PartSettings, random: Generator, last: str, symbols: str
) -> list[Step]:
    """A part's steps: without the optional ones that are left out, the last bar one note."""
    line = kept_steps(steps(plan, settings.patterns, settings.vary, symbols), random)
    if settings.ending == "pattern" or not line:
        return line
    index = len(plan.sheet.bars) - 1
    bar = plan.sheet.bars[index]
    line = [step for step in line if step.bar != index and step.beat < bar.beat - 1e-6]
    line = [s._replace(beats=min(s.beats, bar.beat - s.beat)) for s in line]
    if settings.ending == "long":
        line.append(Step(float(bar.beat), float(bar.beats), last, "", index, 0.9))
    return line


def loudness_of(plan: Plan, settings: PartSettings, random: Generator) -> Callable[[Step], float]:
    """A function that gives the velocity of a step: by energy, pattern, accent and swell."""
    starts = plan.sheet.bar_lines
    low, high = settings.velocity

    def loudness(step: Step) -> float:
        velocity = step.share * (low + float(plan.energy[step.bar]) * (high - low))
        if step.beat - starts[step.bar] < 1e-6:
            velocity += settings.accent
        if settings.swell:
            first = step.bar - step.bar % _SWELL_BARS
            end = starts[min(first + _SWELL_BARS, len(starts) - 1)]
            place = (step.beat - starts[first]) / (end - starts[first])
            velocity += settings.swell * (np.sin(np.pi * place) - 0.5)
        return float(np.clip(np.rint(velocity + random.normal(0.0, settings.spread)), 1, 127))

    return loudness


def sorted_notes(notes: Sequence[Sequence[float]]) -> Notes:
    """Notes in order of onset ``[N, 4]``."""
    if not notes:
        return np.zeros((0, 4))
    table = np.array(sorted(map(tuple, notes)), dtype=np.float64)
    return table[table[:, 1] > 1e-6]
