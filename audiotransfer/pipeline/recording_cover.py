"""Covers of recordings: the arrangement of a song's lead sheet, at the song's own times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from audiotransfer.cover.arranger import ArrangeOptions, arrange
from audiotransfer.cover.span import prolonged
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet.spelling import key_name
from audiotransfer.pipeline.cover_plan import LEAD, OTHER, VOCALS, part_name
from audiotransfer.pipeline.midi_cover import bar_chords
from audiotransfer.pipeline.reporting import CoverReport, PartReport
from audiotransfer.synthesis.catalogue import describe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.leadsheet import LeadSheet
    from audiotransfer.pipeline.cover_plan import CoverPlan
    from audiotransfer.synthesis.ensemble import EnsemblePart
    from audiotransfer.transcription.transcriber import Transcription

_LEAST_SUNG = 2.0  # s of singing in a song, below which nobody counts as singing
_RING_BARS = 2  # bars behind the last beat that its notes are held for; longer ends get beats
_HELD = 0.15  # s before the last beat's end: notes that end later are held


@dataclass(frozen=True)
class RecordingCover:
    """The band's parts for a recording, named as in `part_name`, at the recording's times.

    ``sheet`` is the song's lead sheet as it was transcribed, ``arranged`` as the band plays it;
    ``voice`` says whether the song's
    singer is in the cover, who then leads.
    """

    sheet: LeadSheet
    arranged: LeadSheet
    parts: tuple[EnsemblePart, ...]
    voice: bool
    report: CoverReport
    notices: tuple[str, ...]


def cover_recording(
    transcription: Transcription, plan: CoverPlan, span: tuple[float, float]
) -> RecordingCover:
    """Arranges the lead sheet of a recording that sounds between two times (``span``, in s).

    Beats keep their times; before the first and behind the last one the band goes on in the same
    tempo while the recording sounds. The lead rests where somebody sings, unless it plays the
    vocals.

    Raises AudioTransferError where there is nothing to arrange.
    """
    sheet = transcription.sheet
    if sheet is None or len(sheet.beats) < 2 or not sheet.bars:
        why = f" ({transcription.doubt})" if transcription.doubt else ""
        raise AudioTransferError(
            f"there is nothing to arrange{why}: give --mode timbre, or a lead sheet by --leadsheet"
        )
    asked = plan.options
    sung = sung_seconds(sheet)
    voice = plan.wants_voice or (plan.has_voice and sung > 0.0)
    if asked.transpose and voice:
        raise AudioTransferError(
            f"transpose {asked.transpose}: somebody sings, in the song's own key; have the lead"
            " play it (--stem vocals=cover), or leave it out"
        )
    options = ArrangeOptions(
        lead=asked.lead, transpose=asked.transpose, swing=asked.swing, singer=voice
    )
    if not voice and options.swing is None:
        options = replace(options, swing=1.0)  # an instrument plays what somebody sang
    whole = prolonged(sheet, span[0], _end_of_beats(sheet, span[1]))
    generator = torch.Generator().manual_seed(plan.seed)
    arrangement = arrange(whole, plan.band, plan.strength, generator, options)
    names = {role.name for role in plan.roles}
    parts = [part for part in arrangement.parts if part.name in names]
    # With a singer the arranger has the lead rest already.
    parts = [_for_stems(part, plan, sheet) if sung and not voice else part for part in parts]
    parts = [_held_until(part, arrangement.sheet.seconds, span[1]) for part in parts]
    parts = [part for part in parts if len(part.notes)]
    kept = {part.name for part in parts}
    named = tuple(
        replace(
            part,
            name=part_name(part.name),
            effects=part.effects if plan.effects else (),
            ducked_by=part_name(part.ducked_by) if part.ducked_by in kept else None,
        )
        for part in parts
    )
    lines = arrangement.sheet.beat_at(whole.time_at(whole.bar_lines))  # in felt beats
    report = _report(transcription, sheet, plan.gains_db, named)
    report = replace(
        report,
        chords=bar_chords(arrangement.sheet, lines),
        reharmonised=len(arrangement.reharmonised) / len(arrangement.sheet.bars),
        sung=sung,
    )
    return RecordingCover(sheet, arrangement.sheet, named, voice, report, arrangement.notices)


def sung_seconds(sheet: LeadSheet) -> float:
    """Seconds in which somebody sings; 0 where it is less than two."""
    total = sum(end - start for start, end in sheet.sung)
    return total if total >= _LEAST_SUNG else 0.0


def _end_of_beats(sheet: LeadSheet, end: float) -> float:
    """Time until which the band has beats: a short rest of the song is the last chord's."""
    times = sheet.beat_times
    bar = sheet.bars[-1].beats * float(np.median(np.diff(times[-9:])))
    return end if end - times[-1] > _RING_BARS * bar else float(times[-1])


def _for_stems(part: EnsemblePart, plan: CoverPlan, sheet: LeadSheet) -> EnsemblePart:
    """The lead without the notes of what it does not stand for: of the vocals those that sound
    while somebody sings, of ``other`` all the rest.
    """
    if part.name != LEAD:
        return part
    sings = _sung_share(part.notes, sheet.sung) > 0.5
    plays = np.where(sings, VOCALS in plan.covered, OTHER in plan.covered)
    return replace(part, notes=part.notes[plays])


def _sung_share(
    notes: NDArray[np.float64], sung: Sequence[tuple[float, float]]
) -> NDArray[np.float64]:
    """Share of each note's duration in which somebody sings."""
    start, end = notes[:, :1], notes[:, :1] + notes[:, 1:2]
    low, high = np.asarray(sung, dtype=np.float64).reshape(-1, 2).T
    together = np.clip(np.minimum(end, high) - np.maximum(start, low), 0.0, None).sum(1)
    shares: NDArray[np.float64] = together / notes[:, 1]
    return shares


def _held_until(part: EnsemblePart, last: float, end: float) -> EnsemblePart:
    """The part with its last notes held until the recording ends; drums are left as they are."""
    if end <= last or describe(part.instrument).drums:
        return part
    notes = part.notes.copy()
    ends = notes[:, 0] + notes[:, 1]
    final = ends >= last - _HELD
    notes[final, 1] = np.maximum(end - notes[final, 0], notes[final, 1])
    return replace(part, notes=notes)


def _report(
    transcription: Transcription,
    sheet: LeadSheet,
    gains_db: Mapping[str, float],
    parts: Sequence[EnsemblePart],
) -> CoverReport:
    metres = Counter(f"{bar.numerator}/{bar.denominator}" for bar in sheet.bars)
    seconds = sheet.beats[-1] - sheet.beats[0]
    values = {name: float(getattr(transcription, name)) for name in ("beats", "chords", "lead")}
    return CoverReport(
        confidence={name: round(value, 3) for name, value in values.items()},
        doubt=transcription.doubt,
        tempo=round(60.0 * (len(sheet.beats) - 1) / seconds, 2),
        metre=metres.most_common(1)[0][0],
        key=key_name(sheet.keys[0]) if sheet.keys else "",
        sections=" ".join(section.name for section in sheet.sections),
        chords=[],
        lead=next((part.instrument for part in parts if part.name == LEAD), None),
        parts={
            part.name: PartReport(part.instrument, len(part.notes), gains_db.get(part.name, 0.0))
            for part in parts
        },
        reharmonised=0.0,
        sung=0.0,
    )
