"""Opening audio files of every kind and reading them in blocks."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import soundfile

from audiotransfer.errors import AudioTransferError
from audiotransfer.files import aac, container, mpeg
from audiotransfer.files.native import native

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (
    ".wav",
    ".flac",
    ".ogg",
    ".oga",
    ".opus",
    ".mp3",
    ".aiff",
    ".aif",
    ".au",
    ".m4a",
    ".mp4",
    ".aac",
)
RATES = (8_000, 192_000)  # Hz
_BLOCK = 1 << 18
_UNKNOWN = 1 << 48  # more frames than a file holds: the header does not say
_SETTLE = 8192  # samples after which a Vorbis decoder has forgotten where it was started


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says: Hz, channels, frames (0 where it does not), suffix, subtype."""

    sample_rate: int
    channels: int
    frames: int
    suffix: str
    subtype: str


class _Source(Protocol):
    def read(self, count: int) -> np.ndarray: ...

    def seek(self, sample: int) -> None: ...

    def close(self) -> None: ...


class Reader:
    """A file opened for reading, front to back, in bounded memory. Use as a context manager."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        kind = container.identify(self.path)
        container.check_complete(self.path, kind)
        self._at = 0  # samples
        self._source: _Source
        if kind in ("mp4", "adts"):
            track = aac.find_track(self.path, kind)
            self._source = aac.AacSource(self.path, track)
            described = (track.sample_rate, track.channels, track.end - track.start, "AAC")
        else:
            source = _SndfileSource(self.path, kind)
            self._source = source
            sound = source.file
            described = (sound.samplerate, sound.channels, source.announced, sound.subtype)
        rate, channels, frames, subtype = described
        self.info = AudioInfo(rate, channels, frames, self.path.suffix.lower(), subtype)
        if not RATES[0] <= rate <= RATES[1]:
            self.close()
            raise AudioTransferError(
                f"{self.path} has a sample rate of {rate} Hz; "
                f"{RATES[0]} to {RATES[1]} Hz can be read"
            )

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()

    def blocks(self, frames: int) -> Generator[Tensor, None, None]:
        """Yield the sound [C, frames] from where the last call stopped; only the last is shorter.

        Raises AudioTransferError for NaN or infinite samples, for sound that cannot be decoded
        or ends before the announced length of a lossless file, and for a file of no samples.
        """
        import torch

        begin = self._at
        while True:
            try:
                block = self._source.read(frames)
            except soundfile.SoundFileError:
                seconds = self._at / self.info.sample_rate
                raise AudioTransferError(
                    f"{self.path} is truncated or damaged: it cannot be decoded "
                    f"after {seconds:.1f} s; copy or download it again"
                ) from None
            if len(block):
                audio = torch.from_numpy(np.ascontiguousarray(block.T))
                if not bool(audio.sum().isfinite()):  # cheaper than to ask each sample
                    _refuse_not_finite(self.path, audio, self._at)
                self._at += len(block)
                yield audio
            if len(block) < frames:
                break
        if self._at == begin:
            raise AudioTransferError(f"{self.path} holds no samples; name a file with sound in it")
        if self.info.subtype.startswith("PCM") and self._at < self.info.frames:
            raise AudioTransferError(
                f"{self.path} is truncated: {self._at} of {self.info.frames} announced samples "
                "can be decoded; copy or download it again"
            )

    def skip(self, start: int) -> None:
        """Go to a sample, exactly: the same samples follow as when reading from the beginning."""
        self._source.seek(start)
        self._at = start


def _refuse_not_finite(path: Path, audio: Tensor, before: int) -> None:
    bad = (~audio.isfinite()).nonzero()
    if not len(bad):
        return  # finite samples whose sum overflows
    channel, sample = (int(n) for n in bad[bad[:, 1].argmin()])
    raise AudioTransferError(
        f"{path} has a NaN or infinite sample (channel {channel + 1}, sample {before + sample}); "
        "export it again from the program that made it"
    )


class _SndfileSource:
    """What libsndfile decodes: wav, aiff, flac, ogg, opus, mp3."""

    def __init__(self, path: Path, kind: str) -> None:
        self._virtual: mpeg.IndexedMp3 | None = None
        if kind == "mp3":
            with path.open("rb") as file:
                found = mpeg.layout(path, mpeg.id3_length(file.read(10)))
            if found and not found.indexed and found.first.layer == 3:
                self._virtual = mpeg.IndexedMp3(path, found)
        try:
            self.file = soundfile.SoundFile(self._virtual or native(path))
        except (soundfile.SoundFileError, OSError, TypeError) as error:
            # a .raw suffix makes soundfile ask for a rate: TypeError
            reason = (
                str(getattr(error, "error_string", "") or "its header is damaged")
                .strip()
                .rstrip(".")
            )
            raise AudioTransferError(
                f"{path} cannot be decoded ({reason}); readable are {container.READS}"
            ) from None
        frames = self.file.frames
        if self.file.format == "FLAC" and frames >= _UNKNOWN:  # libsndfile loses the end of these
            self.close()
            raise AudioTransferError(
                f"{path} is a flac file that does not say how long it is (written to a pipe); "
                "encode it again"
            )
        self.announced = frames if frames < _UNKNOWN else 0

    def read(self, count: int) -> np.ndarray:
        block = np.empty((count, self.file.channels), dtype=np.float32)
        # read() stops at the announced length, this at the end of the sound
        return block[: self.file.buffer_read_into(block.data.cast("B"), "float32")]

    def seek(self, sample: int) -> None:
        lead = {"MP3": sample, "OGG": _SETTLE}.get(self.file.format, 0)
        self.file.seek(min(max(0, sample - lead), self.file.frames))
        rest = sample - self.file.tell()
        while rest > 0 and (got := len(self.read(min(rest, _BLOCK)))):
            rest -= got

    def close(self) -> None:
        self.file.close()
        if self._virtual is not None:
            self._virtual.close()


def open_audio(path: str | Path) -> Reader:
    """Open a sound file of any readable format.

    Raises AudioTransferError when it is missing, a folder, empty, no audio, or truncated.
    """
    return Reader(path)


def probe(path: str | Path) -> AudioInfo:
    """What a file's header says; raises as `open_audio` does, and for a file of no samples."""
    with Reader(path) as reader:
        if reader.info.subtype.startswith(("PCM", "FLOAT", "DOUBLE")) and reader.info.frames == 0:
            next(reader.blocks(1))
        return reader.info


def read(path: str | Path, *, start: int = 0, frames: int | None = None) -> tuple[Tensor, int]:
    """Read samples start to start + frames (to the end when None): audio [C, T] and Hz.

    T is smaller than frames where the file ends. Raises as `open_audio` and `Reader.blocks` do.
    """
    import torch

    parts: list[Tensor] = []
    with Reader(path) as reader:
        if start:
            reader.skip(start)
        left = frames
        with contextlib.closing(reader.blocks(min(_BLOCK, left) if left else _BLOCK)) as blocks:
            for block in blocks:
                parts.append(block if left is None else block[:, :left])
                if left is not None:
                    left -= parts[-1].shape[1]
                    if left <= 0:
                        break
        return torch.cat(parts, dim=1), reader.info.sample_rate


def find_audio(folder: str | Path, suffixes: Collection[str] = SUFFIXES) -> list[Path]:
    """Every audio file in a folder and the folders in it, by name; hidden ones are left out.

    ``suffixes`` may ask for files of other kinds as well.

    Raises AudioTransferError when the folder does not exist.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise AudioTransferError(f"{folder} is not a folder; name one that holds audio files")
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
