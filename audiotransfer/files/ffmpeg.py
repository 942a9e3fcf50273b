"""Decoding by FFmpeg's libraries (PyAV), or by the ``ffmpeg`` program."""

from __future__ import annotations

import contextlib
import importlib.util
import mmap
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from audiotransfer.files.fallback import mp4
from audiotransfer.files.source import Undecodable
from audiotransfer.files.speakers import Layout, mask_layout, of_ffmpeg
from audiotransfer.files.survey import Survey

# What else FFmpeg reads opens other files or addresses (playlists), or takes anything for sound.
FORMATS = (
    "aac,aa,aax,ac3,eac3,ac4,aiff,amr,ape,asf,ast,au,avi,bfstm,binka,brstm,caf,dsf,dts,dtshd,flac,"
    "flv,fsb,iff,ircam,loas,matroska,mlp,mov,mp3,mpc,mpc8,mpeg,mpegts,nistsphere,ogg,oma,qcp,rm,"
    "rso,sbg,shn,sol,sox,svag,tak,truehd,tta,vag,voc,vqf,w64,wav,wsd,wv,wve,xwma,xmd,paf,pvf,"
    "avr,aea,ads,caf,sds,osq,bonk,apm,laf"
)
_PLANES = 8  # of so many channels, one by one, PyAV reads past the last (18.1)
_INTEGERS = {"u1": 7, "i2": 15, "i4": 31, "i8": 63}


class _Decoder(Protocol):
    """Frames [t, C] with their rates and layouts, front to back."""

    faults: int

    def frames(self) -> Iterator[tuple[np.ndarray, int, Layout | None]]: ...

    def close(self) -> None: ...


def available() -> str | None:
    """What decodes here beyond libsndfile: "PyAV 18.1", the program's path, or nothing."""
    if importlib.util.find_spec("av"):
        with contextlib.suppress(ImportError, OSError):
            return f"PyAV {_av().__version__}"
    return shutil.which("ffmpeg")


class FfmpegSource:
    """The first sound stream of a file, at the rate and in the channels of its first frame."""

    subtype = "FFMPEG"

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._decoder: _Decoder | None = None
        self._last: int | None = None
        self._begin()
        first = next(self._frames, None)
        if first is None:
            assert self._decoder is not None
            fault = getattr(self._decoder, "reason", "")
            self.close()
            raise Undecodable(fault)
        self._held, self.sample_rate, self.layout = first
        self.channels = self._held.shape[1]
        self._last = self._edited()
        self.changes = 0
        self.frames: int | None = None

    @property
    def faults(self) -> int:
        """Stretches that could not be decoded so far."""
        found = self._decoder.faults if self._decoder else 0
        return max(0, found - self._survey.spare)

    @property
    def notices(self) -> tuple[str, ...]:
        """Whether the sample rate or the channels changed so far."""
        if not self.changes:
            return ()
        return (
            "the sample rate or the channels change in it: all was brought to"
            f" {self.sample_rate} Hz and {self.channels} channels",
        )

    def _begin(self) -> None:
        self.close()
        survey = self._survey
        library = _av() is not None and not survey.odd_order
        self._decoder = _LibraryDecoder(survey) if library else _ProgramDecoder(survey)
        self._frames = self._decoder.frames()
        self._held = np.zeros((0, 1), dtype=np.float32)
        self._at = 0
        self.changes = 0
        self._resampler: Any = None
        self._from = 0

    def _edited(self) -> int | None:
        """Where an MP4's edit list, or iTunes' note, ends the sound."""
        seconds = getattr(self._decoder, "edited", None)
        return None if seconds is None else round(seconds * self.sample_rate)

    def read(self, count: int) -> np.ndarray:
        """The next samples [t, C]; fewer than asked only at the end."""
        if self._last is not None:
            count = max(0, min(count, self._last - self._at))
        parts, there = [self._held], len(self._held)
        while there < count:
            frame = next(self._frames, None)
            piece = self._tail() if frame is None else self._matched(*frame)
            if piece is not None:
                parts.append(piece)
                there += len(piece)
            if frame is None:
                break
        held = np.concatenate(parts) if len(parts) > 1 else parts[0]
        self._held = held[count:]
        self._at += min(count, len(held))
        return held[:count]

    def seek(self, sample: int) -> None:
        """Go to a sample, by decoding up to it: FFmpeg's own seeking is not exact."""
        if sample < self._at:
            self._begin()
        while self._at < sample and len(self.read(min(1 << 16, sample - self._at))):
            pass

    def close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()

    def _matched(self, samples: np.ndarray, rate: int, layout: Layout | None) -> np.ndarray:
        """Like the first frame: a change within the file is resampled, and its channels mapped."""
        if rate == self.sample_rate and samples.shape[1] == self.channels and not self._from:
            return samples
        from audiotransfer.files.joining import matched_channels, resampler

        samples = matched_channels(samples, self.channels, layout, self.layout)
        before = self._tail() if rate != (self._from or self.sample_rate) else None
        if rate != (self._from or self.sample_rate) or samples.shape[1] != self.channels:
            self.changes += 1
        if rate == self.sample_rate:
            return samples if before is None else np.concatenate((before, samples))
        if self._resampler is None:
            self._from = rate
            self._resampler = resampler(rate, self.sample_rate, self.channels)
        done = self._resampler(samples, False)
        return done if before is None else np.concatenate((before, done))

    def _tail(self) -> np.ndarray | None:
        """What a resampler still holds."""
        kept, self._resampler, self._from = self._resampler, None, 0
        return None if kept is None else kept(np.zeros((0, self.channels), np.float32), True)


