"""Tracks for the page: segments of compressed sound that it plays one after the other, and peaks.

A page cannot hold the samples of all stems of a song (85 MB for each four minutes of one), nor play
several compressed files in time to the sample. So every track is cut into segments of two seconds
in FLAC, which decode to exactly the samples that were put in, and of which the page holds two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from scipy.signal import sosfilt
from torch import Tensor

from audiotransfer.audio.channels import to_stereo
from audiotransfer.audio.loudness import k_weighting
from audiotransfer.audio.reading import open_audio, read_audio
from audiotransfer.audio.resampling import STEREO_RATE, StreamResampler
from audiotransfer.audio.writing import write_audio
from audiotransfer.pipeline.blocks import TimeQueue
from audiotransfer.pipeline.sources import PIECE, Source
from audiotransfer.server.jobs import track_folder

#: Samples of a segment at 44.1 kHz.
SEGMENT = 2 * STEREO_RATE
#: Peaks for each second of a waveform, and hops of the loudness matrix.
PEAKS = 50
HOPS = 10
_PEAK_LENGTH, _HOP_LENGTH = STEREO_RATE // PEAKS, STEREO_RATE // HOPS
_LEVELS = 127


def stereo_blocks(source: Source | Path) -> Iterator[Tensor]:
    """Yields a song, or a file, ``[2, t]`` at 44.1 kHz."""
    if isinstance(source, Path):
        with open_audio(source) as reader:
            yield from _as_stereo(reader.blocks(PIECE), reader.sample_rate, reader.channels)
    else:
        yield from _as_stereo(source.blocks(PIECE), source.sample_rate, source.channels)


def _as_stereo(blocks: Iterable[Tensor], rate: int, channels: int) -> Iterator[Tensor]:
    resampler = StreamResampler(rate, STEREO_RATE, 2)
    for block in blocks:
        yield resampler.push(to_stereo(block))
    yield resampler.push(torch.zeros(2, 0), last=True)


class TrackWriter:
    """Writes the segments ``0.flac``, ``1.flac`` … of a track into a new folder, as it grows.

    A segment that is above full scale is divided by its peak, by which the page multiplies it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._queue, self._peaks_queue = TimeQueue(), TimeQueue()
        self.segments = 0
        """How many there are."""
        self.gains: dict[str, float] = {}
        """Segment -> what it is to be multiplied by, where that is not 1."""
        self.peaks: list[int] = []
        """Of each 20 ms the highest magnitude, 127 at full scale."""
        self.frames = 0
        """Samples that were pushed."""

    def push(self, audio: Tensor) -> None:
        """Takes the next piece ``[2, t]`` at 44.1 kHz."""
        self.frames += audio.shape[-1]
        self._queue.push(audio)
        self._peaks_queue.push(audio)
        whole = self._peaks_queue.length // _PEAK_LENGTH * _PEAK_LENGTH
        if whole:
            self.peaks += shown(_peaks(self._peaks_queue.take(whole)))
        while self._queue.length >= SEGMENT:
            self._write(self._queue.take(SEGMENT))

    def finish(self) -> None:
        """Writes the last segment."""
        if left := self._peaks_queue.length:
            self.peaks += shown(self._peaks_queue.take(left).abs().amax().reshape(1).numpy())
        if self._queue.length or not self.segments:
            left = self._queue.length
            self._write(self._queue.take(left) if left else torch.zeros(2, 1))

    def _write(self, audio: Tensor) -> None:
        gain = float(audio.abs().max())
        if gain > 1.0:
            self.gains[str(self.segments)] = gain
            audio = audio / gain
        write_audio(self._folder / f"{self.segments}.flac", audio, STEREO_RATE)
        self.segments += 1


def peaks_of(blocks: Iterable[Tensor], check: Callable[[], None]) -> tuple[np.ndarray, int]:
    """The highest magnitude of each 20 ms of a track ``[2, t]``, and its number of samples."""
    peaks: list[np.ndarray] = []
    queue, frames = TimeQueue(), 0
    for block in blocks:
        check()
        frames += block.shape[-1]
        queue.push(block)
        whole = queue.length // _PEAK_LENGTH * _PEAK_LENGTH
        if whole:
            peaks.append(_peaks(queue.take(whole)))
    if queue.length:
        peaks.append(queue.take(queue.length).abs().amax().reshape(1).numpy())
    return np.concatenate([np.zeros(0), *peaks]), frames


def shown(peaks: np.ndarray) -> list[int]:
    """Peaks as whole numbers, 127 at full scale and above."""
    values: list[int] = np.clip(np.rint(peaks * _LEVELS), 0, _LEVELS).astype(int).tolist()
    return values


def _peaks(audio: Tensor) -> np.ndarray:
    values: np.ndarray = audio.abs().amax(0).reshape(-1, _PEAK_LENGTH).amax(1).numpy()
    return values


def power_matrices(
    tracks: Mapping[str, Callable[[], Iterator[Tensor]]], check: Callable[[], None]
) -> np.ndarray:
    """K-weighted powers of tracks and of all pairs of them, each 0.1 s: ``[H, N, N]``, float32.

    The power of a mix with the gains ``g`` is ``g @ matrix @ g``, from which its loudness follows
    without its samples (ITU-R BS.1770-5).
    """
    sections = k_weighting(STEREO_RATE)
    states = [np.zeros((len(sections), 2, 2)) for _ in tracks]
    readers = [blocks() for blocks in tracks.values()]
    queues = [TimeQueue() for _ in tracks]
    found: list[np.ndarray] = []
    while True:
        check()
        for queue, reader in zip(queues, readers, strict=True):
            while queue.length < PIECE and (block := next(reader, None)) is not None:
                queue.push(block)
        length = min(queue.length for queue in queues) // _HOP_LENGTH * _HOP_LENGTH
        if not length:
            break
        weighted = []
        for index, queue in enumerate(queues):
            audio = queue.take(length).double().numpy()
            filtered, states[index] = sosfilt(sections, audio, zi=states[index])
            weighted.append(filtered.reshape(2, -1, _HOP_LENGTH).transpose(1, 0, 2))
        hops = np.stack(weighted, 1).reshape(length // _HOP_LENGTH, len(weighted), -1)
        found.append((hops @ hops.transpose(0, 2, 1) / _HOP_LENGTH).astype(np.float32))
    return np.concatenate([np.zeros((0, len(tracks), len(tracks)), np.float32), *found])


def joined(folder: Path, name: str) -> tuple[Tensor, int]:
    """The mean of a whole track's channels ``[1, T]`` from its segments, and its rate in Hz."""
    place = track_folder(folder, name)
    count = len(list(place.glob("*.flac")))
    pieces = [
        read_audio(place / f"{number}.flac")[0].mean(0, keepdim=True) for number in range(count)
    ]
    return torch.cat(pieces, -1), STEREO_RATE
