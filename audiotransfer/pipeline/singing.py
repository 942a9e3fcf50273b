"""Whether and where somebody sings in a song, by the level of its separated vocals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from audiotransfer.audio.levels import HopMeans
from audiotransfer.leadsheet.spans import joined, runs
from audiotransfer.pipeline import stages
from audiotransfer.pipeline.cover_plan import VOCALS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.leadsheet import LeadSheet
    from audiotransfer.pipeline.finishing import Spool
    from audiotransfer.pipeline.measuring import Measured
    from audiotransfer.pipeline.plan import Plan
    from audiotransfer.pipeline.reporting import Tracker
    from audiotransfer.pipeline.sources import Source
    from audiotransfer.pipeline.workers import Workers
    from audiotransfer.transcription.transcriber import Transcription

_HOP = 4410  # samples of a level, 0.1 s
_SECONDS = 0.1
_LOUD_DB = -12.0  # vocals against the mix: somebody sings
#: Share of a song's levels that are as loud, from which it has a singer, if the transcription has
#: any voice at all. Of 45 recordings of 30 s, 5 of 6 sung ones have both (the sixth's voice is
#: 36 dB below its mix) and 2 of 39 instrumental ones; 9 of these by the levels alone, as the
#: separator takes solo instruments for voices.
_SHARE, _VOICE = 0.1, 0.12
_SILENT = 1e-4  # power relative to the mean, below which a level does not count
_REST, _SHORTEST = 0.6, 0.4  # seconds of a rest between spans, and of a span
_SURE, _FEWEST = 0.6, 8  # confidence of a lead's note, and notes that show the singer's register
_LEAST_WORK = 3  # parts of the job's arranging, of which the measurement is one


class VocalLevels:
    """Levels of vocals against their mix, each 0.1 s, of sound pushed block by block."""

    def __init__(self) -> None:
        self._powers = HopMeans(_HOP, 2)
        self._levels: list[NDArray[np.float64]] = []

    def push(self, vocals: Tensor, mix: Tensor) -> None:
        """Takes the next samples ``[2, t]`` of both at 44.1 kHz."""
        powers = torch.stack([one.double().square().mean(0) for one in (vocals, mix)])
        self._levels.append(self._powers.push(powers.numpy()))

    def spans(self) -> tuple[tuple[float, float], ...]:
        """Spans in seconds in which the vocals are loud; none where the song has no singer."""
        vocals, mix = np.concatenate([np.zeros((2, 0)), *self._levels], axis=1)
        if not mix.any():
            return ()
        loud = (vocals > 10.0 ** (_LOUD_DB / 10.0) * mix) & (mix > _SILENT * mix.mean())
        if loud.sum() < _SHARE * np.sum(mix > _SILENT * mix.mean()):
            return ()
        return sung_phrases([(_SECONDS * a, _SECONDS * b) for a, b in runs(loud).tolist()])


def sung_phrases(spans: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Spans in seconds in order, without short rests between them, and without short ones."""
    found = joined(spans, _REST)
    return tuple((round(a, 3), round(b, 3)) for a, b in found if b - a >= _SHORTEST - 1e-6)


def lead_phrases(
    sheet: LeadSheet, sung: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Spans of the lead's notes that are sure and in the register of those that are sung.

    Separators and voice detection lose phrases of a singer whom the lead follows all along.
    """
    notes = [note for note in sheet.melody if note.confidence >= _SURE]
    inside = [n.pitch for n in notes if any(a - 0.1 <= n.start < b for a, b in sung)]
    if len(inside) < _FEWEST:
        return []
    low, high = np.percentile(inside, (5, 95)) + np.array([-2.0, 2.0])
    return [(n.start, n.start + n.duration) for n in notes if low <= n.pitch <= high]


def with_singing(
    transcription: Transcription,
    song: Source,
    measured: Measured,
    plan: Plan,
    workers: Workers,
    tracker: Tracker,
    file: Spool | None = None,
) -> Transcription:
    """The transcription with the sung spans of a song whose vocals are separated.

    There is a singer where the transcription has some voice and the vocals are loud; then spans
    are those of loud vocals, those that were transcribed, and the lead's phrases in their register.
    The stems are written to ``file``.
    """
    sheet = transcription.sheet
    if sheet is None or VOCALS not in plan.stems:
        return transcription
    if transcription.voice < _VOICE:
        return replace(transcription, sheet=replace(sheet, sung=()))
    tracker.begin("arrange", _LEAST_WORK * measured.working_frames)
    levels, vocals = VocalLevels(), list(plan.stems).index(VOCALS)
    key = stages.stems_key(song, plan, measured)
    mixes = stages.read(song, measured)
    for block in stages.separate(mixes, plan, measured, workers, tracker, key, file):
        levels.push(block.dry[vocals], block.dry.sum(0))
    spans = levels.spans()
    if spans:
        spans = sung_phrases([*spans, *sheet.sung])
        spans = sung_phrases([*spans, *lead_phrases(sheet, spans)])
    return replace(transcription, sheet=replace(sheet, sung=spans))
