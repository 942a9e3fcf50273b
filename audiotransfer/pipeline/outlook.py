"""Estimates of the time, memory and disk that songs are going to take, before work begins.

Time is measured on this machine: a few seconds of noise pass through the separator that ships, on
all cores. What else is done to a song is counted in multiples of that; the multiples are those of
two cores of an x86-64 server without a graphics card (``tests/benchmarks/job_cost.py``).
"""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch

import separation
from audiotransfer.audio.reading import AudioInfo, probe_audio
from audiotransfer.audio.resampling import STEREO_RATE
from audiotransfer.effects import NO_EFFECTS
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.style_match import EXCERPT_SECONDS, EXCERPTS
from audiotransfer.pipeline.workers import Workers, gather
from audiotransfer.timing import clock

if TYPE_CHECKING:
    from audiotransfer.pipeline.cut import Cut
    from audiotransfer.pipeline.options import TransferOptions
    from audiotransfer.pipeline.plan import Plan

LEAST_SECONDS = 30.0
"""Of music, below which no estimate is worth its own time."""
USUAL_SECONDS = 0.09
"""`separation_seconds` of the machine that multiples were measured on, with nothing else to do."""
_MEASURED_SECONDS, _WARM_SECONDS = 2.0, 0.25  # of noise for each core
_ROUNDS = 3  # of measuring, of which the median counts
_PROBED = 50  # songs whose length is read; more are taken to be as long on average
# In multiples of the embedded separator on one core, for the same length of sound.
_DEMUCS, _STEM, _EFFECTS = 19.0, 1.7, 0.6
_TRANSCRIPTION, _BAND = 1.4, 1.1  # of a cover; both run on one core
# Bytes: of the program with a short song, of a minute up to the fourth and of one beyond it.
_PROGRAM, _MINUTE, _LATER_MINUTE, _DEMUCS_MORE = 7.0e8, 7.5e7, 1.0e7, 1.2e9
_FLAC, _LOSSY_RATE = 0.65, 30_000  # share of the samples' size; bytes a second
_BYTES = {"int16": 2, "int24": 3, "float32": 4}
_STEM_BYTES = 2 * 4 * STEREO_RATE  # of a second of a stereo stem as floating-point numbers


@dataclass(frozen=True)
class Work:
    """What is done to each song: the separator, styled stems and those with effects, a cover."""

    separator: str = "embedded"
    styled: int = 0
    effects: int = 0
    cover: bool = False
    files: int = 0
    """Stems and parts that are written to files."""
    matched: int = 0
    """Styled stems of which excerpts are measured beforehand."""

    @classmethod
    def of(cls, plan: Plan, *, stems: bool = False) -> Work:
        """The work of a plan; ``stems``: its stems are written."""
        styled = list(plan.styled.values())
        files = 0
        if stems:
            kept = [one for one in plan.stems.values() if one.action in ("keep", "style")]
            files = len(kept) + len(styled) + (len(plan.cover.roles) if plan.cover else 0)
        return cls(
            plan.separator_name,
            len(styled),
            sum(stem.effects is not NO_EFFECTS for stem in styled),
            plan.cover is not None,
            files,
            sum(stem.matched for stem in styled),
        )

    def seconds(self, unit: float, cores: int, music: float = 1.0) -> float:
        """Of so many seconds of a song, where the embedded separator takes ``unit`` seconds for one
        of them on a core.
        """
        parallel = _DEMUCS if self.separator.startswith("demucs") else 1.0
        if self.separator == "none":
            parallel = 0.0
        parallel += _STEM * self.styled + _EFFECTS * self.effects
        alone = _TRANSCRIPTION + _BAND if self.cover else 0.0
        excerpts = min(music, EXCERPTS * EXCERPT_SECONDS) * _STEM * self.matched
        return unit * (music * (parallel / max(1, cores) + alone) + excerpts)


@dataclass(frozen=True)
class Outlook:
    """What songs are going to take: seconds of music and of work, and bytes.

    ``written`` is the size of the results, ``meanwhile`` what is on disk beside them until a song
    is done, ``cached`` what is kept of its stems for the next style.
    """

    songs: int
    music: float
    work: float
    memory: float
    written: float
    meanwhile: float
    cached: float

    def words(self, what: str) -> str:
        """One line; ``what`` names the songs and what becomes of them."""
        parts = [
            f"{what}: {clock(self.music)} of music, about {clock(math.ceil(self.work))} here",
            f"{size(self.memory)} of memory",
            f"{size(self.written)} of disk",
        ]
        if self.meanwhile:
            parts.append(f"{size(self.meanwhile)} more until it is done")
        if self.cached:
            parts.append(f"stems kept in the cache {size(self.cached)}")
        return ", ".join(parts)


