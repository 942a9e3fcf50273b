"""Training curves as an image, from the log."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from audiotransfer.atomic import temporary_path
from audiotransfer.errors import AudioTransferError
from audiotransfer.training.log import NAME

if TYPE_CHECKING:
    from matplotlib.axes import Axes

IMAGE = "curves.png"
Array = npt.NDArray[np.float64]
Curves = dict[str, list[tuple[int, float]]]
_SCORES = ("H", "score")  # the first that exists chooses the best checkpoint
_BEST = "best by validation"
_SKIPPED = ("failed_steps", "steps_per_second")
_SMOOTHING = 0.05  # share of the points averaged on either side
_COLUMNS = 3
_LOGARITHMIC = 30  # ratio of largest to smallest value from which a panel is logarithmic


def draw(folder: Path) -> Path | None:
    """Draws `folder/log.jsonl` to `folder/curves.png`, a panel for each group of figures.

    Returns None where nothing was logged yet.

    Raises:
        AudioTransferError: the image cannot be written.
    """
    from matplotlib.figure import Figure

    panels = _panels(read(folder))
    if not panels:
        return None
    columns = min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(6.0 * columns, 3.2 * rows), dpi=100, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True).flatten()
    for axis, (title, curves) in zip(axes, panels.items(), strict=False):
        _panel(axis, title, curves)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    path = folder / IMAGE
    part = temporary_path(path)
    try:
        figure.savefig(part, format="png")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise AudioTransferError(f"image {path} cannot be written ({error})") from error
    return path


def read(folder: Path) -> Curves:
    """Returns the steps and values of each figure of the log, where it is finite."""
    curves: Curves = {}
    path = folder / NAME
    for line in path.read_text().splitlines() if path.exists() else ():
        entry = json.loads(line)
        step = int(entry.pop("step"))
        for name, value in entry.items():
            if isinstance(value, int | float):
                curves.setdefault(name, []).append((step, float(value)))
    return curves


def best(scores: Curves) -> tuple[int, float] | None:
    """Step and score of the best validation, of scores by name; None where there is none."""
    score = next((scores[name] for name in _SCORES if name in scores), None)
    return None if score is None else max(score, key=lambda point: point[1])


def _panels(curves: Curves) -> dict[str, Curves]:
    """Curves by panel: one for each group, one for validation scores, one for gradients."""
    panels: dict[str, Curves] = {}
    for name, points in curves.items():
        group, _, term = name.partition("/")
        if name in _SKIPPED or not term:
            continue
        title = group.replace("_", " ")
        if term == "gradient":
            title, term = term, group
        elif title == "validation" and term in _SCORES:
            title = _BEST
        panels.setdefault(title, {})[term] = points
    places = {_BEST: 0, "validation": 1, "gradient": 3, "learning rate": 4}
    return {title: panels[title] for title in sorted(panels, key=lambda t: places.get(t, 2))}


def _panel(axis: Axes, title: str, curves: Curves) -> None:
    """Draws smoothed curves over raw ones; NAME/OTHER is dashed in the colour of NAME."""
    colours: dict[str, str] = {}
    for name in sorted(curves, key=lambda name: (name == "loss", name)):
        steps, values = (np.array(column) for column in zip(*curves[name], strict=True))
        head, _, other = name.partition("/")
        colour = "black" if name == "loss" else colours.setdefault(head, f"C{len(colours) % 10}")
        axis.plot(steps, values, color=colour, alpha=0.25, lw=0.8)
        line = "--" if other else "-"
        mark = "o" if len(steps) == 1 else None
        axis.plot(steps, _smooth(values), line, color=colour, marker=mark, lw=1.6, label=name)
    if title == _BEST and (found := best(curves)) is not None:
        step, value = found
        axis.plot([step], [value], "k*", ms=11, label=f"{value:.3g} at {step}")
    all_values = [value for points in curves.values() for _, value in points]
    if min(all_values) > 0 and max(all_values) > _LOGARITHMIC * min(all_values):
        axis.set_yscale("log")
    axis.set_title(title)
    axis.set_xlabel("step")
    axis.grid(alpha=0.25)
    axis.tick_params(labelbottom=True)
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)


def _smooth(values: Array) -> Array:
    """Moving average; over fewer neighbours at both ends."""
    reach = round(_SMOOTHING * len(values))
    total = np.concatenate([[0.0], np.cumsum(values)])
    first = np.maximum(np.arange(len(values)) - reach, 0)
    after = np.minimum(np.arange(len(values)) + reach + 1, len(values))
    means: Array = (total[after] - total[first]) / (after - first)
    return means
