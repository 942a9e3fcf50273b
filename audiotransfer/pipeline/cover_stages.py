"""The stages of a cover's path: stems that are kept and the band side by side, then their mix.

The first pass renders the band, separates the song where a stem of it is kept, and measures both;
its tracks wait on disk. The second pass brings the band to the sound of what it replaces (see
`matching`), and mixes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiotransfer.audio.channels import to_channels
from audiotransfer.audio.resampling import STEREO_RATE, StreamResampler
from audiotransfer.audio.sound_profile import SoundMeter
from audiotransfer.pipeline import kept_voice, stages
from audiotransfer.pipeline.blocks import (
    BLOCK,
    MixBlock,
    NativeQueue,
    StemBlock,
    TimeQueue,
    block_for,
    in_blocks,
    window_start,
)
from audiotransfer.pipeline.cover_options import COVER
from audiotransfer.pipeline.cover_plan import VOCALS, part_name, stems_of
from audiotransfer.pipeline.finishing import Spool
from audiotransfer.pipeline.kept_voice import KeptVoice
from audiotransfer.pipeline.matching import (
    CONTEXT,
    NO_MATCH,
    SoundMatch,
    match_sound,
    matched_room,
    part_gains,
)
from audiotransfer.pipeline.part_sounds import part_blocks

if TYPE_CHECKING:
    from audiotransfer.audio.sound_profile import SoundProfile
    from audiotransfer.pipeline.cache import Cache
    from audiotransfer.pipeline.cover_plan import CoverPlan
    from audiotransfer.pipeline.measuring import Measured
    from audiotransfer.pipeline.plan import Plan, StemPlan
    from audiotransfer.pipeline.recording_cover import RecordingCover
    from audiotransfer.pipeline.recording_sheet import Examined
    from audiotransfer.pipeline.reporting import Tracker
    from audiotransfer.pipeline.sources import Source
    from audiotransfer.pipeline.workers import Workers
    from audiotransfer.synthesis.room import Room

BAND = "band"


@dataclass(frozen=True)
class Tracks:
    """The tracks of a cover at the working level, on disk.

    The file holds, two channels each, the stems of ``kept`` as separated, those of ``styled``, and
    the band's ``parts``; or else, where they are not needed one by one, their sums by the stems
    that they replace. ``balance`` are the gains of these tracks, ``match`` is what the whole band
    needs to sound like what it replaces. ``groups`` are the indices of parts that are summed first,
    so that a mix has the same samples whether its parts are kept one by one or not.
    """

    file: Spool
    frames: int
    kept: dict[str, StemPlan]
    styled: list[str]
    parts: tuple[str, ...]
    balance: tuple[float, ...] = ()
    match: SoundMatch = NO_MATCH
    groups: tuple[tuple[int, ...], ...] = ()

    def blocks(self, *, grouped: bool = False) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yields stems ``[K, 2, t]`` as separated, styled ones ``[L, 2, t]``, parts ``[P, 2, t]``,
        balanced and matched; or in place of parts the sums of their groups ``[G, 2, t]``.
        """
        groups = self.groups if grouped else tuple((one,) for one in range(len(self.parts)))
        sizes = [len(self.kept), len(self.styled), len(groups)]
        others = sum(sizes[:2])

        def process(number: int, window: Tensor) -> Tensor:
            start = window_start(number, BLOCK, CONTEXT, 1)
            tracks: Tensor = window.unflatten(0, (-1, 2)).clone()
            parts = tracks[others:]
            if grouped:
                parts = torch.stack([_sum(parts[list(one)]) for one in groups])
                tracks = torch.cat([tracks[:others], parts])
            for group, part in zip(groups, tracks[others:], strict=True):
                part.copy_(self.match(self.balance[group[0]] * part, start))
            return tracks

        pieces = in_blocks(self.file.blocks(), self.frames, process, context=CONTEXT)
        for tracks in pieces:
            dry, wet, parts = tracks.split(sizes)
            yield dry, wet, parts


