"""Rendered songs that are kept from training: what is learned from pairs, heard and judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from audiotransfer.evaluation.judge_clips import Clip
from audiotransfer.recipes.audition import Audition, Line, rendered_lines
from audiotransfer.recipes.headline import (
    Headline,
    HeadlineSettings,
    some_of_each,
    validation_judge,
)
from audiotransfer.spectral.repainter import Repainter
from vocoder import Picture

_SOURCE = "source"
_LINES = 2  # that are heard where none are judged


def rendered_trial(
    kept: Sequence[Path],
    taught: Sequence[Path],
    stems: Sequence[str],
    generators: Callable[[str], Mapping[str, Repainter]],
    styles: Sequence[str],
    picture: Picture,
    settings: HeadlineSettings,
    folder: Path,
) -> tuple[Audition, Headline | None]:
    """Stems of ``kept`` songs, as a separator gives them where it has, played by the generators of
    styles; and H, by a judge that the ``taught`` songs teach who plays.
    """

    def lines(*sides: str) -> list[Line]:
        found = [rendered_lines(kept, sides, stem, settings.songs or _LINES) for stem in stems]
        return [line for of_stem in found for line in of_stem]

    audition = Audition(lines("separated", _SOURCE), picture, generators)
    if not settings.songs:
        return audition, None
    sides = {_SOURCE: _SOURCE, **{style: f"target/{style}" for style in styles}}
    clips = [
        Clip(path, genre, song.name)
        for genre, side in sides.items()
        for song in taught
        for stem in stems
        if (path := song / side / f"{stem}.wav").is_file()
    ]
    heard = some_of_each(clips, settings.judge_songs * len(stems))
    targets = {style: lines(sides[style]) for style in styles}
    return audition, Headline(audition, targets, partial(validation_judge, heard, folder, settings))
