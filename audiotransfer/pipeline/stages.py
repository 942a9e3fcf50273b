"""The stages of a song's path, each a generator of blocks: read, separate, transfer, restore, mix.

The mix is the song plus the *difference* that the plan makes. Therefore a song that the plan does
not change is returned to the bit, at any sample rate, with frequencies above the 22 kHz of
separators and styles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from audiotransfer import __version__
from audiotransfer.audio.channels import to_channels, to_stereo
from audiotransfer.audio.loudness import LoudnessMeter
from audiotransfer.audio.resampling import STEREO_RATE, StreamResampler
from audiotransfer.pipeline.blocks import (
    BLOCK,
    LARGE_BLOCK,
    MixBlock,
    NativeQueue,
    SongBlock,
    StemBlock,
    TimeQueue,
    block_for,
    generator_for,
    in_blocks,
)
from audiotransfer.pipeline.cache import Cache, key_of
from audiotransfer.pipeline.finishing import Spool
from audiotransfer.pipeline.measuring import Measured, downmix
from audiotransfer.pipeline.plan import Plan
from audiotransfer.pipeline.reporting import Tracker
from audiotransfer.pipeline.sources import PIECE, Source
from audiotransfer.pipeline.workers import Workers, gather

_ROUNDING = 1e-5  # of the song's peak: what cross-fading a stem with itself may cost


def play(
    source: Source,
    measured: Measured,
    plan: Plan,
    workers: Workers,
    tracker: Tracker,
    meter: LoudnessMeter | None = None,
    file: Spool | None = None,
) -> Iterator[StemBlock]:
    """Runs the first four stages: yields a song's stems, dry and wet, at the song's level.

    The meter measures the song at the working level. The stems come from ``file`` where they are
    separated already.
    """
    tracker.begin("transfer", measured.working_frames * (1 + len(plan.styled)))
    song = read(source, measured, meter)
    dry = separate(song, plan, measured, workers, tracker, stems_key(source, plan, measured), file)
    wet = transfer(dry, plan, measured, workers, tracker)
    yield from restore(wet, measured)


def read(
    source: Source, measured: Measured, meter: LoudnessMeter | None = None
) -> Iterator[SongBlock]:
    """Reads the song, and brings it to 44.1 kHz stereo and the working level.

    Of a stereo song with a silent side the mix is the other side as mono, since separators and
    styles were trained on songs with two sides.
    """
    resampler = StreamResampler(measured.sample_rate, STEREO_RATE, 2)
    frames = 0
    for piece in source.blocks(PIECE):
        native = downmix(piece, source.layout)
        frames += native.shape[-1]
        scaled = native * measured.scale
        if meter is not None:
            meter.push(scaled)
        if measured.one_sided:
            scaled = scaled[measured.active_channels]
        mix = resampler.push(to_stereo(scaled), last=frames == measured.frames)
        yield SongBlock(native, mix)


def separate(
    blocks: Iterator[SongBlock],
    plan: Plan,
    measured: Measured,
    workers: Workers,
    tracker: Tracker,
    key: str = "",
    file: Spool | None = None,
) -> Iterator[StemBlock]:
    """Separates the song into dry stems; there are no wet ones yet.

    ``key`` names them in the plan's cache, from which they come where it has them. A ``file`` gets
    them while it is empty, and is where they come from once it holds the whole song.
    """
    separator = plan.separator
    large = getattr(separator, "large", False)
    native = NativeQueue(measured.sample_rate, measured.frames)

    def mixes() -> Iterator[Tensor]:
        for block in blocks:
            native.push(block.native)
            yield block.mix

    def process(number: int, window: Tensor) -> Tensor:
        # The same numbers for every block: segments are shifted as they would be in the whole song.
        generator = generator_for(plan.seed, "separator")
        with workers.every_core() if large else nullcontext():
            stems = separator(window, generator)
        return torch.stack([stems[name] for name in plan.stems])

    separated = in_blocks(
        mixes(),
        measured.working_frames,
        process,
        context=separator.context,
        grid=separator.grid,
        block=plan.block or block_for(separator.grid, LARGE_BLOCK if large else BLOCK),
        # A separator that takes all cores leaves none for the block after it.
        ahead=None if large else workers,
    )
    pieces: Iterator[Tensor] = separated
    if file is not None and file.frames:
        pieces = _stored(file.blocks(), len(plan.stems), mixes())
    elif file is not None:
        pieces = _written(separated, file)
    elif plan.cache is not None and key:
        pieces = _through_cache(separated, plan.cache, key, len(plan.stems), measured, mixes())
    for dry in pieces:
        tracker.advance(dry.shape[-1])
        yield StemBlock(native.take_for(dry.shape[-1]), dry, dry.new_zeros(0, *dry.shape[1:]))


def stem_file(key: str, plan: Plan, measured: Measured, folder: Path | None) -> Spool | None:
    """A file for the stems of a song that is separated more than once.

    None where the plan's cache keeps them under a ``key``.
    """
    tracks = 2 * len(plan.stems)
    size = 4 * tracks * measured.working_frames
    if key and plan.cache is not None and plan.cache.keeps(size):
        return None
    return Spool(folder, tracks)


def stems_key(source: Source, plan: Plan, measured: Measured) -> str:
    """The name of a song's stems in the cache; empty where they are not kept.

    Kept are those of separators whose network has an ``identity``, which are the same for every
    seed.
    """
    identity = getattr(plan.separator, "identity", "")
    if plan.cache is None or not identity:
        return ""
    try:
        digest = source.digest
    except OSError:
        return ""
    made_by = (plan.separator_name, identity, plan.device, plan.block)
    return key_of("stems", __version__, digest, *made_by, *plan.stems, measured.scale)


def _through_cache(
    separated: Iterator[Tensor],
    cache: Cache,
    key: str,
    stems: int,
    measured: Measured,
    mixes: Iterator[Tensor],
) -> Iterator[Tensor]:
    """Yields stems ``[S, 2, t]`` from the cache, or as they are separated, which are then kept.

    ``mixes`` reads the song, which the separator does otherwise.
    """
    kept = cache.tracks(key, 2 * stems, measured.working_frames)
    if kept is None:
        left = measured.working_frames
        with cache.writer(key, 8 * stems * left) as writer:
            for dry in separated:
                writer.add(dry.flatten(0, 1))
                left -= dry.shape[-1]
                if not left:  # before the last block: nobody asks for one behind it
                    writer.commit()
                yield dry
        return
    yield from _stored(kept, stems, mixes)


def _written(separated: Iterator[Tensor], file: Spool) -> Iterator[Tensor]:
    for dry in separated:
        file.write(dry.flatten(0, 1))
        yield dry


def _stored(kept: Iterator[Tensor], stems: int, mixes: Iterator[Tensor]) -> Iterator[Tensor]:
    """Stems ``[S, 2, t]`` from stored tracks ``[2 S, t]``, while ``mixes`` reads the song."""
    read = 0
    for piece in kept:
        while read < piece.shape[-1]:
            read += next(mixes).shape[-1]
        read -= piece.shape[-1]
        yield piece.unflatten(0, (stems, 2))


def transfer(
    blocks: Iterator[StemBlock],
    plan: Plan,
    measured: Measured,
    workers: Workers,
    tracker: Tracker,
) -> Iterator[StemBlock]:
    """Adds the wet stems: the transferred ones, after their style's effects."""
    styled, names = plan.styled, list(plan.stems)
    if not styled:
        yield from blocks
        return
    native, dry = NativeQueue(measured.sample_rate, measured.frames), TimeQueue()

    def stems() -> Iterator[Tensor]:
        for block in blocks:
            native.push(block.native)
            dry.push(block.dry)
            yield block.dry

    def process(number: int, window: Tensor) -> Tensor:
        shares = dict.fromkeys(styled, 0.0)
        drums = window[names.index("drums")] if "drums" in names else None
        tasks = []

        def tick() -> None:
            tracker.part(sum(shares.values()) * window.shape[-1])

        for name, stem in styled.items():
            tick()
            tasks.append(
                workers.start(
                    stem.play,
                    window[names.index(name)],
                    drums,
                    generator_for(plan.seed, number, name),
                    partial(shares.__setitem__, name),
                )
            )
        return torch.stack(gather(tasks, tick))

    grid = math.lcm(*(stem.grid for stem in styled.values()))
    pieces = in_blocks(
        stems(),
        measured.working_frames,
        process,
        context=max(stem.context for stem in styled.values()),
        grid=grid,
        block=plan.block or block_for(grid, BLOCK),
    )
    for wet in pieces:
        tracker.advance(wet.shape[-1] * len(styled))
        yield StemBlock(native.take_for(wet.shape[-1]), dry.take(wet.shape[-1]), wet)


