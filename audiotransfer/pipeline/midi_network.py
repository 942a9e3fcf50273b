"""MIDI files whose notes networks change: plan, notes and report of each kind of part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.midi.grid import Grid
from audiotransfer.midi.score import note_table, with_notes
from audiotransfer.pipeline.midi_options import DRUMS
from audiotransfer.styles import Keep, Style
from audiotransfer.symbolic.genre.rules import constrained, melody_of
from audiotransfer.symbolic.transfer import PartTransfer

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from audiotransfer.pipeline.options import StemChoice


@dataclass(frozen=True)
class PartReport:
    """Report of the pitched parts, or of the drums."""

    action: str
    style: str | None
    strength: float | None
    notes_in: int
    notes_out: int
    notes_kept: int
    """With their pitch, onset and track."""


@dataclass(frozen=True)
class PartPlan:
    """The plan of the pitched parts, or of the drums; without a transfer they are kept."""

    action: str
    transfer: PartTransfer | None = None
    style: str | None = None
    strength: float | None = None


def part_plan(stem: str, choice: StemChoice, style: Style | None, strength: float) -> PartPlan:
    """The plan of a stem by the choice for it, and the style that applies to it."""
    if choice.action == "mute":
        return PartPlan("mute")
    transfer: Any = None if style is None else style.stems.get(stem)
    if choice.action == "keep" or style is None or transfer is None or isinstance(transfer, Keep):
        return PartPlan("keep")
    return PartPlan("style", transfer, style.name, strength)


def transfer_notes(
    score: Any,
    plans: Mapping[str, PartPlan],
    melody: str = "keep",
    generator: torch.Generator | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[Any, dict[str, PartReport]]:
    """The score with its pitched parts and drums as planned, and a report of each that it has.

    The ``melody`` is kept unless it is ``change``; new notes are held to rules (see
    `audiotransfer.symbolic.genre.rules`).
    """
    grid = Grid.of(score)
    reports = {}
    for stem, part in plans.items():
        drums = stem == DRUMS
        before = note_table(score, drums=drums)
        if not len(before):
            continue
        after = before
        if part.action == "mute":
            after = before[:0]
        elif part.transfer is not None and part.strength:
            after = part.transfer(before, grid, part.strength, generator, progress)
            if not drums:
                kept = None if melody == "change" else melody_of(score, before)
                after = constrained(before, after, grid, kept)
            after = _with_last(before, after)
        if after is not before:
            score = with_notes(score, after, drums=drums)
        reports[stem] = PartReport(
            part.action,
            part.style,
            part.strength,
            len(before),
            len(after),
            int(np.isin(_keys(before), _keys(after)).sum()),
        )
    return score, reports


def _keys(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for the onset, pitch and track of each note."""
    return (table[:, 0] * 128 + table[:, 2] << 16) + table[:, 4]


def _with_last(before: NDArray[np.int64], after: NDArray[np.int64]) -> NDArray[np.int64]:
    """Adds the notes that ended last before the transfer, so that no bar is lost."""
    ends = before[:, 0] + before[:, 1]
    last = before[ends == ends.max()]
    return np.concatenate([after, last[~np.isin(_keys(last), _keys(after))]])


def part_notices(parts: Mapping[str, PartReport], requested: Mapping[str, str]) -> list[str]:
    """Notices for requests without an effect."""
    notices = [
        f"the style has nothing for {stem}: they stay as they are"
        for stem, part in parts.items()
        if part.action == "keep"
        and (requested[stem] == "style" if stem in requested else len(parts) == 1)
    ]
    missing = [stem for stem in requested if stem not in parts]
    return notices + [
        f"nothing {stem} is played: --stem {stem} changes nothing" for stem in missing
    ]
