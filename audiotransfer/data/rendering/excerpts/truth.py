"""What is true of the sound of a played section: notes, chords, beats, drums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.data.rendering.excerpts.pieces import BASS, COUNTER, HARMONY, LEAD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.data.rendering.excerpts.pieces import Piece, Timeline

    Rows = NDArray[np.float64]
    Sound = NDArray[np.float32]

DRUMS = "drums"


@dataclass
class Played:
    """A part as it sounds: notes ``[N, 4]`` (s, s, MIDI pitch, velocity) and its sound ``[T]``.

    ``level_db`` is that of its active frames, of a lead relative to all others.
    """

    role: str
    notes: Rows
    sound: Sound
    level_db: float
    timbre: str
    sung: bool = False


@dataclass
class PlayedSection:
    """The parts of a section, the level of its lead (dB over all others) and its tuning."""

    parts: list[Played]
    lead_db: float
    cents: float


def truth_of(
    section: Piece, timeline: Timeline, played: PlayedSection, seconds: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays of an excerpt's truth, and what is said about it.

    `corpus.render_excerpt` describes them.
    """
    drums = [part.notes[:, [0, 2]] for part in played.parts if part.role == DRUMS]
    hits = np.concatenate(drums) if drums else np.zeros((0, 2))
    by_role: dict[str, Rows] = {}
    for role in (LEAD, COUNTER, HARMONY, BASS):
        rows = [part.notes for part in played.parts if part.role == role]
        notes = np.concatenate(rows) if rows else np.zeros((0, 4))
        triples = np.column_stack([notes[:, 0], notes[:, 0] + notes[:, 1], notes[:, 2]])
        by_role[role] = triples[np.lexsort((triples[:, 2], triples[:, 0]))]
    everything = np.concatenate(list(by_role.values()))
    everything = everything[np.lexsort((everything[:, 2], everything[:, 0]))]
    beats = timeline.beats
    bars = timeline.at(section.bars[:-1])
    chords = section.chords.copy()
    chords[:, 0] = timeline.at(chords[:, 0])
    if len(chords) and section.chords[0, 0] < 1e-6:
        chords[0, 0] = 0.0
    sung = [_spans(part.notes) for part in played.parts if part.sung]
    if section.bass_leads:
        by_role[BASS] = by_role[LEAD]
    known = section.known | ({"bass"} if len(by_role[BASS]) else set())
    arrays = {
        "lead": by_role[LEAD].astype(np.float32),
        "notes": everything.astype(np.float32),
        "bass": by_role[BASS].astype(np.float32),
        "drums": hits.astype(np.float32),
        "chords": chords[chords[:, 0] < seconds].astype(np.float32),
        "beats": beats[beats < seconds].astype(np.float32),
        "downbeats": bars[bars < seconds].astype(np.float32),
        "sung": (np.concatenate(sung) if sung else np.zeros((0, 2))).astype(np.float32),
        **{f"has_{name}": np.bool_(name in known)
           for name in ("lead", "notes", "bass", "chords", "beats", "drums")},
    }  # fmt: skip
    about = {
        "set": section.collection, "source": section.name, "style": section.style,
        "tempo": round(float(60 / np.median(np.diff(beats))), 2),
        "metre": int(np.median(np.diff(section.bars))), "division": section.division,
        "swing": round(timeline.swing, 3), "lead_db": round(played.lead_db, 2),
        "tuning_cents": round(played.cents, 1),
        "programs": {f"{n} {part.role}": part.timbre for n, part in enumerate(played.parts)},
    }  # fmt: skip
    return arrays, about


def _spans(notes: Rows) -> Rows:
    """Start and end of what is sung without a rest of 0.3 s."""
    spans: list[list[float]] = []
    for start, length in notes[:, :2]:
        if spans and start - spans[-1][1] < 0.3:
            spans[-1][1] = start + length
        else:
            spans.append([start, start + length])
    return np.array(spans).reshape(-1, 2)
