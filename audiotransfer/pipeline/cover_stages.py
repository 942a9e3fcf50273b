"""The stages of a cover's path: stems that are kept and the band side by side, then their mix.

The first pass renders the band, separates the song where a stem of it is kept, and measures both;
its tracks wait on disk. The second pass brings the band to the level of what it replaces, has it
follow the song's dynamics, and mixes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from audiotransfer.audio.channels import to_channels
from audiotransfer.audio.loudness import LoudnessMeter
from audiotransfer.audio.resampling import STEREO_RATE, StreamResampler
from audiotransfer.pipeline import stages
from audiotransfer.pipeline.blocks import MixBlock, StemBlock, TimeQueue
from audiotransfer.pipeline.cover_options import COVER
from audiotransfer.pipeline.dynamics import PowerMeter, gain_curve, gains_at
from audiotransfer.pipeline.finishing import Spool, matching_gain
from audiotransfer.synthesis.ensemble import Ensemble
from audiotransfer.synthesis.room import RoomFilter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.pipeline.measuring import Measured
    from audiotransfer.pipeline.plan import Plan, StemPlan
    from audiotransfer.pipeline.recording_cover import RecordingCover
    from audiotransfer.pipeline.reporting import Tracker
    from audiotransfer.pipeline.sources import Source
    from audiotransfer.pipeline.workers import Workers


BAND = "band"


@dataclass(frozen=True)
class Tracks:
    """The tracks of a cover at the working level, on disk.

    The file holds, two channels each, the stems of ``kept`` as separated, those of ``styled``, and
    the ``parts`` of the band; or else, where they are not needed one by one, their sum.
    ``curve`` is the band's gain over time (see `gain_curve`), with the one that brings it to the
    level of what it replaces.
    """

    file: Spool
    kept: dict[str, StemPlan]
    styled: list[str]
    parts: tuple[str, ...]
    curve: NDArray[np.float64]

    def blocks(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Yields stems ``[K, 2, t]`` as separated, styled ones ``[L, 2, t]``, parts ``[P, 2, t]``
        and the band's gain ``[t]``.
        """
        place = 0
        sizes = [len(self.kept), len(self.styled), len(self.parts)]
        for piece in self.file.blocks():
            dry, wet, parts = piece.unflatten(0, (-1, 2)).split(sizes)
            yield dry, wet, parts, gains_at(self.curve, place, piece.shape[-1], STEREO_RATE)
            place += piece.shape[-1]


def record(
    song: Source,
    measured: Measured,
    plan: Plan,
    cover: RecordingCover,
    powers: NDArray[np.float64],
    workers: Workers,
    tracker: Tracker,
    folder: Path | None,
    stack: ExitStack,
    *,
    separately: bool,
) -> Tracks:
    """The first pass: renders the band, separates what is kept of the song, and measures both.

    ``powers`` are the song's (see `PowerMeter`). The file lives as long as the stack; it holds the
    parts ``separately`` where they are written or have gains.
    """
    assert plan.cover is not None
    kept = kept_stems(plan, cover)
    changes = list(plan.styled)
    styled = [name for name in kept if name in changes]
    work = 1 + (1 + len(changes) if kept else 0)
    tracker.begin("arrange", measured.working_frames * work)
    names = tuple(part.name for part in cover.parts) if separately else (BAND,)
    file = stack.enter_context(Spool(folder, 2 * (len(kept) + len(styled) + len(names))))
    meters = _Meters()
    tracks = Tracks(file, kept, styled, names, np.zeros(0))
    order = list(plan.stems)
    places = [order.index(name) for name in kept]
    replaced = [order.index(name) for name, stem in plan.stems.items() if stem.action == COVER]
    for block, parts in _beside(
        song, measured, plan, _band(cover, plan, measured), workers, tracker, bool(kept)
    ):
        tracker.advance(parts.shape[-1])
        band = _sum(parts)
        meters.own.push(band)
        pieces = [parts if separately else band[None]]
        if block is not None:
            meters.replaced(_sum(block.dry[replaced]))
            pieces = [block.dry[places], block.wet[[changes.index(one) for one in styled]], *pieces]
        file.write(torch.cat(pieces).flatten(0, 1))
    source = meters.source.powers() if kept else powers
    tracks = replace(tracks, curve=gain_curve(source, meters.own.powers()))
    target = meters.loudness.integrated() if kept else scaled_loudness(measured)
    return replace(tracks, curve=tracks.curve * matching_gain(_band_loudness(tracks), target))