def record(
    song: Source,
    measured: Measured,
    plan: Plan,
    cover: RecordingCover,
    examined: Examined,
    workers: Workers,
    tracker: Tracker,
    folder: Path | None,
    stack: ExitStack,
    *,
    separately: bool,
    separated: Spool | None = None,
) -> Tracks:
    """The first pass: renders the band, separates what is kept of the song, and measures both.

    The file lives as long as the stack; it holds the parts ``separately`` where they are written or
    have gains. The song's stems come from ``separated`` where it holds them.
    """
    assert plan.cover is not None
    kept = kept_stems(plan, cover)
    changes = list(plan.styled)
    styled = [name for name in kept if name in changes]
    work = 1 + (1 + len(changes) if kept else 0)
    tracker.begin("arrange", measured.working_frames * work)
    stems = {part.name: _stem_of(part.name, plan.cover) for part in cover.parts}
    # The track that each part is in.
    of = {part: part if separately else stem if kept else BAND for part, stem in stems.items()}
    stem_of = {of[part]: stem for part, stem in stems.items()}
    names = tuple(stem_of)
    # Gains are found by stems in any case, so that the mix is the same with parts and without.
    groups = {
        stem: [at for at, one in enumerate(stems.values()) if one == stem]
        for stem in stems.values()
    }
    file = stack.enter_context(Spool(folder, 2 * (len(kept) + len(styled) + len(names))))
    members = [[place for place, part in enumerate(stems) if of[part] == name] for name in names]
    order = list(plan.stems)
    places = [order.index(name) for name in kept]
    replaced = {name: SoundMeter() for name, one in plan.stems.items() if one.action == COVER}
    source, own = SoundMeter(), {stem: SoundMeter() for stem in groups} if kept else {}
    room = matched_room(plan.cover.band.room, examined.room)
    band = _band(cover, room, measured, plan.cache if plan.keep_parts else None)
    for block, parts in _beside(
        song, measured, plan, cover, band, workers, tracker, separated, separates=bool(kept)
    ):
        tracker.advance(parts.shape[-1])
        tracks = torch.stack([_sum(parts[member]) for member in members]) if names else parts
        for stem, meter in own.items():
            meter.push(_sum(parts[groups[stem]]))
        pieces = [tracks]
        if block is not None:
            for name, meter in replaced.items():
                meter.push(block.dry[order.index(name)])
            source.push(_sum(block.dry[[order.index(name) for name in replaced]]))
            pieces = [block.dry[places], block.wet[[changes.index(one) for one in styled]], tracks]
        file.write(torch.cat(pieces).flatten(0, 1))
    profiles = {stem: meter.profile() for stem, meter in own.items()}
    theirs = {stem: meter.profile() for stem, meter in replaced.items()} if kept else {}
    gains = part_gains(theirs, profiles, {stem: stem for stem in own})
    balance = tuple(10.0 ** (gains.get(stem, 0.0) / 20.0) for stem in stem_of.values())
    # The tracks that parts would be in if they were not kept one by one.
    mixed = {part: stem if kept else BAND for part, stem in stems.items()}
    summed: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        summed.setdefault(mixed.get(name, name), []).append(at)
    cover_tracks = Tracks(
        file,
        measured.working_frames,
        kept,
        styled,
        names,
        balance,
        groups=tuple(map(tuple, summed.values())),
    )
    sound = source.profile() if kept else examined.sound.scaled(measured.scale)
    match = match_sound(sound, _profile(cover_tracks), cover.sheet.time_at(cover.sheet.bar_lines))
    return replace(cover_tracks, match=match)


def _stem_of(part: str, cover: CoverPlan) -> str:
    """The stem of the song that a part of the band stands for first."""
    return next(stems_of(role)[0] for role in cover.roles if part_name(role.name) == part)


def _profile(tracks: Tracks) -> SoundProfile:
    """The profile of the balanced band, without its match."""
    meter = SoundMeter()
    for _, _, parts in tracks.blocks(grouped=bool(tracks.groups)):
        meter.push(_sum(parts))
    return meter.profile()


def kept_stems(plan: Plan, cover: RecordingCover) -> dict[str, StemPlan]:
    """The stems of the song that are in the cover; vocals only where somebody sings."""
    return {
        name: stem
        for name, stem in plan.stems.items()
        if stem.action in ("keep", "style") and (name != "vocals" or cover.voice)
    }


def _sum(tracks: Tensor, gains: Sequence[float] | None = None) -> Tensor:
    """The sum ``[2, t]`` of tracks ``[N, 2, t]``, in their order."""
    total = tracks.new_zeros(tracks.shape[1:])
    for index, track in enumerate(tracks):
        total += track if gains is None else gains[index] * track
    return total


def scaled_loudness(measured: Measured) -> float:
    """LUFS of a song at the working level."""
    return measured.loudness + 20.0 * math.log10(measured.scale)


