"""MPEG audio and raw AAC (ADTS) files: what their frames tell."""

from __future__ import annotations

import mmap
from pathlib import Path

from audiotransfer.files import mpeg, tag_blocks
from audiotransfer.files.survey import Part, Survey
from audiotransfer.files.view import Piece


def survey(path: Path, data: mmap.mmap, start: int) -> Survey:
    """Count the frames of a file that is neither of a known container nor text.

    A survey without a name: no frames were found.
    """
    found = mpeg.scan(data, start)
    runs = [run for run in found.runs if run.frames]
    if not runs:
        return Survey(path, "")
    first = runs[0]
    kinds = {(run.first.sample_rate, run.first.channels) for run in runs}
    damage, notices = "", []
    if found.damaged > max(4096, len(data) // 1000) or (found.damaged and _split(runs)):
        damage = f"{found.damaged} bytes of it are no sound"
    if first.first.kind == "adts":
        tagged = 3 * (tag_blocks.end(data) < len(data))
        return Survey(path, "AAC (ADTS)", whole=False, damage=damage, demuxer="aac", spare=tagged)
    if len(runs) > 1:
        notices.append(
            f"{len(runs)} recordings are joined in it: one is played after the other"
            + (f", at {first.first.sample_rate} Hz" if len(kinds) > 1 else "")
        )
    announced = None
    if len(runs) == 1 and first.index and first.index.frames:
        announced = _sound(first, first.index.frames)
        if not damage and first.index.frames - first.frames <= 1:
            announced = None  # all is there
    layer = first.first.layer
    return Survey(
        path,
        "mp3" if layer == 3 else f"MPEG layer {layer}",
        tuple(_part(run) for run in runs),
        whole=not damage and len(runs) == 1 and not first.mixed,
        announced=announced,
        notices=tuple(notices),
        damage=damage,
        # FFmpeg takes a rate from anywhere in the file
        parts_first=len(kinds) > 1,
        demuxer="mp3",
        spare=len(runs) - 1,
    )


def _split(runs: list[mpeg.Run]) -> bool:
    return any(len(run.ranges) > 1 for run in runs)


def _sound(run: mpeg.Run, frames: int) -> int:
    index = run.index
    return frames * run.first.samples - (index.delay + index.padding if index else 0)


def _part(run: mpeg.Run) -> Part:
    pieces: list[Piece] = list(run.ranges)
    held = _sound(run, run.frames)
    index = run.index
    if run.first.layer == 3 and (index is None or not index.frames or index.frames < run.frames):
        # libsndfile would stop where the index, or a guess, says
        begin, end = run.ranges[0]
        pieces[0] = max(begin, run.sound), end
        pieces.insert(0, mpeg.index_frame(run))
        held = run.frames * run.first.samples
    return Part(tuple(pieces), held=max(0, held), lossy=True)
