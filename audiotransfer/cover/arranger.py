"""Arranges a lead sheet for the band of a style."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.cover import singer
from audiotransfer.cover.endings import held
from audiotransfer.cover.instrumentation import instrumented
from audiotransfer.cover.lead import melody_in_range
from audiotransfer.cover.own_notes import own_notes
from audiotransfer.cover.plan import ARRANGED, ArrangeOptions
from audiotransfer.cover.planning import plan_song
from audiotransfer.cover.timing import to_seconds
from audiotransfer.cover.writers import WRITERS
from audiotransfer.errors import AudioTransferError
from audiotransfer.suggest import nearest_or_all
from audiotransfer.synthesis.ensemble import EnsemblePart

if TYPE_CHECKING:
    import torch

    from audiotransfer.cover.band import Band, Role
    from audiotransfer.cover.plan import Notes, Plan
    from audiotransfer.leadsheet import LeadSheet

__all__ = ["ArrangeOptions", "Arrangement", "arrange"]


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
    then the band's own parts are written; with more strength the harmony changes further. With a
    singer the lead and the second voice rest while somebody sings.
    Raises AudioTransferError for an instrument or a writer that there is not.
    """
    options = options or ArrangeOptions()
    seed = _seed(generator)
    plan, reharmonised, notices = plan_song(sheet, band, strength, options, _random(seed, "plan"))
    plan = replace(plan, seed=seed)
    parts = []
    write = _written if strength >= ARRANGED else own_notes
    roles = instrumented(plan, options.lead)
    swing = options.swing
    led = plan  # what the lead plays
    if plan.singer:
        plan = singer.with_fills_in_rests(plan)
        swing = singer.band_swing(plan) if swing is None else swing
        led = replace(plan, melody=singer.in_rests(plan.melody, plan.sheet))
    elif strength >= ARRANGED:  # the others write to the octave that the lead is in
        for role in roles:
            if role.writer == "melody":
                plan = led = replace(plan, melody=melody_in_range(plan, role))
    for role in roles:
        random = _random(seed, role.name)
        notes = write(led if role.name == "lead" else plan, role, random)
        if plan.singer and role.name == "second":
            notes = singer.in_rests(notes, plan.sheet)
        if len(notes):
            timed = to_seconds(notes, plan, role, random, swing)
            parts.append(_part(role, band.role(role.name), timed))
    names = {part.name for part in parts}
    # What is ducked by a part that rests sounds as it is.
    parts = [p if p.ducked_by in names else replace(p, ducked_by=None) for p in parts]
    return Arrangement(tuple(parts), plan.sheet, reharmonised, tuple(notices))


def _part(role: Role, own: Role, notes: Notes) -> EnsemblePart:
    """The part of a role; effects are those of the band's first instrument, not of others."""
    instrument = role.instruments[0]
    return EnsemblePart(
        role.name,
        instrument,
        notes,
        role.level_db,
        role.pan,
        effects=own.effects if instrument == own.instruments[0] else (),
        ducked_by=role.ducked_by,
    )


def _written(plan: Plan, role: Role, random: np.random.Generator) -> Notes:
    """The notes of a role by its writer; accompanying instruments hold the last bar."""
    place = plan.band.folder / "band.yaml"
    if role.writer not in WRITERS:
        hint = nearest_or_all(role.writer, WRITERS)
        raise AudioTransferError(f"{place}: role {role.name}: no writer {role.writer!r}; {hint}")
    try:
        notes = WRITERS[role.writer](plan, role, random)
    except AudioTransferError as error:  # a writer raises it for its settings only
        raise AudioTransferError(f"{place}: {error}") from None
    return notes if role.name in ("lead", "drums") else held(notes, plan)


def _seed(generator: torch.Generator | None) -> int:
    import torch

    return int(torch.randint(0, 2**31 - 1, (), generator=generator))


def _random(seed: int, name: str) -> np.random.Generator:
    """A generator of its own for each role, so that no part depends on the others'."""
    return np.random.default_rng([seed, *name.encode()])
