"""Arranges a lead sheet for the band of a style."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.cover.planning import plan_song
from audiotransfer.cover.timing import to_seconds
from audiotransfer.cover.writers import WRITERS
from audiotransfer.synthesis.ensemble import EnsemblePart

if TYPE_CHECKING:
    import torch

    from audiotransfer.cover.band import Band
    from audiotransfer.leadsheet import LeadSheet

#: Strengths from which a step of the way to the style is taken; below the first the song's own
#: notes are played by the style's instruments.
SWUNG, ARRANGED, SEVENTHS, TWO_FIVES, SUBSTITUTES = 0.25, 0.45, 0.6, 0.75, 0.9


@dataclass(frozen=True)
class ArrangeOptions:
    """Options of an arrangement.

    ``lead`` names the lead's instrument; ``transpose`` is in semitones; ``tempo`` in beats per
    minute replaces the song's mean tempo; ``intro`` and ``outro`` are numbers of added bars;
    ``swing`` scales how far eighths are swung, 0 is straight.
    """

    lead: str | None = None
    transpose: int = 0
    tempo: float | None = None
    intro: int = 0
    outro: int = 0
    swing: float = 1.0


@dataclass(frozen=True)
class Arrangement:
    """The parts of a band, and the lead sheet as they play it: with intro, outro and new chords.

    ``reharmonised`` are the indices of the bars of ``sheet`` whose chords have another root than
    in the song.
    """

    parts: tuple[EnsemblePart, ...]
    sheet: LeadSheet
    reharmonised: frozenset[int] = frozenset()
    notices: tuple[str, ...] = ()


def arrange(
    sheet: LeadSheet,
    band: Band,
    strength: float = 1.0,
    generator: torch.Generator | None = None,
    options: ArrangeOptions | None = None,
) -> Arrangement:
    """Arranges a song for a band; the same generator state gives the same notes.

    With little ``strength`` (0..1) the band plays the song's own notes; then its eighths are swung;
    then the band's own parts are written; with more strength the harmony changes further.
    Raises AudioTransferError for an instrument that the band does not have.
    """
    options = options or ArrangeOptions()
    seed = _seed(generator)
    plan, reharmonised, notices = plan_song(sheet, band, strength, options, _random(seed, "plan"))
    plan = replace(plan, seed=seed)
    parts = []
    for role in band.roles:
        random = _random(seed, role.name)
        notes = WRITERS[role.writer](plan, role, random)
        if len(notes):
            instrument = options.lead if role.name == "lead" and options.lead else None
            parts.append(
                EnsemblePart(
                    role.name,
                    instrument or role.instruments[0],
                    to_seconds(notes, plan, role, random, options.swing),
                    role.level_db,
                    role.pan,
                )
            )
    return Arrangement(tuple(parts), plan.sheet, reharmonised, tuple(notices))


def _seed(generator: torch.Generator | None) -> int:
    import torch

    return int(torch.randint(0, 2**31 - 1, (), generator=generator))


def _random(seed: int, name: str) -> np.random.Generator:
    """A generator of its own for each role, so that no part depends on the others'."""
    return np.random.default_rng([seed, *name.encode()])