@lru_cache(maxsize=1)
def _av() -> Any:
    """PyAV, silenced; None where it is missing or does not load."""
    try:
        import av
        import av.logging
    except (ImportError, OSError):
        return None
    av.logging.set_level(None)
    return av


class _LibraryDecoder:
    """FFmpeg's libraries."""

    def __init__(self, survey: Survey) -> None:
        av = _av()
        self.faults, self.reason = 0, ""
        self.edited: float | None = None
        try:
            self._container = av.open(
                f"file:{survey.path.absolute()}",
                format=survey.demuxer or None,
                options={"format_whitelist": FORMATS},
                metadata_errors="replace",
            )
        except (av.error.FFmpegError, ValueError, OSError) as error:
            raise Undecodable(_reason(error)) from None
        streams = self._container.streams
        self._stream = streams.best("audio") or next(iter(streams.audio), None)
        if self._stream is None:
            self._container.close()
            raise Undecodable("no sound in it")
        if "mov" in self._container.format.name and self._stream.duration:
            self.edited = float(self._stream.duration * self._stream.time_base)
            itunes = self._container.metadata.get("iTunSMPB", "").split()
            if len(itunes) > 3:
                with contextlib.suppress(ValueError):
                    self.edited = int(itunes[3], 16) / self._stream.codec_context.sample_rate

    def frames(self) -> Iterator[tuple[np.ndarray, int, Layout | None]]:
        av = _av()
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, ValueError, OSError) as error:
                self.faults += 1
                self.reason = _reason(error)
                return
            if packet is None:
                return
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, ValueError, OSError) as error:
                self.faults += bool(packet.size)
                self.reason = _reason(error)
                continue
            for frame in frames:
                if frame.samples and frame.sample_rate:
                    yield _samples(frame), frame.sample_rate, _layout(frame.layout)

    def close(self) -> None:
        self._container.close()


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).strip().rstrip(".")


def _layout(layout: Any) -> Layout | None:
    names = [channel.name for channel in layout.channels]
    return of_ffmpeg(names, len(names))


def _samples(frame: Any) -> np.ndarray:
    """Float32 [t, C], full scale ±1."""
    if frame.format.is_planar and frame.layout.nb_channels >= _PLANES:
        packer = _av().AudioResampler(frame.format.packed.name, frame.layout, frame.sample_rate)
        return np.concatenate([_samples(packed) for packed in packer.resample(frame)])
    raw = frame.to_ndarray()
    samples = raw.T if frame.format.is_planar else raw.reshape(frame.samples, -1)
    kind = samples.dtype.str[1:]
    if kind in _INTEGERS:
        scale = 2.0 ** -_INTEGERS[kind]
        offset = 128 if kind == "u1" else 0
        samples = (
            samples.astype(np.float64 if kind in ("i4", "i8") else np.float32) - offset
        ) * scale
    return np.ascontiguousarray(samples, dtype=np.float32)


class _ProgramDecoder:
    """The ``ffmpeg`` program, writing a wav stream into a pipe."""

    def __init__(self, survey: Survey) -> None:
        program = shutil.which("ffmpeg")
        if program is None:
            raise Undecodable("no FFmpeg")
        self.faults, self.reason = 0, ""
        self.edited = _edited(survey)
        forced = ["-f", survey.demuxer] if survey.demuxer else []
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        command = [program, "-nostdin", "-v", "error", "-format_whitelist", FORMATS, *forced]
        command += ["-i", f"file:{survey.path.absolute()}", "-map", "0:a:0", "-c:a", "pcm_f32le"]
        self._process = subprocess.Popen(
            [*command, "-f", "wav", "-"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "AV_LOG_FORCE_NOCOLOR": "1"},
        )

    def frames(self) -> Iterator[tuple[np.ndarray, int, Layout | None]]:
        pipe = self._process.stdout
        assert pipe is not None
        rate = channels = 0
        layout: Layout | None = None
        pipe.read(12)
        while len(head := pipe.read(8)) == 8 and head[:4] != b"data":
            body = pipe.read(int.from_bytes(head[4:], "little"))
            if head[:4] == b"fmt ":
                channels, rate = (int.from_bytes(body[a:b], "little") for a, b in ((2, 4), (4, 8)))
                layout = mask_layout(int.from_bytes(body[20:24], "little"), channels)
        size = 4096 * 4 * channels
        while channels and len(data := pipe.read(size)):
            whole = len(data) - len(data) % (4 * channels)
            yield np.frombuffer(data[:whole], "<f4").reshape(-1, channels), rate, layout
        self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        self.faults = len(said)
        self.reason = said[-1].rsplit(": ", 1)[-1] if said else ""

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()


def _edited(survey: Survey) -> float | None:
    """Seconds of an m4a's sound without the encoder's padding, which the program leaves in it."""
    if not survey.name.startswith("MP4 with AAC"):
        return None
    with survey.path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with data, contextlib.suppress(Undecodable):
            track = mp4.parse(data)
            return (track.end - track.start) / track.sample_rate
    return None


@lru_cache(maxsize=64)
def _counted(survey: Survey, size: int, modified: int) -> tuple[int, int, tuple[str, ...]]:
    source = FfmpegSource(survey)
    with contextlib.closing(source):
        count = 0
        while got := len(source.read(1 << 16)):
            count += got
        return count, source.faults, source.notices


def counted(survey: Survey) -> tuple[int, int, tuple[str, ...]]:
    """Samples, faults and notices of a whole file, by decoding it once.

    Remembered while the file is the same.
    """
    about = survey.path.stat()
    return _counted(survey, about.st_size, about.st_mtime_ns)
