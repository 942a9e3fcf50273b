"""Means with bootstrap intervals, rescaled scores and their harmonic mean, tables of figures."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiotransfer.errors import AudioTransferError

Row = Mapping[str, object]


@dataclass(frozen=True)
class Interval:
    """Mean of ``count`` values with a bootstrap interval; prints as ``5.75 [5.60, 5.91]``."""

    mean: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


def bootstrap(
    values: Sequence[float],
    groups: Sequence[int] | None = None,
    *,
    seed: int = 0,
    resamples: int = 5000,
    level: float = 0.95,
) -> Interval:
    """Mean of a figure over songs, and its percentile bootstrap interval.

    Where several values belong to one song, such as those of its phrases, ``groups`` holds each
    value's song, and whole songs are drawn. Values of NaN are left out and not counted.
    Raises AudioTransferError when nothing is left.
    """
    given = np.asarray(values, dtype=np.float64)
    defined = ~np.isnan(given)
    kept = given[defined]
    if len(kept) == 0:
        raise AudioTransferError(f"no mean of {len(values)} values: none of them is a number")
    of = None if groups is None else np.asarray(groups)[defined]
    means = resampled_means(kept, of, seed=seed, resamples=resamples)
    return interval(float(kept.mean()), means, len(kept), level=level)


def resampled_means(
    values: Sequence[float] | npt.NDArray[np.float64],
    groups: Sequence[int] | npt.NDArray[np.int64] | None = None,
    *,
    seed: int = 0,
    resamples: int = 5000,
) -> npt.NDArray[np.float64]:
    """Means of bootstrap resamples, which draw whole groups (single values without ``groups``).

    With the same groups and seed the draws are the same, so that a function of several means can
    be resampled as well.
    """
    kept = np.asarray(values, dtype=np.float64)
    if groups is None:
        of = np.arange(len(kept))
    else:
        of = np.unique(np.asarray(groups), return_inverse=True)[1]
    sums, counts = np.bincount(of, weights=kept), np.bincount(of)
    draws = np.random.default_rng(seed).integers(0, len(sums), size=(resamples, len(sums)))
    means: npt.NDArray[np.float64] = sums[draws].sum(axis=1) / counts[draws].sum(axis=1)
    return means


def interval(
    mean: float, resampled: npt.NDArray[np.float64], count: int, *, level: float = 0.95
) -> Interval:
    """A mean of ``count`` values with the percentile interval of its resamples."""
    low, high = np.nanquantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high), count)


def share(flags: Sequence[bool]) -> float:
    """Share of songs whose flag is true, 0..1; raises AudioTransferError for no songs."""
    if not flags:
        raise AudioTransferError("no share of zero songs: measure at least one")
    return sum(map(bool, flags)) / len(flags)


def rescaled(value: float, *, zero: float, one: float) -> float:
    """``value`` mapped linearly: ``zero`` -> 0, ``one`` -> 1; NaN where the two are equal."""
    return (value - zero) / (one - zero) if one != zero else float("nan")


def harmonic(style: float, content: float) -> float:
    """H: harmonic mean of rescaled style and rescaled content, each clipped to 0..1."""
    style, content = (float(np.clip(value, 0.0, 1.0)) for value in (style, content))
    return 2 * style * content / (style + content) if style + content > 0 else 0.0


def markdown_table(rows: Sequence[Row], columns: Sequence[str] | None = None) -> str:
    """A Markdown table: first column left, the others right, a dash where a figure is missing."""
    head, cells = _cells(rows, columns)
    widths = _widths(head, cells)
    rule = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    return "\n".join(f"| {' | '.join(_padded(line, widths))} |" for line in [head, rule, *cells])


def plain_table(rows: Sequence[Row], columns: Sequence[str] | None = None) -> str:
    """A table for the terminal: spaces between the columns, a rule under the head."""
    head, cells = _cells(rows, columns)
    widths = _widths(head, cells)
    lines = [head, ["-" * width for width in widths], *cells]
    return "\n".join("  ".join(_padded(line, widths)).rstrip() for line in lines)


def narrow_table(
    rows: Sequence[Row], columns: Sequence[str], *, interval_of: str = "", cell: int = 12
) -> str:
    """A table for the terminal of means, whose heads are wrapped to the cells' width.

    ``columns`` name the first column, and at most five others for 100 columns of text. Under the
    row called ``interval_of`` stand the 95 % intervals of its means.
    """
    label, *names = columns
    heads = [textwrap.wrap(name, cell) for name in names]
    height = max((len(lines) for lines in heads), default=1)
    wide = max(len(str(row.get(label, ""))) for row in rows)
    lines = [
        [label if line == height - 1 else "", *(_bottom(head, height)[line] for head in heads)]
        for line in range(height)
    ]
    lines.append(["-" * wide, *("-" * cell for _ in names)])
    for row in rows:
        values = [row.get(name) for name in names]
        means = [value.mean if isinstance(value, Interval) else value for value in values]
        lines.append([str(row.get(label, "")), *map(_text, means)])
        if row.get(label) == interval_of:
            lines.append(["  95 % interval", *(_range(value) for value in values)])
    widths = [wide, *(cell for _ in names)]
    return "\n".join("  ".join(_padded(line, widths)).rstrip() for line in lines)


def _bottom(lines: list[str], height: int) -> list[str]:
    return [""] * (height - len(lines)) + lines


def _range(value: object) -> str:
    return f"{value.low:.2f}..{value.high:.2f}" if isinstance(value, Interval) else ""


def summary_row(
    name: str, songs: Sequence[Mapping[str, float]], *, seed: int = 0
) -> dict[str, object]:
    """A row of a table: mean and bootstrap interval of each figure over songs."""
    figures = list(dict.fromkeys(figure for song in songs for figure in song))
    row: dict[str, object] = {"system": name}
    for figure in figures:
        row[figure] = bootstrap([song[figure] for song in songs if figure in song], seed=seed)
    return row


def _cells(rows: Sequence[Row], columns: Sequence[str] | None) -> tuple[list[str], list[list[str]]]:
    head = list(columns) if columns else list(dict.fromkeys(name for row in rows for name in row))
    return head, [[_text(row.get(name)) for name in head] for row in rows]


def _text(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _widths(head: list[str], cells: list[list[str]]) -> list[int]:
    return [max(3, *(len(line[i]) for line in [head, *cells])) for i in range(len(head))]


def _padded(line: list[str], widths: list[int]) -> list[str]:
    first = line[0].ljust(widths[0])
    return [first, *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
