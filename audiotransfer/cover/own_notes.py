"""The song's own notes for the roles of a band: the first steps of strength."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.cover import tablature
from audiotransfer.cover.lead import in_range, phrase_numbers
from audiotransfer.cover.melody import notes_in_beats, quantised
from audiotransfer.synthesis.catalogue import describe

if TYPE_CHECKING:
    from numpy.random import Generator

    from audiotransfer.cover.band import Band, Role
    from audiotransfer.cover.plan import Notes, Plan

_RIDES = (51, 53, 59)  # General MIDI keys
#: Ride rhythms and their weights by beats of a bar; those of four as counted (764 bars, Groove).
_RIDE = {
    2: {"r. rr": 4, "r. r.": 1},
    3: {"r. rr r.": 2, "r. r. rr": 2, "r. r. r.": 1},
    4: {
        "r. rr r. rr": 321,
        "r. rr r. r.": 48,
        ".. rr r. rr": 40,
        "r. r. r. rr": 32,
        "r. r. r. r.": 25,
    },
}
#: Velocities of a left hand below the melody: 3 to 18 in the middle half, n 2,120 (Jazz Trio
#: Database).
_SOFTER = 18
_RIDE_VELOCITY, _RIDE_SPREAD = 68, 7


def own_notes(plan: Plan, role: Role, random: Generator) -> Notes:
    """The song's notes that a role takes over, ``[N, 4]`` in beats.

    Melody, bass and drums go to the roles of these names, all other notes to ``comping``, or else
    each to the first other role whose instrument has it. Where the plan is swung the notes are put
    on the grid, so that their eighths can be swung, and drums without a ride cymbal get one.
    """
    sheet = plan.sheet
    if role.name == "lead":
        notes = _quantised(plan, plan.melody)
        limits = role.settings.get("ranges", {}).get(role.instruments[0])
        if limits and len(notes):
            notes[:, 2] = in_range(notes[:, 2], phrase_numbers(notes), *limits)
        return notes
    if role.name == "bass":
        return _quantised(plan, notes_in_beats(sheet, sheet.bass))
    if role.name == "drums":
        notes = _quantised(plan, notes_in_beats(sheet, sheet.drums))
        if plan.swung and not np.isin(notes[:, 2], _RIDES).any():
            notes = np.concatenate([notes, _ride(plan, random)])
        return notes[np.lexsort((notes[:, 2], notes[:, 0]))]
    others = _balanced(notes_in_beats(sheet, sheet.others), plan.melody)
    return _quantised(plan, _shared(others, plan.band, role.name))


def _balanced(notes: Notes, melody: Notes) -> Notes:
    """Accompanying notes, louder where they are softer than counted below the melody."""
    if not len(notes) or not len(melody):
        return notes
    lift = np.median(melody[:, 3]) - _SOFTER - np.median(notes[:, 3])
    notes[:, 3] = np.minimum(notes[:, 3] + max(round(float(lift)), 0), 127)
    return notes


def _shared(notes: Notes, band: Band, name: str) -> Notes:
    """The notes that a role has of those that are neither melody, bass nor drums.

    What no instrument has goes to the first role, moved by octaves.
    """
    roles = [role for role in band.roles if role.name not in ("lead", "bass", "drums")]
    roles = [role for role in roles if role.name == "comping"] or roles
    owner = np.full(len(notes), -1)
    for index, role in reversed(list(enumerate(roles))):
        low, high = _keys(role)
        owner[(notes[:, 2] >= low) & (notes[:, 2] <= high)] = index
    names = [role.name for role in roles]
    if name not in names:
        return notes[:0]
    index = names.index(name)
    notes = notes[(owner == index) | ((owner < 0) & (index == 0))].copy()
    low, high = _keys(roles[index])
    notes[:, 2] += 12 * np.ceil(np.maximum(low - notes[:, 2], 0) / 12)
    notes[:, 2] -= 12 * np.ceil(np.maximum(notes[:, 2] - high, 0) / 12)
    return notes


def _keys(role: Role) -> tuple[int, int]:
    """Lowest and highest MIDI pitch of a role's first instrument."""
    instrument = describe(role.instruments[0])
    return instrument.low_key, instrument.high_key


def _quantised(plan: Plan, notes: Notes) -> Notes:
    if not plan.swung:
        return notes.copy()
    return quantised(plan.sheet, notes, swung=True, dotted=plan.feel >= 1)


def _ride(plan: Plan, random: Generator) -> Notes:
    """A ride cymbal in every bar of two, three or four beats; other bars have the beats only."""
    hits = []
    for bar in plan.sheet.bars:
        straight = {" ".join(["r"] * bar.beats): 1.0}
        rhythms = _RIDE.get(bar.beats, straight) if bar.division == 2 else straight
        for place, key, _ in tablature.hits(tablature.draw(rhythms, random)):
            accent = 12 if int(place) % 2 and place % 1 == 0 else 0
            velocity = round(_RIDE_VELOCITY + accent + random.normal(0, _RIDE_SPREAD))
            hits.append((bar.beat + place, 0.1, key, velocity))
    return np.array(hits, dtype=np.float64)
