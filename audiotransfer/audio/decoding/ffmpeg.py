"""Decoding by FFmpeg: the first audio stream of a file at a constant rate and channel count."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from audiotransfer.audio.channels import Layout
from audiotransfer.audio.decoding.ffmpeg_decoders import (
    Decoder,
    LibraryDecoder,
    ProgramDecoder,
    Stretch,
    load_av,
)
from audiotransfer.audio.decoding.source import Resampling, Undecodable, matched_channels, resampler
from audiotransfer.audio.formats.survey import Survey


def available() -> str | None:
    """FFmpeg's decoders here: "PyAV 18.1", the program's path, or None."""
    av = load_av()
    return f"PyAV {av.__version__}" if av is not None else shutil.which("ffmpeg")


class FfmpegSource:
    """The first audio stream of a file, at the rate and in the channels of its first frame."""

    subtype = "FFMPEG"

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._decoder = _decoder(survey)
        first = next(self._restarted(), None)
        if first is None:
            self.close()
            raise Undecodable(self._decoder.reason)
        self._buffer, self.sample_rate, self.layout = first
        self.channels = self._buffer.shape[1]
        self._form = self.sample_rate, self.channels
        self.frames = self._last

    @property
    def faults(self) -> int:
        """Number of stretches that could not be decoded so far."""
        return max(0, self._decoder.faults - self._survey.spare)

    @property
    def notices(self) -> tuple[str, ...]:
        """A notice if the sample rate or the channels changed so far."""
        if not self.changes:
            return ()
        return (
            "the sample rate or the channels change in it: all was brought to"
            f" {self.sample_rate} Hz and {self.channels} channels",
        )

    def _restarted(self) -> Iterator[Stretch]:
        """Start decoding from the beginning."""
        start, end = self._decoder.kept
        self._last = None if end is None else end - start
        self._frames = _after(self._decoder.frames(), start)
        self._at = self.changes = 0
        self._resampler: Resampling | None = None
        return self._frames

    def read(self, count: int) -> np.ndarray:
        """The next samples [t, C]; fewer than `count` only at the end."""
        if self._last is not None:
            count = max(0, min(count, self._last - self._at))
        parts, count_buffered = [self._buffer], len(self._buffer)
        while count_buffered < count:
            frame = next(self._frames, None)
            piece = self._tail() if frame is None else self._matched(*frame)
            if piece is not None:
                parts.append(piece)
                count_buffered += len(piece)
            if frame is None:
                break
        buffer = np.concatenate(parts) if len(parts) > 1 else parts[0]
        self._buffer = buffer[count:]
        self._at += min(count, len(buffer))
        return buffer[:count]

    def seek(self, sample: int) -> None:
        """Seek to a sample by decoding up to it: FFmpeg's own seeking is not exact."""
        if sample < self._at:
            self.close()
            self._decoder = _decoder(self._survey)
            self._restarted()
            self._buffer = np.zeros((0, self.channels), dtype=np.float32)
            self._form = self.sample_rate, self.channels
        while self._at < sample and len(self.read(min(1 << 16, sample - self._at))):
            pass

    def close(self) -> None:
        self._decoder.close()

    def _matched(self, samples: np.ndarray, rate: int, layout: Layout | None) -> np.ndarray:
        """Samples at the first frame's rate and in its channels."""
        form, ended = (rate, samples.shape[1]), None
        if form != self._form:
            self.changes += 1
            ended = self._tail() if rate != self._form[0] else None
            self._form = form
            if rate != self.sample_rate and self._resampler is None:
                self._resampler = resampler(rate, self.sample_rate, self.channels)
        samples = matched_channels(samples, self.channels, layout, self.layout)
        if self._resampler is not None:
            samples = self._resampler(samples, False)
        return samples if ended is None else np.concatenate((ended, samples))

    def _tail(self) -> np.ndarray | None:
        """Samples that the resampler still holds."""
        kept, self._resampler = self._resampler, None
        return None if kept is None else kept(np.zeros((0, self.channels), np.float32), True)


def _decoder(survey: Survey) -> Decoder:
    library = load_av() is not None and not survey.odd_order
    return LibraryDecoder(survey) if library else ProgramDecoder(survey)


def reads(survey: Survey) -> bool:
    """Whether such a file can be decoded here; some channel orders need the program."""
    return bool(shutil.which("ffmpeg") if survey.odd_order else available())


def _after(frames: Iterator[Stretch], start: int) -> Iterator[Stretch]:
    """Frames without the first `start` samples."""
    for samples, rate, layout in frames:
        if start < len(samples):
            yield samples[start:], rate, layout
        start = max(0, start - len(samples))


@lru_cache(maxsize=64)
def _counted(survey: Survey, size: int, modified: int) -> tuple[int, int, tuple[str, ...]]:
    source = FfmpegSource(survey)
    with contextlib.closing(source):
        count = 0
        while got := len(source.read(1 << 16)):
            count += got
        return count, source.faults, source.notices


def counted(survey: Survey) -> tuple[int, int, tuple[str, ...]]:
    """Samples, faults and notices of a whole file, by decoding it once; cached per file version."""
    about = survey.path.stat()
    return _counted(survey, about.st_size, about.st_mtime_ns)
