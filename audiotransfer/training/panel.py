"""A training's figures as a table of text, from the log: ``panel.txt`` in its folder."""

from __future__ import annotations

import logging
from pathlib import Path

from audiotransfer.atomic import write_bytes
from audiotransfer.errors import AudioTransferError
from audiotransfer.training.curves import Curves, read

TEXT = "panel.txt"
logger = logging.getLogger(__name__)
_COLUMNS, _WIDTH = 6, 11  # "-1.234e-05" and a space
_FIRST = ("validation/", "generator/")  # what is read first stands first


def panel(folder: Path, steps: int) -> str:
    """Each figure of the log at its first, its last and entries between, a row for each.

    Figures of validations come first, then the terms of the losses. ``steps`` is where the training
    ends. Empty where nothing was logged yet.
    """
    curves = read(folder)
    if not curves:
        return ""
    last = max(points[-1][0] for points in curves.values())
    shown = _evenly(sorted({step for points in curves.values() for step, _ in points}))
    names = sorted(curves, key=_place)
    left = max(len(name) for name in names)
    head = "".join(f"{step:>{_WIDTH}}" for step in shown)
    lines = [f"step {last} of {steps}", "", f"{'step':<{left}}{head}"]
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


def _evenly(steps: list[int]) -> list[int]:
    """At most six of these, evenly spaced, the first and the last among them."""
    count = min(_COLUMNS, len(steps))
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
    return f"{values[-1]:.4g}" if values else "-"
