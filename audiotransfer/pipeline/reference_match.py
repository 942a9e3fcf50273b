"""Matches transferred stems to those of a reference song: their tone and their stereo width.

A style that was made from one song says in its card how each of its stems sounds on average. What
a transferred stem lacks of it depends on the song, and is measured on excerpts before the transfer.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiotransfer.audio.resampling import STEREO_RATE
from audiotransfer.audio.sound_profile import SoundMeter
from audiotransfer.pipeline import stages
from audiotransfer.pipeline.blocks import generator_for
from audiotransfer.pipeline.matching import match_tone_and_width

if TYPE_CHECKING:
    from audiotransfer.pipeline.finishing import Spool
    from audiotransfer.pipeline.measuring import Measured
    from audiotransfer.pipeline.plan import Plan, StemPlan
    from audiotransfer.pipeline.reporting import Tracker
    from audiotransfer.pipeline.sources import Source
    from audiotransfer.pipeline.workers import Workers

_EXCERPTS, _EXCERPT_SECONDS = 3, 8.0  # that the transferred stems are measured on


def with_reference_match(
    plan: Plan,
    song: Source,
    measured: Measured,
    workers: Workers,
    tracker: Tracker,
    folder: Path | None,
    stack: ExitStack,
) -> tuple[Plan, Spool | None]:
    """The plan with the matches of its stems, and the file of the song's stems, if there is one.

    The song is separated for it; the file lives as long as the stack.
    """
    matched = {name: stem for name, stem in plan.styled.items() if stem.reference is not None}
    if not matched or not measured.rms:
        return plan, None
    key = stages.stems_key(song, plan, measured)
    file = stages.stem_file(key, plan, measured, folder)
    if file is not None:
        stack.enter_context(file)
    tracker.begin("transfer", measured.working_frames * (2 + len(plan.styled)))
    excerpts = _excerpts(song, plan, measured, workers, tracker, key, file)
    names = list(plan.stems)
    found = {}
    for name, stem in matched.items():
        meter = SoundMeter()
        for number, excerpt in enumerate(excerpts):
            drums = excerpt[names.index("drums")] if "drums" in names else None
            meter.push(_transferred(stem, excerpt[names.index(name)], drums, plan.seed, number))
        assert stem.reference is not None
        found[name] = replace(stem, match=match_tone_and_width(stem.reference, meter.profile()))
    return replace(plan, stems={**plan.stems, **found}), file


def _transferred(
    stem: StemPlan, sound: Tensor, drums: Tensor | None, seed: int, number: int
) -> Tensor:
    """An excerpt of a stem with all of the style."""
    whole = replace(stem, strength=1.0)
    return whole.play(sound, drums, generator_for(seed, number, "reference"), lambda _share: None)


def _excerpts(
    song: Source,
    plan: Plan,
    measured: Measured,
    workers: Workers,
    tracker: Tracker,
    key: str,
    file: Spool | None,
) -> list[Tensor]:
    """Excerpts ``[S, 2, t]`` of the song's stems, spread over it; all of a short song.

    Separates the whole song, whose stems are kept in the plan's cache or written to ``file``.
    """
    total = measured.working_frames
    length = min(total // _EXCERPTS, round(_EXCERPT_SECONDS * STEREO_RATE))
    starts = [
        (2 * number + 1) * total // (2 * _EXCERPTS) - length // 2 for number in range(_EXCERPTS)
    ]
    if total <= _EXCERPTS * round(_EXCERPT_SECONDS * STEREO_RATE):
        starts, length = [0], total
    found: list[list[Tensor]] = [[] for _ in starts]
    at = 0
    mixes = stages.read(song, measured)
    for block in stages.separate(mixes, plan, measured, workers, tracker, key, file):
        size = block.dry.shape[-1]
        for pieces, start in zip(found, starts, strict=True):
            first, last = max(start - at, 0), min(start + length - at, size)
            if first < last:
                pieces.append(block.dry[..., first:last].clone())
        at += size
    return [torch.cat(pieces, -1) for pieces in found]
