"""Reading audio files of any format, in blocks."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.audio.decoding import ffmpeg, opening
from audiotransfer.audio.decoding.source import Source, Undecodable
from audiotransfer.audio.formats import identify
from audiotransfer.audio.formats.ogg import CUT
from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from torch import Tensor

AUDIO_SUFFIXES = (
    ".wav",
    ".flac",
    ".ogg",
    ".oga",
    ".opus",
    ".mp3",
    ".aiff",
    ".aif",
    ".aifc",
    ".au",
    ".caf",
    ".w64",
    ".rf64",
    ".m4a",
    ".m4b",
    ".mp4",
    ".aac",
    ".mp2",
    ".mka",
    ".webm",
    ".wma",
    ".ape",
    ".wv",
    ".tta",
    ".ac3",
    ".spx",
    ".amr",
    ".dsf",
)
RATES = (8_000, 192_000)  # Hz
_BLOCK = 1 << 18
_DAMAGE = ("truncated or damaged", "damaged")
_LOSSY = re.compile(r"mp3|mpeg|aac|vorbis|opus|ac-?3|wma|speex|amr", re.IGNORECASE)  # in names
_OVERSHOOT = 2.0  # lossy codecs exceed full scale by far less; larger samples come from damage
_LOSSY_SLACK = 3000  # samples: two frames of the codecs, and their delay


@dataclass(frozen=True)
class AudioInfo:
    """Properties of a file: sample rate, channels, frames to be read, suffix, sample format.

    ``layout`` names the channels' loudspeakers where the file does, ``notices`` are remarks for the
    user, ``damaged`` says whether samples are known to be missing.
    """

    sample_rate: int
    channels: int
    frames: int
    suffix: str
    subtype: str
    layout: tuple[str, ...] | None = None
    notices: tuple[str, ...] = ()
    damaged: bool = False


class AudioReader:
    """A file opened for reading, from start to end, in bounded memory. Use as a context manager."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._survey = identify.survey(self.path)
        self._source: Source = opening.open_source(self._survey)
        self._at = 0  # samples
        self._ended = False
        self._broken = ""
        self._repaired = False
        self._lossy = bool(_LOSSY.search(self._survey.name))
        self._limited: int | None = None  # the first limited sample
        self.sample_rate, self.channels = self._source.sample_rate, self._source.channels
        self.layout = self._source.layout
        if not RATES[0] <= self.sample_rate <= RATES[1]:
            self.close()
            raise AudioTransferError(
                f"{self.path} has a sample rate of {self.sample_rate} Hz; "
                f"{RATES[0]} to {RATES[1]} Hz can be read"
            )

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    @property
    def info(self) -> AudioInfo:
        """Properties of the file; frames are counted by decoding where nothing else gives them."""
        frames, notices = self._source.frames, self.notices
        if frames is None:
            frames, faults, found = ffmpeg.counted(self._survey)
            notices = self._noted(found, frames, faults)
        elif self._survey.announced is not None:
            notices = self._noted(self._source.notices, frames, 0)
        return AudioInfo(
            self.sample_rate,
            self.channels,
            frames,
            self.path.suffix.lower(),
            self._source.subtype,
            self.layout,
            notices,
            any(notice.startswith(_DAMAGE) for notice in notices),
        )

    @property
    def notices(self) -> tuple[str, ...]:
        """Remarks for the user; complete once the file was read to its end."""
        return self._noted(
            self._source.notices, self._at if self._ended else None, self._source.faults
        )

    def _noted(self, found: Collection[str], played: int | None, faults: int) -> tuple[str, ...]:
        """All notices, given the number of samples that were or will be read."""
        rate, subtype = self.sample_rate, self._source.subtype
        announced = self._survey.announced
        announced = self._source.frames if announced is None else announced
        slack = 0 if subtype.startswith(("PCM", "FLOAT", "DOUBLE")) else _LOSSY_SLACK
        notices = [*self._survey.notices, *found]
        if played is not None and announced is not None and announced - played > slack:
            present, stated = _lengths(played, announced, rate)
            notices.append(f"{_DAMAGE[0]}: {present} of {stated} can be decoded")
        elif self._survey.damage or self._broken or faults or self._limited is not None:
            detail = self._survey.damage or self._broken
            if not detail and self._limited is not None:
                detail = f"at {self._limited / rate:.1f} s: far above full scale, limited"
            detail = detail or f"{faults} stretches of it"
            notices.append(f"{_DAMAGE[1]} ({detail}): what can be decoded is used")
        elif played is not None and announced is not None and played - announced > slack:
            present, stated = _lengths(played, announced, rate)
            notices.append(f"it announces {stated}; {present} were found")
        return tuple(notices)

    def blocks(self, frames: int) -> Generator[Tensor, None, None]:
        """Yield the sound [C, frames] from the present position; only the last block is shorter.

        Raises AudioTransferError for NaN or infinite samples, for damage that no decoder can skip,
        and for a file of no samples.
        """
        import torch

        begin = self._at
        while True:
            block = self._read(frames)
            if len(block):
                audio = torch.from_numpy(np.ascontiguousarray(block.T))
                if not bool(audio.sum().isfinite()):  # cheaper than a test of each sample
                    _refuse_not_finite(self.path, audio, self._at)
                if self._lossy:
                    audio = self._limit(audio)
                self._at += len(block)
                yield audio
            if len(block) < frames:
                break
        if self._at == begin:
            if CUT in self._survey.notices:
                raise AudioTransferError(
                    f"{self.path} is cut off before its sound begins; copy or download it again"
                )
            raise AudioTransferError(f"{self.path} holds no samples; name a file with sound in it")
        self._ended = True

    def _limit(self, audio: Tensor) -> Tensor:
        """Clip samples [C, t] far above full scale, which in lossy codecs come from damage."""
        if max(float(audio.max()), -float(audio.min())) <= _OVERSHOOT:
            return audio
        wrong = audio.abs() > _OVERSHOOT
        if self._limited is None:
            self._limited = self._at + int(wrong.any(0).int().argmax())
        return audio.where(~wrong, audio.clamp(-1.0, 1.0))

    def _read(self, frames: int) -> np.ndarray:
        """The next samples [t, C], from another decoder where one fails."""
        try:
            return self._source.read(frames)
        except Undecodable as error:
            reason = str(error)
            kept = np.zeros((0, self.channels), np.float32)
            kept = kept if error.samples is None else error.samples
        self._change_decoder(self._at + len(kept), reason)
        return np.concatenate((kept, self._read(frames - len(kept))))

    def _change_decoder(self, at: int, reason: str) -> None:
        """Change to another decoder at a sample where the present one failed."""
        seconds = at / self.sample_rate
        found = None
        if not isinstance(self._source, ffmpeg.FfmpegSource):
            found = opening.after_damage(self._survey, self._repaired)
        if found is not None and (
            (found[0].sample_rate, found[0].channels) != (self.sample_rate, self.channels)
        ):
            found[0].close()  # decoders disagree on a damaged header: the rest does not fit
            found = None
        if found is None:
            raise AudioTransferError(
                f"{self.path} is truncated or damaged: it cannot be decoded after {seconds:.1f} s"
                f"{f' ({reason})' if reason else ''}; copy or download it again"
            )
        following, silent = found
        self._source.close()
        following.frames = self._source.frames  # as announced
        self._source, self._repaired = following, bool(silent)
        self._broken = silent or f"after {seconds:.1f} s"
        following.seek(at)

    def skip(self, start: int) -> None:
        """Seek to a sample, exactly: the same samples follow as when reading from the beginning."""
        try:
            self._source.seek(start)
        except Undecodable as error:
            self._change_decoder(start, str(error))
        self._at = start