def kept_stems(plan: Plan, cover: RecordingCover) -> dict[str, StemPlan]:
    """The stems of the song that are in the cover; vocals only where somebody sings."""
    return {
        name: stem
        for name, stem in plan.stems.items()
        if stem.action in ("keep", "style") and (name != "vocals" or cover.voice)
    }


class _Meters:
    """Measurements of the band, and of the stems that it replaces."""

    def __init__(self) -> None:
        self.own, self.source = PowerMeter(STEREO_RATE), PowerMeter(STEREO_RATE)
        self.loudness = LoudnessMeter(STEREO_RATE, 2)

    def replaced(self, mix: Tensor) -> None:
        self.source.push(mix)
        self.loudness.push(mix)


def _band_loudness(tracks: Tracks) -> float:
    """LUFS of the band with its gain over time."""
    meter = LoudnessMeter(STEREO_RATE, 2)
    for _, _, parts, gain in tracks.blocks():
        meter.push(_sum(parts) * gain)
    return meter.integrated()


def _sum(tracks: Tensor, gains: Sequence[float] | None = None) -> Tensor:
    """The sum ``[2, t]`` of tracks ``[N, 2, t]``, in their order."""
    total = tracks.new_zeros(tracks.shape[1:])
    for index, track in enumerate(tracks):
        total += track if gains is None else gains[index] * track
    return total


def scaled_loudness(measured: Measured) -> float:
    """LUFS of a song at the working level."""
    return measured.loudness + 20.0 * math.log10(measured.scale)


def _band(cover: RecordingCover, plan: Plan, measured: Measured) -> Iterator[Tensor]:
    """Yields the parts ``[P, 2, t]``, each in the band's room."""
    assert plan.cover is not None
    total = measured.working_frames
    if not cover.parts:
        for start in range(0, total, STEREO_RATE):
            yield torch.zeros(0, 2, min(STEREO_RATE, total - start))
        return
    ensemble, room = Ensemble(STEREO_RATE, cover.sheet.tuning), plan.cover.band.room
    filters = [RoomFilter(room, STEREO_RATE) for _ in cover.parts]
    for sounds in ensemble.stem_blocks(cover.parts, total / STEREO_RATE):
        wet = [filter(sound) for filter, sound in zip(filters, sounds, strict=True)]
        yield torch.from_numpy(np.stack(wet))


def _beside(
    song: Source,
    measured: Measured,
    plan: Plan,
    band: Iterator[Tensor],
    workers: Workers,
    tracker: Tracker,
    separates: bool,
) -> Iterator[tuple[StemBlock | None, Tensor]]:
    """Yields the parts ``[P, 2, t]`` beside the song's separated and transferred stems."""
    if not separates:
        yield from ((None, parts) for parts in band)
        return
    key = stages.stems_key(song, plan, measured)
    mixes = stages.read(song, measured)
    dry = stages.separate(mixes, plan, measured, workers, tracker, key)
    queue = TimeQueue()
    for block in stages.transfer(dry, plan, measured, workers, tracker):
        length = block.dry.shape[-1]
        while queue.length < length:
            queue.push(next(band))
        if length:
            yield block, queue.take(length)


def stem_blocks(tracks: Tracks, measured: Measured) -> Iterator[StemBlock]:
    """Yields stems and parts at the song's level, without their gains: ``dry`` are the stems as
    separated and then the parts, ``wet`` the styled stems.
    """
    level = stages.restoring_gain(measured)
    for dry, wet, parts, gain in tracks.blocks():
        empty = dry.new_zeros(measured.channels, 0)
        yield StemBlock(empty, torch.cat([dry, parts * gain]) * level, wet * level)


def mix(tracks: Tracks, plan: Plan, measured: Measured) -> Iterator[MixBlock]:
    """Sums stems and parts with their gains, at the song's own rate and exact length."""
    assert plan.cover is not None
    resampler = StreamResampler(STEREO_RATE, measured.sample_rate, measured.channels)
    level = stages.restoring_gain(measured)
    gains = [10.0 ** (plan.cover.gains_db.get(name, 0.0) / 20.0) for name in tracks.parts]
    done, remaining = 0, measured.frames
    for dry, wet, parts, gain in tracks.blocks():
        styled = dict(zip(tracks.styled, wet, strict=True))
        total = _sum(parts, gains) * gain
        for (name, stem), sound in zip(tracks.kept.items(), dry, strict=True):
            total += stem.gain * styled.get(name, sound)
        total = to_channels(total * level, measured.channels)
        done += total.shape[-1]
        native = resampler.push(total, last=done == measured.working_frames)[:, :remaining]
        remaining -= native.shape[-1]
        yield MixBlock(native, True)
