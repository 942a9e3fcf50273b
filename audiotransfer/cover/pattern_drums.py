"""Writer of drums that play rhythm patterns of the band's file, with fills at section ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.cover.band import settings_of
from audiotransfer.cover.pattern_parts import (
    PartSettings,
    loudness_of,
)
from audiotransfer.cover.patterns import (
    Step,
    kept_steps,
    line_steps,
    metre_of,
    phrases,
    steps,
)
from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from numpy.random import Generator

    from audiotransfer.cover.band import Role
    from audiotransfer.cover.plan import Notes, Plan

#: General MIDI key of each drum that patterns name.
DRUM_KEYS = {
    "kick": 36, "snare": 38, "side_stick": 37, "clap": 39, "rimshot": 40,
    "hat": 42, "hat_open": 46, "hat_foot": 44, "ride": 51, "ride_bell": 53, "shaker": 70,
    "crash": 49, "splash": 55, "tom_high": 50, "tom_mid": 47, "tom_low": 43,
    "brush_stir": 25,
}  # fmt: skip
_CYMBALS = ("hat", "hat_open", "ride", "ride_bell")
_RING = 0.25  # beats for which a drum's note lasts at least


@dataclass(frozen=True)
class Fill:
    """A fill: the last ``beats`` of a bar, as strings over them for each drum.

    It replaces the pattern, but for the drums in ``keep``.
    """

    beats: int
    lines: dict[str, str]
    metre: str = "4/4"
    energy: tuple[float, float] = (0.0, 1.0)
    keep: tuple[str, ...] = ()


@dataclass(frozen=True)
class DrumSettings(PartSettings):
    """Settings of drums.

    ``fills`` are drawn at the ends of sections, and with ``fill_share`` at those of other phrases.
    From the energy ``crash`` on the bar after a fill begins with a crash cymbal.
    """

    fills: tuple[Fill, ...] = ()
    fill_share: float = 0.5
    crash: float = 0.5


def write_drums(plan: Plan, role: Role, random: Generator) -> Notes:
    """Drums by patterns, which name drums; fills and crash cymbals as the form asks for them."""
    settings = settings_of(role, DrumSettings)
    starts = plan.sheet.bar_lines
    last = len(plan.sheet.bars) - 1
    played = kept_steps(steps(plan, settings.patterns, settings.vary, "xXo?"), random)
    for index in _fill_bars(plan, settings.fill_share, random):
        fill = _drawn_fill(plan, settings.fills, index, random)
        if fill is not None and index < last:
            played = _with_fill(played, fill, index, float(starts[index + 1]))
            if plan.energy[index + 1] >= settings.crash:
                played = _with_crash(played, index + 1, float(starts[index + 1]))
    if settings.ending != "pattern" and played:
        played = [step for step in played if step.bar != last]
        if settings.ending == "long":
            played = _with_crash(played, last, float(starts[last]))
    loudness = loudness_of(plan, settings, random)
    notes = [
        (step.beat, max(step.beats, _RING), _key(step.line), loudness(step)) for step in played
    ]
    return np.array(sorted(notes), dtype=np.float64).reshape(-1, 4)


def _key(drum: str) -> int:
    if drum not in DRUM_KEYS:
        raise AudioTransferError(f"drum {drum!r} is unknown: there are {', '.join(DRUM_KEYS)}")
    return DRUM_KEYS[drum]


def _fill_bars(plan: Plan, share: float, random: Generator) -> list[int]:
    """Bars with a fill: those that end sections, and some that end other phrases."""
    ends = [phrase.end - 1 for phrase in phrases(plan)]
    return [end for end in ends if end in plan.fills or random.random() < share]


def _drawn_fill(plan: Plan, fills: tuple[Fill, ...], index: int, random: Generator) -> Fill | None:
    """A fill for a bar, of its division of beats, its length and its energy; ``None`` without."""
    bar, energy = plan.sheet.bars[index], float(plan.energy[index])
    fitting = [
        fill
        for fill in fills
        if metre_of(fill.metre).division == bar.division
        and fill.beats <= bar.beats
        and fill.energy[0] <= energy <= fill.energy[1]
    ]
    return fitting[int(random.integers(len(fitting)))] if fitting else None


def _with_fill(played: list[Step], fill: Fill, index: int, end: float) -> list[Step]:
    """Steps with a fill up to ``end``, the end of a bar, instead of the pattern."""
    start = end - fill.beats
    kept = [
        step
        for step in played
        if not start - 1e-6 <= step.beat < end - 1e-6 or step.line in fill.keep
    ]
    for drum, text in fill.lines.items():
        marks = text.replace(" ", "")
        kept += line_steps(marks, drum, start, fill.beats / len(marks), index)
    return kept


def _with_crash(played: list[Step], index: int, beat: float) -> list[Step]:
    """Steps with a crash and kick at the start of a bar instead of what is played on cymbals."""
    gone = (*_CYMBALS, "kick", "crash")
    kept = [s for s in played if abs(s.beat - beat) > 1e-6 or s.line not in gone]
    return [*kept, *(Step(beat, 1.0, "X", drum, index, 1.0) for drum in ("kick", "crash"))]
