"""Random chords: what a cover's style reaches without the song's harmony."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from audiotransfer.leadsheet import LeadSheet

_QUALITIES = ("", "m", "7", "m7")


def with_random_chords(sheet: LeadSheet, generator: torch.Generator) -> LeadSheet:
    """The lead sheet with each chord's root and quality drawn evenly; all else is the song's."""

    def draw(count: int) -> int:
        return int(torch.randint(count, (1,), generator=generator))

    chords = tuple(
        replace(chord, root=draw(12), quality=_QUALITIES[draw(len(_QUALITIES))], bass=None)
        for chord in sheet.chords
    )
    return replace(sheet, chords=chords)
