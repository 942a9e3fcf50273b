"""Verdict in words on a style, on the content that it leaves, and on its artefacts, apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from audiotransfer.evaluation.metrics.cover_content import (
    HALF_BEAT_OFF,
    MELODY,
    MELODY_BY_CHANCE,
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
_MELODY = (0.5, 0.25)  # notes that stand out, from chance 0 to those of the song itself 1
_RETRIEVAL = (0.8, 0.5)  # mean reciprocal rank
_OFF_BEATS = (0.1, 0.3)  # most songs half a beat off
_SURE = 0.7  # accuracy of a classifier below which what it says is a hint
_ARTEFACTS = 1.2  # times the source's, from which a song is named
_MOST_NAMES = 6
_LEAST_SONGS = 5  # among which retrieval says anything


@dataclass(frozen=True)
class Systems:
    """Names of the systems that a verdict compares: ``random`` has the style without the song."""

    style: str
    source: str
    random: str


def verdict(
    songs: Mapping[str, Figures], genre: str, systems: Systems, accuracy: float | None = None
) -> list[str]:
    """Lines on style, content and artefacts, with their figures, of at least one song.

    There is none about what was not measured: the style without a ``genre``, or artefacts. Style is
    the share of the songs that the genre classifier calls ``genre``; ``accuracy``, the share of
    other songs on which it is right, is said beside. Content is the worst of: roots
    of the bars' chords between chance and the song's own; notes of its melody that are heard,
    between chance and those in the song itself; retrieval of the song among the others; beats that
    are half a beat off. Songs whose artefact figure is above 1.2 times that of the source are
    named. Raises KeyError for a style without figures.
    """
    lines = [
        _style_line(songs, genre, systems, accuracy) if genre else "",
        _content_line(songs, systems),
        _artefact_line(songs, systems),
    ]
    return [line for line in lines if line]


def _style_line(
    songs: Mapping[str, Figures], genre: str, systems: Systems, accuracy: float | None
) -> str:
    classified, probability = f"classified as {genre}", f"probability of {genre}"
    share, before = (_mean(songs, name, classified) for name in (systems.style, systems.source))
    level = ("reached", "partly reached", "not reached")[_level(share, _CLASSIFIED)]
    if before >= _CLASSIFIED[0]:
        level = "there before"
    others = [f"sources {_count(before, songs)}"]
    random = _mean(songs, systems.random, classified)
    if np.isfinite(random):
        others.append(f"{systems.random} {_count(random, songs)}")
    moved = sum(
        song[systems.style][probability] > song[systems.source][probability]
        for song in songs.values()
    )
    if accuracy is not None:
        hint = ", a hint only" if accuracy < _SURE else ""
        level += f" (by a genre classifier that is right on {accuracy:.0%} of other songs{hint})"
    return (
        f"style {level}: {_count(share, songs)} of {len(songs)} outputs are classified as {genre} "
        f"({', '.join(others)}); probability {_mean(songs, systems.style, probability):.2f} "
        f"(sources {_mean(songs, systems.source, probability):.2f}), higher on {moved}"
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
    melody, by_chance = (_mean(songs, systems.style, name) for name in (MELODY, MELODY_BY_CHANCE))
    own = _mean(songs, systems.source, MELODY)
    if np.isfinite(melody) and own > by_chance:
        levels.append(_level(rescaled(melody, zero=by_chance, one=own), _MELODY))
        facts.append(
            f"{melody:.0%} of the melody's notes are heard (in the songs {own:.0%}, by chance "
            f"{by_chance:.0%})"
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


def _artefact_line(songs: Mapping[str, Figures], systems: Systems) -> str:
    """The line about artefacts; empty where they were not measured."""
    name = "artefacts"
    measured = {title: song[systems.style][name] for title, song in songs.items()
                if name in song[systems.style]}  # fmt: skip
    if not measured:
        return ""
    worst = sorted(measured, key=lambda title: -measured[title])
    named = [title for title in worst if measured[title] > _ARTEFACTS]
    if not named:
        return f"artefacts: no more than {_ARTEFACTS} times the source's on {len(measured)} songs"
    listed = ", ".join(f"{title} ({measured[title]:.2f})" for title in named[:_MOST_NAMES])
    more = f" and {len(named) - _MOST_NAMES} more" if len(named) > _MOST_NAMES else ""
    return (
        f"artefacts: {len(named)} of {len(measured)} songs have more than their source, {listed}"
        f"{more}"
    )


def _level(value: float, least: tuple[float, float]) -> int:
    """0 for whole, 1 for partly, 2 for neither."""
    return sum(value < one for one in least)


def _mean(songs: Mapping[str, Figures], system: str, figure: str) -> float:
    """Mean over the songs that have the figure; NaN where none has."""
    values = [song[system][figure] for song in songs.values() if figure in song.get(system, {})]
    return float(np.mean(values)) if values else float("nan")


def _count(share: float, songs: Mapping[str, Figures]) -> int:
    return round(share * len(songs))
