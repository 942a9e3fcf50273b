"""What a benchmark is going to measure, what it cannot, and how long it takes, in words."""

from __future__ import annotations

from collections.abc import Mapping

from audiotransfer.benchmark.entries import Entries
from audiotransfer.benchmark.measuring import seconds_a_song
from audiotransfer.benchmark.systems import EQUALISER, WRONG, System
from audiotransfer.pipeline.outlook import USUAL_SECONDS, separation_seconds

_USUAL_SECONDS = 30.0


def outlook(style: str, entries: Entries, systems: Mapping[str, System]) -> list[str]:
    """Lines on what is measured and for how long, and one for each thing that is missing.

    The time is a guess from the songs' number and length and from this machine's speed; that of the
    progress line is measured.
    """
    count = len(entries.songs)
    baselines = len(systems) - 1
    length = entries.seconds or _USUAL_SECONDS
    slowness = separation_seconds() / USUAL_SECONDS
    seconds = slowness * count * seconds_a_song(systems) * length / _USUAL_SECONDS
    each = f"up to {entries.seconds:g} s" if entries.seconds else "all"
    songs = "1 song" if count == 1 else f"{count} songs"
    minutes = max(1, round(seconds / 60))
    found = [
        f"{each} of {songs}, each by {style} and {baselines} baselines: about {minutes} "
        f"{'minute' if minutes == 1 else 'minutes'} here"
    ]
    return found + [f"not measured: {text}" for text in missing(entries, systems)]


def missing(entries: Entries, systems: Mapping[str, System]) -> list[str]:
    """What is left out, why, and what brings it back."""
    genre = entries.wanted
    found = []
    if not entries.classifiers.genre:
        known = ", ".join(entries.classifiers.genres.classes)
        found.append(
            f"whether it sounds like {genre}, which the genre classifier does not know: --genre "
            f"takes {known}; --classifier one of your own"
        )
    if not entries.targets:
        found.append(
            f"distance to songs of {genre} (FAD, H): name a folder {genre} of them in --on"
        )
    if not any(song.truth for song in entries.songs):
        found.append(
            "distance to the true version, which only rendered songs have (audiotransfer render)"
        )
    if EQUALISER not in systems:
        found.append("a matched equaliser, which came with no style of this name: --baseline")
    if WRONG not in systems:
        found.append("another style: none is installed, --wrong names one")
    if entries.classifiers.instruments is None:
        found.append(
            "FAD in a second embedding: no instrument classifier ships, --instruments names one"
        )
    return found
