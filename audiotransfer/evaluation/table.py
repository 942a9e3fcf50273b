"""Rows of figures as a table to read: Markdown for cards and the README, plain for a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from audiotransfer.evaluation.statistics import bootstrap

Row = Mapping[str, object]


def markdown_table(rows: Sequence[Row], columns: Sequence[str] | None = None) -> str:
    """A Markdown table: first column left, the others right, a dash where a figure is missing."""
    head, cells = _cells(rows, columns)
    widths = _widths(head, cells)
    rule = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    return "\n".join(f"| {' | '.join(_padded(line, widths))} |" for line in [head, rule, *cells])


def plain_table(rows: Sequence[Row], columns: Sequence[str] | None = None) -> str:
    """The same table with spaces between the columns and a rule under the head."""
    head, cells = _cells(rows, columns)
    widths = _widths(head, cells)
    lines = [head, ["-" * width for width in widths], *cells]
    return "\n".join("  ".join(_padded(line, widths)).rstrip() for line in lines)


def summary_row(
    name: str, songs: Sequence[Mapping[str, float]], *, seed: int = 0
) -> dict[str, object]:
    """One row from one figures dict a song: each figure's mean and bootstrap interval."""
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
