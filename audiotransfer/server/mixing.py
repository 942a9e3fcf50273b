"""The task that writes a mix of tracks as it is set on the page, at full quality."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from audiotransfer.audio.channels import to_channels
from audiotransfer.audio.reading import probe_audio
from audiotransfer.audio.resampling import STEREO_RATE, StreamResampler
from audiotransfer.audio.tags.reading import read_tags
from audiotransfer.audio.tags.tags import Tags
from audiotransfer.audio.writing import AudioWriter
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.blocks import MixBlock, TimeQueue
from audiotransfer.pipeline.cut import Cut
from audiotransfer.pipeline.finishing import MixFile, finish, level_for, write
from audiotransfer.pipeline.own_outputs import mark_tags
from audiotransfer.pipeline.reporting import Tracker
from audiotransfer.pipeline.sources import PIECE, FileSource, part_of
from audiotransfer.server.tracks import stereo_blocks

if TYPE_CHECKING:
    from audiotransfer.server.process import Reports

_LABEL = "mix"


def mix_tracks(task: dict[str, Any], reports: Reports) -> dict[str, Any]:
    """Writes the sum of a job's tracks with linear gains, at the rate, channels and length of what
    the job wrote, with the song's tags; a limiter keeps it below full scale.

    Raises AudioTransferError where nothing is left, or the format does not hold it.
    """
    song, made = Path(task["path"]), probe_audio(Path(task["mix"]))
    channels = min(2, made.channels)
    gains = {name: gain for name, gain in task["gains"].items() if gain}
    if not gains:
        raise AudioTransferError("every track is silent: leave one of them in")
    output = Path(task["output"])
    midi = task["midi"]
    with ExitStack() as stack:
        tags = Tags() if midi else read_tags(song)
        sink = stack.enter_context(
            AudioWriter(
                output,
                made.sample_rate,
                channels,
                encoding=task["encoding"],
                tags=mark_tags(tags, _LABEL),
                overwrite=True,
            )
        )
        mix = stack.enter_context(MixFile(output.parent, made.sample_rate, channels))
        original = None if midi else part_of(FileSource(song, task["name"]), Cut(**task["cut"]))
        readers = {
            name: stereo_blocks(
                original if name == "original" and original is not None else Path(path)
            )
            for name, path in task["files"].items()
            if name in gains
        }
        sums = _summed(readers, gains, reports)
        mix.fill(_native(sums, made.sample_rate, channels, made.frames))
        level = level_for(
            mix.true_peak,
            mix.true_peak,
            changed=True,
            encoding=task["encoding"],
            suffix=output.suffix,
        )
        tracker = Tracker(lambda _: reports.check())
        write(finish(mix, level.gain, None, level.ceiling, tracker), sink)
    return {"notices": [level.notice] if level.notice else []}


def _summed(
    readers: dict[str, Iterator[Tensor]], gains: dict[str, float], reports: Reports
) -> Iterator[Tensor]:
    """Yields the sum ``[2, t]`` of tracks with their gains; shorter ones end in silence."""
    queues = {name: TimeQueue() for name in readers}
    while True:
        reports.check()
        for name, queue in queues.items():
            while queue.length < PIECE and (block := next(readers[name], None)) is not None:
                queue.push(block)
        length = min(PIECE, max(queue.length for queue in queues.values()))
        if not length:
            return
        total = torch.zeros(2, length)
        for name, queue in queues.items():
            if queue.length:
                piece = queue.take(min(length, queue.length))
                total += gains[name] * functional.pad(piece, (0, length - piece.shape[-1]))
        yield total


def _native(blocks: Iterator[Tensor], rate: int, channels: int, frames: int) -> Iterator[MixBlock]:
    """The mix at a rate and channel count, of this many samples."""
    resampler = StreamResampler(STEREO_RATE, rate, channels)
    missing = frames
    for block in blocks:
        piece = resampler.push(to_channels(block, channels))[:, :missing]
        missing -= piece.shape[-1]
        yield MixBlock(piece, True)
    last = resampler.push(torch.zeros(channels, 0), last=True)[:, :missing]
    missing -= last.shape[-1]
    yield MixBlock(last, True)
    yield MixBlock(torch.zeros(channels, missing), True)