def size(count: float) -> str:
    """Bytes in words."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


@cache
def separation_seconds(device: str = "cpu") -> float:
    """Seconds that the embedded separator takes for a second of sound on a core, while all work.

    Measured once in a process; the load that other programs put on the machine is in it.
    """
    separator = separation.create("embedded", device=device)
    generator = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.randn(2, round(_MEASURED_SECONDS * STEREO_RATE), generator=generator)
    count = cores(device)

    def separate(seconds: float) -> float:
        part = noise[:, : round(seconds * STEREO_RATE)]
        began = time.perf_counter()
        with Workers(count) as workers:
            gather([workers.start(separator, part) for _ in range(count)], lambda: None)
        return time.perf_counter() - began

    separate(_WARM_SECONDS)  # threads and memory are made ready
    return median(separate(_MEASURED_SECONDS) for _ in range(_ROUNDS)) / _MEASURED_SECONDS


def cores(device: str) -> int:
    """How many blocks of a song are worked on at a time."""
    return torch.get_num_threads() if device.startswith("cpu") else 1


def song_seconds(work: Work, device: str, music: float) -> float:
    """Seconds of work on a song of so many seconds, on this machine as it is now."""
    return work.seconds(separation_seconds(device), cores(device), music)


def outlook(
    songs: Sequence[Path],
    work: Work,
    options: TransferOptions,
    device: str,
    *,
    suffix: str = ".wav",
    jobs: int = 1,
) -> Outlook | None:
    """What songs are going to take; None where that is hardly worth telling, or none can be read.

    ``suffix`` is that of the results (empty: only stems are written), ``jobs`` the number of songs
    at a time.
    """
    infos = [info for song in songs[:_PROBED] if (info := _probed(song)) is not None]
    lengths = [_seconds(info, options.cut) for info in infos]
    if not infos or not (known := sum(lengths)):
        return None
    share = max(1.0, len(songs) / _PROBED)
    music = known * share
    if music < LEAST_SECONDS:
        return None
    written = sum(
        _result(info, seconds, options.encoding, suffix)
        for info, seconds in zip(infos, lengths, strict=True)
    )
    written += known * work.files * _stem_rate(options)
    longest = max(lengths)
    jobs = max(1, min(jobs, len(songs)))
    rate = max(info.sample_rate * min(2, info.channels) for info in infos)
    kept = options.cache and work.separator != "none"
    cached = _STEM_BYTES * 4
    limit = _cache_limit()
    separated = [cached * seconds for seconds in lengths if 2 * cached * seconds <= limit]
    return Outlook(
        len(songs),
        music,
        share * sum(song_seconds(work, device, seconds) for seconds in lengths),
        jobs * _memory(longest / 60, work),
        written * share,
        jobs * longest * 4 * rate if suffix else 0.0,
        min(sum(separated) * share, limit) if kept else 0.0,
    )


def lack(folder: Path, needed: float) -> str:
    """A warning where a folder's disk has less room than is needed; else empty."""
    place = Path(os.path.abspath(folder))
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        free = shutil.disk_usage(place).free
    except OSError:
        return ""
    if free >= needed:
        return ""
    return f"{size(needed)} may not fit into {folder}, where {size(free)} are free"


def _probed(song: Path) -> AudioInfo | None:
    try:
        return probe_audio(song)
    except AudioTransferError:  # is refused when its turn comes
        return None


def _seconds(info: AudioInfo, cut: Cut) -> float:
    try:
        start, stop = cut.samples(info.frames, info.sample_rate)
    except AudioTransferError:
        return 0.0
    return (stop - start) / info.sample_rate


def _result(info: AudioInfo, seconds: float, encoding: str, suffix: str) -> float:
    """Bytes of a song's file."""
    if not suffix:
        return 0.0
    if suffix in (".mp3", ".ogg"):
        return seconds * _LOSSY_RATE
    plain = seconds * info.sample_rate * min(2, info.channels) * _BYTES[encoding]
    return plain * (_FLAC if suffix == ".flac" else 1.0)


def _stem_rate(options: TransferOptions) -> float:
    """Bytes of a second of a stem's file."""
    wanted = options.stem_format
    if wanted.format in ("mp3", "ogg"):
        return _LOSSY_RATE
    plain = 2 * STEREO_RATE * _BYTES[wanted.samples]
    return plain * (_FLAC if wanted.format == "flac" else 1.0)


def _memory(minutes: float, work: Work) -> float:
    found = _PROGRAM + _MINUTE * min(minutes, 4.0) + _LATER_MINUTE * max(0.0, minutes - 4.0)
    return found + (_DEMUCS_MORE if work.separator.startswith("demucs") else 0.0)


def _cache_limit() -> int:
    from audiotransfer.pipeline.cache import LIMIT

    return LIMIT