def _band(
    cover: RecordingCover, room: Room, measured: Measured, cache: Cache | None
) -> Iterator[Tensor]:
    """Yields the parts ``[P, 2, t]``, each in the room."""
    total = measured.working_frames
    if not cover.parts:
        for start in range(0, total, STEREO_RATE):
            yield torch.zeros(0, 2, min(STEREO_RATE, total - start))
        return
    yield from part_blocks(cover.parts, cover.sheet.tuning, room, total, cache)


def _beside(
    song: Source,
    measured: Measured,
    plan: Plan,
    cover: RecordingCover,
    band: Iterator[Tensor],
    workers: Workers,
    tracker: Tracker,
    separated: Spool | None,
    *,
    separates: bool,
) -> Iterator[tuple[StemBlock | None, Tensor]]:
    """Yields the parts ``[P, 2, t]`` beside the song's separated and transferred stems."""
    if not separates:
        yield from ((None, parts) for parts in band)
        return
    key = stages.stems_key(song, plan, measured)
    mixes = stages.read(song, measured)
    dry = stages.separate(mixes, plan, measured, workers, tracker, key, separated)
    if cover.voice and cover.sheet.sung:
        dry = _with_kept_voice(dry, plan, cover, measured, workers)
    queue = TimeQueue()
    for block in stages.transfer(dry, plan, measured, workers, tracker):
        length = block.dry.shape[-1]
        while queue.length < length:
            queue.push(next(band))
        if length:
            yield block, queue.take(length)


def _with_kept_voice(
    blocks: Iterator[StemBlock],
    plan: Plan,
    cover: RecordingCover,
    measured: Measured,
    workers: Workers,
) -> Iterator[StemBlock]:
    """Stems whose vocals are the singer's alone (see `KeptVoice`)."""
    native = NativeQueue(measured.sample_rate, measured.frames)
    voice, vocals = KeptVoice(cover.sheet), list(plan.stems).index(VOCALS)
    block = block_for(kept_voice.GRID, plan.block or BLOCK)

    def stems() -> Iterator[Tensor]:
        for one in blocks:
            native.push(one.native)
            yield one.dry

    def process(number: int, window: Tensor) -> Tensor:
        start = window_start(number, block, kept_voice.CONTEXT, kept_voice.GRID)
        stems = window.clone()
        stems[vocals] = voice(window[vocals], _sum(window), start)
        return stems

    for dry in in_blocks(
        stems(),
        measured.working_frames,
        process,
        context=kept_voice.CONTEXT,
        grid=kept_voice.GRID,
        block=block,
        ahead=workers,
    ):
        yield StemBlock(native.take_for(dry.shape[-1]), dry, dry.new_zeros(0, *dry.shape[1:]))


def stem_blocks(tracks: Tracks, measured: Measured) -> Iterator[StemBlock]:
    """Yields stems and parts at the song's level, without their gains: ``dry`` are the stems as
    separated and then the parts, ``wet`` the styled stems.
    """
    level = stages.restoring_gain(measured)
    for dry, wet, parts in tracks.blocks():
        empty = dry.new_zeros(measured.channels, 0)
        yield StemBlock(empty, torch.cat([dry, parts]) * level, wet * level)


def mix(tracks: Tracks, plan: Plan, measured: Measured) -> Iterator[MixBlock]:
    """Sums stems and parts with their gains, at the song's own rate and exact length."""
    assert plan.cover is not None
    resampler = StreamResampler(STEREO_RATE, measured.sample_rate, measured.channels)
    level = stages.restoring_gain(measured)
    gains = [10.0 ** (plan.cover.gains_db.get(name, 0.0) / 20.0) for name in tracks.parts]
    grouped = bool(tracks.groups) and not any(plan.cover.gains_db.values())
    gains = [1.0] * len(tracks.groups) if grouped else gains
    done, remaining = 0, measured.frames
    for dry, wet, parts in tracks.blocks(grouped=grouped):
        styled = dict(zip(tracks.styled, wet, strict=True))
        total = _sum(parts, gains)
        for (name, stem), sound in zip(tracks.kept.items(), dry, strict=True):
            total += stem.gain * styled.get(name, sound)
        total = to_channels(total * level, measured.channels)
        done += total.shape[-1]
        native = resampler.push(total, last=done == measured.working_frames)[:, :remaining]
        remaining -= native.shape[-1]
        yield MixBlock(native, True)
