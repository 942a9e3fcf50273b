"""Decoding by libsndfile."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from audiotransfer.audio.channels import mask_order, of_libsndfile
from audiotransfer.audio.decoding.source import Undecodable
from audiotransfer.audio.formats.survey import Part, View

_BLOCK = 1 << 18
_UNKNOWN = 1 << 48  # frame count from which on the header is taken not to state it
_SETTLE = 8192  # samples after which a Vorbis decoder's output does not depend on its start
_FEW = 4096  # samples read at once: flac's usual frame
_GET_CHANNEL_MAP = 0x1100  # libsndfile command


class SndfileSource:
    """One part of a file, decoded by libsndfile."""

    def __init__(self, path: Path, part: Part) -> None:
        self._part = part
        self._view = View(path, part.pieces) if part.pieces or path.suffix == ".raw" else None
        if self._view is not None and not part.pieces:
            self._view = View(path, ((0, path.stat().st_size),))
        self._chatty = True
        try:
            with silence_stderr(1, 2) if part.unchecked else silence_stderr():
                self.file = soundfile.SoundFile(self._view or native_path(path))
        except (soundfile.SoundFileError, OSError, TypeError, ValueError) as error:
            self._close_view()
            raise Undecodable(_reason(error)) from None
        self._chatty = self.file.format == "MP3"
        self.sample_rate, self.channels = self.file.samplerate, self.file.channels
        self.subtype = self.file.subtype
        layout = part.layout or self._layout()
        self.layout = mask_order(layout) if layout else None
        # Vorbis has its own channel order; callers expect that of wav
        self._order = [layout.index(name) for name in self.layout or ()] if layout else None
        self._at = 0
        self._end = None if part.lossy else part.samples
        self.frames = self._length()
        self.notices: tuple[str, ...] = ()
        self.faults = 0

    def _length(self) -> int | None:
        """Number of samples that will be read. Raises Undecodable where some would be left out."""
        frames = self.file.frames if self.file.frames < _UNKNOWN else None
        samples, slack = self._part.samples, _FEW if self._part.lossy else 0
        if samples is None:
            return frames
        if frames is not None and frames < samples - slack:
            self.close()
            raise Undecodable(f"libsndfile finds {frames} of {samples} samples")
        # an mp3's index may announce more than is there, or a little less
        return frames if frames is not None and frames < samples else samples

    def read(self, count: int) -> np.ndarray:
        """The next samples [t, C]; fewer than `count` only at the end."""
        if self._end is not None:
            count = min(count, self._end - self._at)
        block = np.empty((max(0, count), self.channels), dtype=np.float32)
        done = got = 0
        with self._quietly():
            while done < count:
                # in small steps: samples decoded before damage are lost with their step
                step = block[done : min(count, done + _FEW - (self._at + done) % _FEW)]
                got = self._read_into(step)
                done += max(0, got)
                if got < len(step):
                    break
        self._at += done
        if got < 0:
            raise Undecodable("", self._ordered(block[:done]))
        return self._ordered(block[:done])

    def _read_into(self, step: np.ndarray) -> int:
        """Number of samples read into `step`, or -1 for damage.

        soundfile's own reading is not used, because it seeks, which is inexact in mp3.
        """
        sound = self.file._file
        into = soundfile._ffi.from_buffer("float[]", step)
        got = int(soundfile._snd.sf_readf_float(sound, into, len(step)))
        # after damage a flac continues with silence, or with later samples
        short = got < len(step) or self.file.format == "FLAC"
        return -1 if short and soundfile._snd.sf_error(sound) else got

    def _ordered(self, block: np.ndarray) -> np.ndarray:
        return block if self._order is None else block[:, self._order]

    def seek(self, sample: int) -> None:
        """Seek to a sample; the same samples follow as when reading from the beginning."""
        if self._end is not None:
            sample = min(sample, self._end)
        lead = {"MP3": sample, "OGG": _SETTLE}.get(self.file.format, 0)
        with self._quietly():
            try:
                self.file.seek(min(max(0, sample - lead), self.file.frames))
            except soundfile.SoundFileError as error:
                raise Undecodable(_reason(error)) from None
            self._at = self.file.tell()
        rest = sample - self._at
        while rest > 0 and (got := len(self.read(min(rest, _BLOCK)))):
            rest -= got

    def close(self) -> None:
        with self._quietly():
            self.file.close()
        self._close_view()

    def _close_view(self) -> None:
        if self._view is not None:
            self._view.close()

    @contextlib.contextmanager
    def _quietly(self) -> Iterator[None]:
        """Silence libmpg123 while it works."""
        if not self._chatty:
            yield
            return
        with silence_stderr():
            yield

    def _layout(self) -> tuple[str, ...] | None:
        count = self.channels
        if count <= 2 or self.file.format == "AIFF":  # libsndfile 1.2 reads aiff's past its end
            return None
        numbers = soundfile._ffi.new("int[]", count)
        known = soundfile._snd.sf_command(
            self.file._file, _GET_CHANNEL_MAP, numbers, count * soundfile._ffi.sizeof("int")
        )
        return of_libsndfile(numbers) if known else None


def _reason(error: Exception) -> str:
    """libsndfile's reason for an error."""
    message = str(getattr(error, "error_string", "")).strip().rstrip(".")
    # for input that libmpg123 rejects libsndfile reports that the file does not exist
    return "its header is damaged" if not message or "does not exist" in message else message


def native_path(path: Path) -> str | bytes:
    """A path as bytes on POSIX, since soundfile refuses text that is not valid Unicode."""
    return os.fsencode(path) if os.name == "posix" else str(path)


_lock = threading.Lock()


@contextlib.contextmanager
def silence_stderr(*streams: int) -> Iterator[None]:
    """Redirect standard error (2) of the whole process, or other streams, to the null device.

    libmpg123 writes there directly, past every option of libsndfile. A lock keeps two redirections
    from overlapping, which could leave the stream closed.
    """
    with _lock, contextlib.ExitStack() as opened:
        for stream in streams or (2,):
            with contextlib.suppress(OSError):  # the stream is closed
                saved = os.dup(stream)
                opened.callback(_restore, saved, stream)
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream)
                os.close(null)
        yield


def _restore(saved: int, stream: int) -> None:
    if stream == 1 and os.name == "posix":
        ctypes.CDLL(None).fflush(None)  # C's output buffer
    os.dup2(saved, stream)
    os.close(saved)
