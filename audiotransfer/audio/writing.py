"""Writing audio files atomically, in blocks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from audiotransfer.atomic import check_place, clear_stale, temporary_path
from audiotransfer.audio.decoding.libsndfile import native_path
from audiotransfer.audio.tags.tags import Tags, fitting
from audiotransfer.audio.tags.writing import put_tags, size_in_wav
from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from torch import Tensor

FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}
ENCODINGS = ("int16", "int24", "float32")
_BITS = {"int16": 16, "int24": 24}
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_FLAC_ANY_RATE = 65_535  # Hz: frame headers have 16 bits, for Hz or tens of Hz
_BLOCK = 1 << 16
_WAV_LIMIT = (1 << 32) - (1 << 20)  # bytes of samples: the length field has 32 bits
_SET_ADD_PEAK_CHUNK = 0x1050  # libsndfile command


def check_output(
    path: str | Path,
    overwrite: bool = False,
    *,
    sample_rate: int | None = None,
    channels: int | None = None,
    encoding: str = "int16",
) -> None:
    """Raise AudioTransferError, before any work is done, where an output could not be written.

    That is an unknown suffix, a missing or read-only folder, an existing file without `overwrite`,
    and a rate, channel count or encoding that the format cannot hold.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise AudioTransferError(
            f"{path} has the suffix '{path.suffix}', which cannot be written; "
            f"use {', '.join(FORMATS)}"
        )
    if encoding not in ENCODINGS:
        raise AudioTransferError(f"encoding '{encoding}' is unknown; use {', '.join(ENCODINGS)}")
    if suffix == ".flac" and encoding == "float32":
        raise AudioTransferError(
            f"{path}: flac cannot hold float32; use int24, or .wav for float32"
        )
    if sample_rate is not None:
        _check_rate(path, suffix, sample_rate)
    limit = {".mp3": 2, ".flac": 8, ".ogg": 8}.get(suffix, 255)
    if channels is not None and channels > limit:
        raise AudioTransferError(
            f"{path}: {suffix[1:]} cannot hold {channels} channels ({limit} at most); use .wav"
        )
    check_place(path, overwrite)


def _check_rate(path: Path, suffix: str, sample_rate: int) -> None:
    """Raise AudioTransferError for a sample rate that the format cannot hold."""
    if suffix == ".mp3" and sample_rate not in _MP3_RATES:
        held = ", ".join(map(str, _MP3_RATES))
        remedy = f"it holds {held}; use .flac, .ogg or .wav"
    elif suffix == ".flac" and sample_rate > _FLAC_ANY_RATE and sample_rate % 10:
        remedy = f"above {_FLAC_ANY_RATE} Hz it holds multiples of 10; use .ogg or .wav"
    else:
        return
    raise AudioTransferError(
        f"{path}: {suffix[1:]} cannot hold a sample rate of {sample_rate} Hz: {remedy}"
    )


