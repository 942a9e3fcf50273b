"""Verdict in words on a style and on the content that it leaves, apart from each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from audiotransfer.evaluation.metrics.cover_content import (
    HALF_BEAT_OFF,
    RETRIEVED,
    ROOTS,
    ROOTS_BY_CHANCE,
)
from audiotransfer.evaluation.report.statistics import rescaled

Figures = Mapping[str, Mapping[str, float]]
"""System -> figure -> value, of one song."""

# Least values of what counts as whole, and as partly so.
_CLASSIFIED = (0.8, 0.5)  # share of the songs
_HARMONY = (0.35, 0.15)  # roots, from chance 0 to the song's own 1
_RETRIEVAL = (0.8, 0.5)  # mean reciprocal rank
_OFF_BEATS = (0.1, 0.3)  # most songs half a beat off
_LEAST_SONGS = 5  # among which retrieval says anything


@dataclass(frozen=True)
class Systems:
    """Names of the systems that a verdict compares: ``random`` has the style without the song."""

    style: str
    source: str
    random: str


def verdict(songs: Mapping[str, Figures], genre: str, systems: Systems) -> list[str]:
    """One line on the style and one on the content, with their figures, of at least one song.

    Style is the share of the songs that the genre classifier calls ``genre``. Content is the worst
    of: roots of the bars' chords between chance and the song's own; retrieval of the song among
    the others; beats that are half a beat off. Raises KeyError for a style without figures.
    """
    lines = [_style_line(songs, genre, systems)]
    content = _content_line(songs, systems)
    return [*lines, content] if content else lines


def _style_line(songs: Mapping[str, Figures], genre: str, systems: Systems) -> str:
    classified, probability = f"classified as {genre}", f"probability of {genre}"
    share, before = (_mean(songs, name, classified) for name in (systems.style, systems.source))
    level = ("reached", "partly reached", "not reached")[_level(share, _CLASSIFIED)]
    if before >= _CLASSIFIED[0]:
        level = "there before"
    others = [f"sources {_count(before, songs)}"]
    random = _mean(songs, systems.random, classified)
    if np.isfinite(random):
        others.append(f"{systems.random} {_count(random, songs)}")
    return (
        f"style {level}: {_count(share, songs)} of {len(songs)} outputs are classified as {genre} "
        f"({', '.join(others)}); probability {_mean(songs, systems.style, probability):.2f} "
        f"(sources {_mean(songs, systems.source, probability):.2f})"
    )


def _content_line(songs: Mapping[str, Figures], systems: Systems) -> str:
    """The line about content; empty without figures of it."""
    roots, chance, retrieved, off = (
        _mean(songs, systems.style, name)
        for name in (ROOTS, ROOTS_BY_CHANCE, RETRIEVED, HALF_BEAT_OFF)
    )
    levels, facts = [], []
    if np.isfinite(roots):
        levels.append(_level(rescaled(roots, zero=chance, one=1.0), _HARMONY))
        random = _mean(songs, systems.random, ROOTS)
        beside = f", {systems.random} {random:.0%}" if np.isfinite(random) else ""
        facts.append(
            f"{roots:.0%} of the bars have the song's root (by chance {chance:.0%}{beside})"
        )
    if np.isfinite(retrieved) and len(songs) >= _LEAST_SONGS:
        levels.append(_level(retrieved, _RETRIEVAL))
        facts.append(f"mean reciprocal rank of the song among {len(songs)} {retrieved:.2f}")
    if np.isfinite(off) and facts:
        levels.append(_level(1.0 - off, (1.0 - _OFF_BEATS[0], 1.0 - _OFF_BEATS[1])))
        facts.append(f"beats half a beat off in {_count(off, songs)} of {len(songs)}")
    if not facts:
        return ""
    level = ("kept", "partly kept", "lost")[max(levels)]
    return f"content {level}: {'; '.join(facts)}"


def _level(value: float, least: tuple[float, float]) -> int:
    """0 for whole, 1 for partly, 2 for neither."""
    return sum(value < one for one in least)


def _mean(songs: Mapping[str, Figures], system: str, figure: str) -> float:
    """Mean over the songs that have the figure; NaN where none has."""
    values = [song[system][figure] for song in songs.values() if figure in song.get(system, {})]
    return float(np.mean(values)) if values else float("nan")


def _count(share: float, songs: Mapping[str, Figures]) -> int:
    return round(share * len(songs))
