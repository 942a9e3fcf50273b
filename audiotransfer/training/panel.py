"""A training's figures as a table of text, from the log: ``panel.txt`` in its folder."""

from __future__ import annotations

import logging
import textwrap
from pathlib import Path

from audiotransfer.atomic import write_bytes
from audiotransfer.errors import AudioTransferError
from audiotransfer.training.curves import Curves, best, read

TEXT = "panel.txt"
logger = logging.getLogger(__name__)
_LINE = 80  # columns of a terminal
_COLUMNS, _WIDTH = (3, 6), 10  # at least and at most; "-1.23e-05" and a space
_VALIDATION, _NOTHING = "validation/", "nothing"
_FIRST = (_VALIDATION, "generator/")  # what is read first stands first


def panel(folder: Path, steps: int) -> str:
    """Each figure of the log at its first, its last and entries between, a row for each.

    As many entries as a terminal has room for. Above them stands the best validation; its figures
    come first, then the terms of the losses. ``steps`` is where the training ends. Empty where
    nothing was logged yet.
    """
    curves = read(folder)
    if not curves:
        return ""
    last = max(points[-1][0] for points in curves.values())
    names = sorted(curves, key=_place)
    left = max(len(name) for name in names)
    least, most = _COLUMNS
    count = min(most, max(least, (_LINE - left) // _WIDTH))
    shown = _evenly(sorted({step for points in curves.values() for step, _ in points}), count)
    head = "".join(f"{step:>{_WIDTH}}" for step in shown)
    lines = [f"step {last} of {steps}", *_best(curves), "", f"{'step':<{left}}{head}"]
    for name in names:
        values = (f"{_at(curves, name, step):>{_WIDTH}}" for step in shown)
        lines.append(f"{name:<{left}}{''.join(values)}")
    return "\n".join(lines) + "\n"


def write_panel(folder: Path, steps: int) -> None:
    """Writes ``panel.txt`` anew, where something was logged; a full disk is a warning."""
    try:
        if text := panel(folder, steps):
            write_bytes(folder / TEXT, text.encode(), overwrite=True)
    except (AudioTransferError, OSError) as error:
        logger.warning("no panel: %s", error)


def _best(curves: Curves) -> list[str]:
    """The best validation in words, with its distances; nothing before the first."""
    validations = {
        name.removeprefix(_VALIDATION): points
        for name, points in curves.items()
        if name.startswith(_VALIDATION)
    }
    found = best(validations)
    if found is None:
        return []
    step, score = found
    lines = [f"best validation so far: step {step}, score {score:.3g} (more is better)"]
    distances = [
        f"{name} {_at(validations, name, step)} ({_at(validations, f'{name}/{_NOTHING}', step)})"
        for name in sorted(validations)
        if f"{name}/{_NOTHING}" in validations
    ]
    if distances:
        said = f"distances there, less is better (of doing nothing): {', '.join(distances)}"
        lines += textwrap.wrap(said, _LINE - 1, subsequent_indent="  ")
    return lines


def _evenly(steps: list[int], count: int) -> list[int]:
    """At most ``count`` of these, evenly spaced, the first and the last among them."""
    count = min(count, len(steps))
    if count < 2:
        return steps
    places = [round(place * (len(steps) - 1) / (count - 1)) for place in range(count)]
    return [steps[place] for place in places]


def _place(name: str) -> tuple[int, str]:
    ranks = (rank for rank, start in enumerate(_FIRST) if name.startswith(start))
    return next(ranks, len(_FIRST)), name


def _at(curves: Curves, name: str, step: int) -> str:
    """The last value of a figure up to a step; a dash before its first."""
    values = [value for at, value in curves[name] if at <= step]
    return f"{values[-1]:.3g}" if values else "-"
