"""FFmpeg's decoders: its libraries (PyAV), or the ``ffmpeg`` program through a pipe."""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from audiotransfer.audio.channels import Layout, mask_layout, of_ffmpeg
from audiotransfer.audio.decoding import mp4
from audiotransfer.audio.decoding.source import Undecodable
from audiotransfer.audio.formats.survey import Survey, View

# FFmpeg's other formats open further files or addresses (playlists), or accept any data as sound.
FORMATS = (
    "aac,aa,aax,ac3,eac3,ac4,aiff,amr,ape,asf,ast,au,avi,bfstm,binka,brstm,caf,dsf,dts,dtshd,flac,"
    "flv,fsb,iff,ircam,loas,matroska,mlp,mov,mp3,mpc,mpc8,mpeg,mpegts,nistsphere,ogg,oma,qcp,rm,"
    "rso,sbg,shn,sol,sox,svag,tak,truehd,tta,vag,voc,vqf,w64,wav,wsd,wv,wve,xwma,xmd,paf,pvf,"
    "avr,aea,ads,caf,sds,osq,bonk,apm,laf"
)
_PLANES = 8  # with so many planar channels PyAV (18.1) reads past the last one
_INTEGERS = {"u1": 7, "i2": 15, "i4": 31, "i8": 63}


Stretch = tuple[np.ndarray, int, Layout | None]
"""Samples [t, C], Hz, and the channels' loudspeakers."""


class Decoder(Protocol):
    """Decodes the first audio stream of a file."""

    faults: int
    """Number of stretches that could not be decoded so far."""
    reason: str
    """Reason of the last fault."""
    kept: tuple[int, int | None]
    """Range of the decoded samples that belongs to the sound; the rest is padding."""

    def frames(self) -> Iterator[Stretch]:
        """Yield all frames, from start to end."""
        ...

    def close(self) -> None: ...


@lru_cache(maxsize=1)
def load_av() -> Any:
    """PyAV with its log silenced; None where it is missing or does not load."""
    try:
        import av
        import av.logging
    except (ImportError, OSError):
        return None
    av.logging.set_level(None)
    return av


class LibraryDecoder:
    """Decoding by FFmpeg's libraries."""

    def __init__(self, survey: Survey) -> None:
        av = load_av()
        self.faults, self.reason = 0, ""
        edited = _edited(survey)
        options = {"format_whitelist": FORMATS, **({"ignore_editlist": "1"} if edited else {})}
        try:
            self._container = av.open(
                _name(survey.path),
                format=survey.demuxer or None,
                options=options,
                metadata_errors="replace",
            )
        except (av.error.FFmpegError, ValueError, OSError) as error:
            raise Undecodable(_reason(error)) from None
        streams = self._container.streams
        self._stream: Any = streams.best("audio") or next(iter(streams.audio), None)
        if self._stream is None:
            self._container.close()
            raise Undecodable("no sound in it")
        self.kept: tuple[int, int | None] = edited or (0, self._timed())
        if edited:
            self._stream.codec_context.flags2 |= av.codec.context.Flags2.skip_manual

    def _timed(self) -> int | None:
        """Length in samples by the stated duration, without the last frame's padding.

        Only for an MP4 with another codec than AAC.
        """
        stream = self._stream
        if "mov" not in self._container.format.name or not stream.duration:
            return None
        if stream.codec_context.name == "aac":  # HE-AAC, which doubles its rate
            return None
        seconds: Fraction = stream.duration * stream.time_base
        rate: int = stream.codec_context.sample_rate
        return round(seconds * rate)

    def frames(self) -> Iterator[Stretch]:
        av = load_av()
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
    """Samples of a frame as float32 [t, C], full scale ±1."""
    if frame.format.is_planar and frame.layout.nb_channels >= _PLANES:
        packer = load_av().AudioResampler(frame.format.packed.name, frame.layout, frame.sample_rate)
        return np.concatenate([_samples(packed) for packed in packer.resample(frame)])
    raw = frame.to_ndarray()
    samples = raw.T if frame.format.is_planar else raw.reshape(frame.samples, -1)
    dtype = samples.dtype.str[1:]
    if dtype in _INTEGERS:
        scale = 2.0 ** -_INTEGERS[dtype]
        offset = 128 if dtype == "u1" else 0
        samples = (
            samples.astype(np.float64 if dtype in ("i4", "i8") else np.float32) - offset
        ) * scale
    return np.ascontiguousarray(samples, dtype=np.float32)


def _name(path: Path) -> str | View:
    """The argument of PyAV's open: the path, or the open file where the path is not valid UTF-8."""
    name = f"file:{path.absolute()}"
    try:
        name.encode()
    except UnicodeEncodeError:
        return View(path, ((0, path.stat().st_size),))
    return name


class ProgramDecoder:
    """Decoding by the ``ffmpeg`` program, which writes a wav stream into a pipe."""

    def __init__(self, survey: Survey) -> None:
        program = shutil.which("ffmpeg")
        if program is None:
            raise Undecodable("no FFmpeg")
        self.faults, self.reason = 0, ""
        edited = _edited(survey)
        self.kept: tuple[int, int | None] = edited or (0, None)
        forced = ["-f", survey.demuxer] if survey.demuxer else []
        forced += ["-ignore_editlist", "1", "-flags2", "+skip_manual"] if edited else []
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

    def frames(self) -> Iterator[Stretch]:
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
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        self.faults = sum("decod" in line for line in lines) or len(lines[:1])
        self.reason = lines[-1].rsplit(": ", 1)[-1] if lines else ""

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()


def _edited(survey: Survey) -> tuple[int, int] | None:
    """Range of samples that the edit list, or iTunes' tag, of an m4a keeps.

    FFmpeg's own trimming differs between versions: 8 leaves padding, 9 may cut too much.
    """
    if not survey.name.startswith("MP4 with AAC"):
        return None
    with survey.path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            track = mp4.parse(data)
        except Undecodable:
            return None
        finally:
            data.close()
    return track.start, track.end
