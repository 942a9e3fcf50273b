"""The sound of a cover's band, part by part; parts that were played before come from the cache.

A musician who corrects a chord has the band play again: the parts whose notes did not change, such
as the drums, sound as they did.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from audiotransfer import __version__
from audiotransfer.audio.resampling import STEREO_RATE
from audiotransfer.pipeline.blocks import TimeQueue
from audiotransfer.pipeline.cache import Cache, key_of
from audiotransfer.synthesis.ensemble import BLOCK_SECONDS, Ensemble
from audiotransfer.synthesis.room import RoomFilter

if TYPE_CHECKING:
    from audiotransfer.synthesis.ensemble import EnsemblePart
    from audiotransfer.synthesis.room import Room

_BLOCK = round(BLOCK_SECONDS * STEREO_RATE)
_BYTES = 8  # of a stereo sample


def part_blocks(
    parts: Sequence[EnsemblePart],
    tuning: float,
    room: Room,
    frames: int,
    cache: Cache | None = None,
) -> Iterator[Tensor]:
    """Yields the parts ``[P, 2, t]`` at 44.1 kHz, each in the room, ``frames`` samples in all.

    With a ``cache``, parts are taken from it and kept in it; the samples are the same.
    """
    keys = {part.name: _key(part, parts, tuning, room, frames) for part in parts}
    kept: dict[str, Iterator[Tensor]] = {}
    for name, key in keys.items():
        found = None if cache is None else cache.tracks(key, 2, frames)
        if found is not None:
            kept[name] = found
    queues = {name: TimeQueue() for name in kept}
    new = [part.name for part in parts if part.name not in kept]
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(cache.writer(keys[name], _BYTES * frames))
            for name in new
            if cache is not None
        }
        for sounds in _played(parts, tuning, room, frames, new):
            length = _length(sounds, frames)
            for name, writer in writers.items():
                writer.add(sounds[name])
            for name, queue in queues.items():
                while queue.length < length and (piece := next(kept[name], None)) is not None:
                    queue.push(piece)
                sounds[name] = queue.take(length)
            frames -= length
            yield torch.stack([sounds[part.name] for part in parts])
        for writer in writers.values():
            writer.commit()


def _played(
    parts: Sequence[EnsemblePart], tuning: float, room: Room, frames: int, names: Sequence[str]
) -> Iterator[dict[str, Tensor]]:
    """Yields blocks of the parts of these names; empty ones where there is none."""
    if not names:
        for _ in range(0, frames, _BLOCK):
            yield {}
        return
    ensemble = Ensemble(STEREO_RATE, tuning)
    filters = {name: RoomFilter(room, STEREO_RATE) for name in names}
    for sounds in ensemble.stem_blocks(parts, frames / STEREO_RATE, only=names):
        yield {
            name: torch.from_numpy(filters[name](sound))
            for name, sound in zip(names, sounds, strict=True)
        }


def _length(sounds: dict[str, Tensor], frames: int) -> int:
    """Samples of a block, of which the last one has the ``frames`` that are left."""
    if sounds:
        return int(next(iter(sounds.values())).shape[-1])
    return min(_BLOCK, frames)


def _key(
    part: EnsemblePart, parts: Sequence[EnsemblePart], tuning: float, room: Room, frames: int
) -> str:
    """The name of a part's sound in the cache: all that it is made from.

    Blocks of the ensemble begin where the effects of all parts allow it.
    """
    kick = next((one for one in parts if one.name == part.ducked_by), None)
    made_from = [_facts(one) for one in (part, kick) if one is not None]
    effects = [list(map(dict, one.effects)) for one in parts]
    return key_of("part", __version__, made_from, effects, tuning, room, frames)


def _facts(part: EnsemblePart) -> list[object]:
    arrays = [np.asarray(one, np.float64).tobytes().hex() for one in (part.notes, part.pedal)]
    effects = list(map(dict, part.effects))
    return [part.instrument, part.level_db, part.pan, effects, *arrays]