def _lengths(played: int, announced: int, rate: int) -> tuple[str, str]:
    """Two lengths in samples as text: in seconds, or in samples where the seconds are equal."""
    seconds = f"{played / rate:.2f} s", f"{announced / rate:.2f} s"
    return seconds if seconds[0] != seconds[1] else (f"{played} samples", f"{announced} samples")


def _refuse_not_finite(path: Path, audio: Tensor, before: int) -> None:
    """Raise AudioTransferError, naming the place, where a sample of [C, T] is not finite."""
    bad = (~audio.isfinite()).nonzero()
    if not len(bad):
        return  # finite samples whose sum overflows
    channel, sample = (int(n) for n in bad[bad[:, 1].argmin()])
    raise AudioTransferError(
        f"{path} has a NaN or infinite sample (channel {channel + 1}, sample {before + sample}); "
        "export it again from the program that made it"
    )


def open_audio(path: str | Path) -> AudioReader:
    """Open an audio file of any readable format.

    Raises AudioTransferError where it is missing, a folder, empty, no audio, or truncated.
    """
    return AudioReader(path)


def probe_audio(path: str | Path) -> AudioInfo:
    """Properties of a file; raises as `open_audio` does, and for a file of no samples."""
    with AudioReader(path) as reader:
        info = reader.info
        if info.frames == 0:
            next(reader.blocks(1))
        return info


def read_audio(
    path: str | Path, *, start: int = 0, frames: int | None = None
) -> tuple[Tensor, int]:
    """Read samples start to start + frames (to the end for None): audio [C, T] and Hz.

    T is smaller than frames where the file ends. Raises as `open_audio` and `AudioReader.blocks`
    do.
    """
    import torch

    parts: list[Tensor] = []
    with AudioReader(path) as reader:
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
        return torch.cat(parts, dim=1), reader.sample_rate


def find_audio(folder: str | Path, suffixes: Collection[str] = AUDIO_SUFFIXES) -> list[Path]:
    """All audio files in a folder and its subfolders, sorted by path; hidden ones are left out.

    ``suffixes`` may name other types of files. Raises AudioTransferError where the folder does not
    exist.
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
