"""Which of its instruments each role of a band uses for a song."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.cover.retiming import median_tempo
from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from audiotransfer.cover.band import Band, Role
    from audiotransfer.cover.plan import Plan


def instrumented(plan: Plan, lead: str | None = None) -> tuple[Role, ...]:
    """The band's roles, each with the one instrument that it uses, its timing and level.

    ``lead`` names the lead's instrument, as a whole or by a part of its name (``sax``); without
    it the first of its instruments leads. Other roles use their first that no role before them
    and no lead uses, or that of their ``ballad`` in slow or quiet songs. Raises AudioTransferError
    for an instrument that the band's lead does not have.
    """
    chosen = lead_instrument(plan.band, lead)
    roles, used = [], {chosen}
    for role in plan.band.roles:
        if role.name == "lead" and chosen:
            instrument = chosen
        else:
            free = [name for name in role.instruments if name not in used]
            instrument = _ballad(plan, role) or (free or list(role.instruments))[0]
        used.add(instrument)
        roles.append(
            replace(
                role,
                instruments=(instrument,),
                timing=role.timings.get(instrument, role.timing),
                level_db=role.level_db + role.levels.get(instrument, 0.0),
            )
        )
    return tuple(roles)


def lead_instrument(band: Band, name: str | None = None) -> str | None:
    """The lead's instrument by its name or a part of it; ``None`` in a band without a lead."""
    roles = [role for role in band.roles if role.name == "lead"]
    if not roles:
        return None
    instruments = roles[0].instruments
    if name is None:
        return instruments[0]
    wanted = name.lower().replace("-", "_").replace(" ", "_")
    for instrument in (*[i for i in instruments if i == wanted], *instruments):
        if set(wanted.split("_")) <= set(instrument.split("_")):
            return instrument
    raise AudioTransferError(
        f"the band has no lead {name!r}; its leads are {', '.join(instruments)}"
    )


def _ballad(plan: Plan, role: Role) -> str | None:
    """The instrument that a role uses in ballads, where the song is one."""
    ballad = role.ballad
    if ballad is None or ballad.instrument not in role.instruments:
        return None
    slow = median_tempo(plan.sheet) / plan.feel < ballad.below_bpm
    quiet = float(np.mean(plan.energy)) < ballad.below_energy
    return ballad.instrument if slow or quiet else None
