"""Matches transferred stems to those that a style was made from: tone and stereo width, or level.

A style that was made from one song says in its card how each of its stems sounds on average, one
that was trained on a folder of songs how loud it is in them. What a transferred stem lacks of it
depends on the song, and is measured on excerpts before the transfer.
"""

from __future__ import annotations

import math
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

EXCERPTS, EXCERPT_SECONDS = 3, 8.0
"""Parts of a song, and seconds of each, that the transferred stems are measured on."""
_LEVEL_DB = -18.0, 6.0  # of a stem's gain: what a song hardly has must not become its loudest stem
_ABSENT_DB = -30.0  # a stem's level below which the song does not have it


def matched_to_style(
    plan: Plan,
    song: Source,
    measured: Measured,
    workers: Workers,
    tracker: Tracker,
    folder: Path | None,
    stack: ExitStack,
) -> tuple[Plan, Spool | None]:
    """The plan with its stems' matches and gains, and the file of the song's stems if there is one.

    The song is separated for it; the file lives as long as the stack.
    """
    matched = {name: stem for name, stem in plan.stems.items() if stem.matched}
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
    mix = torch.cat([excerpt.sum(0) for excerpt in excerpts], -1)
    for name, stem in matched.items():
        source = [excerpt[names.index(name)] for excerpt in excerpts]
        played = []
        for number, excerpt in enumerate(excerpts):
            drums = excerpt[names.index("drums")] if "drums" in names else None
            played.append(_transferred(stem, source[number], drums, plan.seed, number))
        found[name] = _matched(stem, torch.cat(source, -1), torch.cat(played, -1), mix)
    return replace(plan, stems={**plan.stems, **found}), file


def _matched(stem: StemPlan, source: Tensor, played: Tensor, mix: Tensor) -> StemPlan:
    """The plan of a stem ``[2, t]`` of a song, given what the transfer makes of it."""
    if stem.reference is not None:
        meter = SoundMeter()
        meter.push(played)
        stem = replace(stem, match=match_tone_and_width(stem.reference, meter.profile()))
    if stem.level is not None:
        least, most = _LEVEL_DB
        if _level_db(source, mix) < _ABSENT_DB:
            most = 0.0
        gain = min(most, max(least, stem.level - _level_db(played, mix)))
        strength = 1.0 if stem.strength is None else stem.strength
        stem = replace(stem, gain_db=stem.gain_db + strength * gain)
    return stem


def _level_db(sound: Tensor, mix: Tensor) -> float:
    """The level of a sound relative to a mix; -120 dB at the least, also of silence."""
    power, whole = float(sound.square().mean()), float(mix.square().mean())
    return 10.0 * math.log10(max(power, 1e-12 * whole) / whole) if whole > 0.0 else -120.0


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
    length = min(total // EXCERPTS, round(EXCERPT_SECONDS * STEREO_RATE))
    starts = [
        (2 * number + 1) * total // (2 * EXCERPTS) - length // 2 for number in range(EXCERPTS)
    ]
    if total <= EXCERPTS * round(EXCERPT_SECONDS * STEREO_RATE):
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