class AudioWriter:
    """Writes an audio file block by block; it appears under its name when it is complete.

    A context manager. Samples are never scaled. int16 and int24 (wav and flac) are rounded and
    clipped at full scale; ogg and mp3 are encoded from float32. Tags are those of `read_tags` or a
    plain mapping; ``unkept`` names those that the format cannot hold.
    """

    def __init__(
        self,
        path: str | Path,
        sample_rate: int,
        channels: int,
        *,
        encoding: str = "int16",
        tags: Tags | Mapping[str, str | Sequence[str]] | None = None,
        overwrite: bool = False,
    ) -> None:
        self.path = Path(path)
        check_output(
            self.path, overwrite, sample_rate=sample_rate, channels=channels, encoding=encoding
        )
        self._channels, self._overwrite = channels, overwrite
        self._suffix = self.path.suffix.lower()
        self._format = FORMATS[self._suffix]
        self._encoding = encoding if self._format in ("WAV", "FLAC") else "float32"
        self._tags, self.unkept = fitting(Tags.of(tags), self._suffix)
        self._limit = _WAV_LIMIT - (size_in_wav(self._tags) if self._format == "WAV" else 0)
        self._part = temporary_path(self.path)
        self._frames = 0
        clear_stale(self.path.parent)
        subtype = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}.get(
            self._format, {"int16": "PCM_16", "int24": "PCM_24", "float32": "FLOAT"}[encoding]
        )
        quality = {"OGG": {"compression_level": 0.3}, "MP3": {"compression_level": 0.1}}.get(
            self._format, {}
        )
        if self._format == "MP3":
            quality["bitrate_mode"] = "VARIABLE"  # type: ignore[assignment]
        try:
            self._sound = soundfile.SoundFile(
                native_path(self._part),
                "w",
                sample_rate,
                channels,
                subtype,
                format=self._format,
                **quality,
            )
            self._without_peak_chunk()
        except (soundfile.SoundFileError, OSError) as error:
            self._part.unlink(missing_ok=True)
            raise self._failed(error) from None

    def __enter__(self) -> AudioWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def write(self, audio: Tensor) -> None:
        """Add audio [C, t]; raises AudioTransferError for other shapes, NaN, a full disk."""
        if audio.dim() != 2 or audio.shape[0] != self._channels:
            raise AudioTransferError(
                f"{self.path} takes blocks [{self._channels}, t], not {list(audio.shape)}"
            )
        if not bool(audio.isfinite().all()):
            raise AudioTransferError(
                f"{self.path}: the sound to be written has NaN or infinite samples"
            )
        width = {"int16": 2, "int24": 3, "float32": 4}[self._encoding]
        self._frames += audio.shape[1]
        if self._format == "WAV" and self._frames * self._channels * width > self._limit:
            raise AudioTransferError(
                f"{self.path} would pass the 4 GB that a wav file holds; write .flac"
            )
        samples = audio.detach().cpu().float().numpy()
        try:
            for start in range(
                0, samples.shape[1], _BLOCK
            ):  # libvorbis overflows its stack on long blocks
                self._sound.write(self._encoded(samples[:, start : start + _BLOCK].T))
        except (soundfile.SoundFileError, OSError, AssertionError) as error:
            raise self._failed(error) from None

    def close(self) -> None:
        """Finish the file and rename it to its final name."""
        try:
            self._sound.close()
            put_tags(self._part, self._suffix, self._tags, temporary_path(self._part))
            if not self._overwrite and os.path.lexists(self.path):
                raise AudioTransferError(
                    f"{self.path} appeared meanwhile and is kept; choose another name"
                )
            os.replace(self._part, self.path)
        except (soundfile.SoundFileError, OSError) as error:
            raise self._failed(error) from None
        finally:
            self._part.unlink(missing_ok=True)

    def discard(self) -> None:
        """Delete the unfinished file."""
        try:
            self._sound.close()
        except soundfile.SoundFileError:
            pass  # the disk is full; the file is deleted anyway
        finally:
            self._part.unlink(missing_ok=True)

    def _encoded(self, block: np.ndarray) -> np.ndarray:
        """Samples [t, C] as integers of the encoding, rounded to nearest."""
        if self._encoding == "float32":
            return np.ascontiguousarray(block)
        # libsndfile rounds down, which turns small negative samples into a constant -1
        bits = _BITS[self._encoding]
        scale = float(1 << bits - 1)
        whole = np.clip(np.rint(block.astype(np.float64) * scale), -scale, scale - 1)
        return whole.astype(np.int16) if bits == 16 else whole.astype(np.int32) << 8

    def _without_peak_chunk(self) -> None:
        """Leave out the PEAK chunk, whose time stamp makes equal runs write different bytes."""
        if self._format == "WAV" and self._encoding == "float32":
            soundfile._snd.sf_command(
                self._sound._file, _SET_ADD_PEAK_CHUNK, soundfile._ffi.NULL, 0
            )

    def _failed(self, error: Exception) -> AudioTransferError:
        reason = getattr(error, "strerror", None) or self._system_reason()
        reason = reason or getattr(error, "error_string", None) or str(error)
        reason = str(reason).strip().rstrip(".") or "the disk may be full"
        return AudioTransferError(
            f"{self.path} cannot be written ({reason}); choose another place or format"
        )

    def _system_reason(self) -> str | None:
        """The system's reason why the unfinished file cannot grow; None if it can.

        libsndfile says no more than "System error".
        """
        try:
            with self._part.open("r+b") as file:
                file.seek(0, os.SEEK_END)
                file.write(bytes(_BLOCK))
        except FileNotFoundError:  # it was never created
            return None
        except OSError as error:
            return error.strerror
        return None


def write_audio(
    path: str | Path,
    audio: Tensor,
    sample_rate: int,
    *,
    encoding: str = "int16",
    tags: Tags | Mapping[str, str | Sequence[str]] | None = None,
    overwrite: bool = False,
) -> None:
    """Write audio [C, T] at sample_rate Hz in the format of the path's suffix.

    Arguments and errors are those of `AudioWriter`.
    """
    with AudioWriter(
        path, sample_rate, audio.shape[0], encoding=encoding, tags=tags, overwrite=overwrite
    ) as writer:
        writer.write(audio)