def restore(blocks: Iterator[StemBlock], measured: Measured) -> Iterator[StemBlock]:
    """Brings the stems from the working level to the song's, and silences its silent side."""
    gain = restoring_gain(measured)
    for block in blocks:
        yield StemBlock(block.native, block.dry * gain, block.wet * gain)


def restoring_gain(measured: Measured) -> Tensor:
    """The gain ``[2, 1]`` from the working level to the song's; 0 on its silent side."""
    gain = torch.full((2, 1), 1.0 / measured.scale)
    if measured.one_sided:
        gain[1 - measured.active_channels[0]] = 0.0
    return gain


def mix(blocks: Iterator[StemBlock], plan: Plan, measured: Measured) -> Iterator[MixBlock]:
    """Adds the plan's changes to the song, at the song's own rate and exact length."""
    resampler = StreamResampler(STEREO_RATE, measured.sample_rate, measured.channels)
    native, differences = TimeQueue(), TimeQueue()
    done, remaining, changed = 0, measured.frames, False
    for block in blocks:
        native.push(block.native)
        difference = _difference(plan, block)
        audible = difference.abs().amax() > _ROUNDING * measured.true_peak
        changed = changed or bool(audible)
        done += difference.shape[-1]
        difference = to_channels(difference, measured.channels)
        differences.push(resampler.push(difference, last=done == measured.working_frames))
        ready = min(differences.length, native.length, remaining)
        remaining -= ready
        yield MixBlock(native.take(ready) + differences.take(ready), changed)


def _difference(plan: Plan, block: StemBlock) -> Tensor:
    """Sum of gain · wet - dry over stems, ``[2, t]``; exactly 0 where nothing is changed."""
    total = block.dry.new_zeros(block.dry.shape[1:])
    wet = dict(zip(plan.styled, block.wet, strict=True))
    for (name, stem), before in zip(plan.stems.items(), block.dry, strict=True):
        after = wet.get(name, before)
        if stem.gain != 1.0 or after is not before:
            total += stem.gain * after - before
    return total
