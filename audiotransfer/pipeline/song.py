"""The Python interface: songs in memory, `load_style` and `transfer`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, Unpack

import numpy as np
import torch
from torch import Tensor

from audiotransfer import styles
from audiotransfer.audio.limiter import Limiter
from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.resampling import resample
from audiotransfer.audio.tags.reading import read_tags
from audiotransfer.audio.tags.tags import Tags
from audiotransfer.audio.true_peak import TruePeakMeter
from audiotransfer.audio.writing import write_audio
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.report.plots import comparison_figure
from audiotransfer.pipeline.audio_transfer import transfer_song
from audiotransfer.pipeline.display import song_html
from audiotransfer.pipeline.finishing import level_for
from audiotransfer.pipeline.keywords import (
    StemChoices,
    StyleKeywords,
    StyleName,
    TransferKeywords,
)
from audiotransfer.pipeline.options import StemChoice, from_fields
from audiotransfer.pipeline.output import Output
from audiotransfer.pipeline.plan import prepare, resolve_device
from audiotransfer.pipeline.reporting import CoverReport, ProgressCallback, Report
from audiotransfer.pipeline.sources import (
    FileSource,
    MemorySource,
    check_rate,
    check_samples,
    part_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_log = logging.getLogger(__name__)

Samples = TypeVar("Samples", Tensor, np.ndarray)


@dataclass(frozen=True)
class Song:
    """Sound ``[C, T]`` (float32, full scale ±1) with its rate in Hz, and the tags of its file.

    Takes tensors and arrays of floating-point numbers, and one dimension as one channel. Raises
    :class:`AudioTransferError` for ``[T, C]``, integers, NaN, no samples, and rates that cannot be.
    """

    audio: Tensor
    sample_rate: int
    name: str = "song"
    tags: Tags | Mapping[str, str | Sequence[str]] = field(default_factory=Tags)

    def __post_init__(self) -> None:
        object.__setattr__(self, "audio", check_samples(self.audio, self.name))
        object.__setattr__(self, "sample_rate", check_rate(self.sample_rate, self.name))

    @classmethod
    def read(cls, path: str | Path) -> Song:
        """Reads a whole file."""
        audio, sample_rate = read_audio(path)
        return cls(audio, sample_rate, str(path), read_tags(path))

    def write(self, path: str | Path, *, encoding: str = "int16", overwrite: bool = False) -> None:
        """Writes wav, flac, ogg or mp3 by suffix, atomically.

        Where the file cannot hold what is above full scale, that is limited or turned down, and
        logged as a warning.
        """
        peaks = TruePeakMeter(self.audio.shape[0])
        peaks.push(self.audio)
        suffix = Path(path).suffix.lower()
        level = level_for(
            max(peaks.samples()), peaks.peak(), changed=False, encoding=encoding, suffix=suffix
        )
        audio = self.audio * level.gain
        if level.notice:
            _log.warning("%s: %s", path, level.notice)
            audio = Limiter(self.sample_rate, level.ceiling).push(audio, last=True)
        write_audio(
            path,
            audio,
            self.sample_rate,
            encoding=encoding,
            tags=self.tags,
            overwrite=overwrite,
        )

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.audio.shape[-1] / self.sample_rate

    def plot(self, *others: Song, start: float = 0.0, seconds: float | None = None) -> Figure:
        """Spectrograms of this song and others, one above the other, on one scale.

        ``start`` and ``seconds`` choose a part. Notebooks show the figure; ``savefig`` writes it.
        """
        sounds = {}
        for number, song in enumerate((self, *others)):
            name = Path(song.name).name
            sounds[name if name not in sounds else f"{name} ({number + 1})"] = resample(
                song.audio, song.sample_rate, self.sample_rate
            )
        return comparison_figure(sounds, self.sample_rate, start=start, seconds=seconds)

    def _repr_html_(self) -> str:
        """What notebooks show of a song: its waveform, and its sound."""
        return song_html(self.audio, self.sample_rate, Path(self.name).name)


@dataclass(frozen=True)
class TransferredSong(Song):
    """A song that was transferred, and how: what was done to each stem, what was transcribed."""

    report: Report | None = None

    @property
    def mode(self) -> str:
        """``cover`` or ``timbre``, whichever was taken."""
        return self.report.mode if self.report else "timbre"

    @property
    def notices(self) -> list[str]:
        """What a user should know, such as why no cover was made; often nothing."""
        return list(self.report.notices) if self.report else []

    @property
    def cover(self) -> CoverReport | None:
        """Of a cover: tempo, key, chords, form, parts and how sure the transcription is."""
        return self.report.cover if self.report else None

    def stem(self, name: str) -> Song:
        """A stem, or a part of a cover, as it is in the mix, from the files of ``stems_out``.

        Raises AudioTransferError where no stems were written, or none of this name.
        """
        parts = self.report.cover.parts if self.report and self.report.cover else {}
        stems = self.report.stems if self.report else {}
        written = {title: stem.files for title, stem in stems.items()}
        written |= {title: part.files for title, part in parts.items()}
        files = {title: found[-1] for title, found in written.items() if found}
        if not files:
            raise AudioTransferError(
                "no stems were written: transfer with stems_out=FOLDER to have them"
            )
        if name not in files:
            raise AudioTransferError(f"no stem {name!r}: there are {', '.join(files)}")
        return Song.read(files[name])


class LoadedStyle(styles.Style):
    """A style that can be called on sound."""

    def __call__(
        self,
        audio: Samples,
        sample_rate: int,
        strength: float = 1.0,
        **options: Unpack[StyleKeywords],
    ) -> Samples:
        """The sound in this style, ``[C, T]`` or ``[T]``, tensor or array as it came, float32; more
        than two channels come out as stereo. Options are those of :class:`TransferOptions`; what
        :class:`Song` refuses is refused.
        """
        song = Song(audio, sample_rate, "audio")  # type: ignore[arg-type]  # arrays become tensors
        result = transfer(song, self, strength=strength, **options).audio
        result = result[0] if np.ndim(audio) == 1 else result
        return result if isinstance(audio, Tensor) else result.numpy()


def load_style(
    name_or_path: StyleName | str | Path, *, device: str = "auto", vocoder: str = "auto"
) -> LoadedStyle:
    """A style by name or folder, to be called on sound: ``load_style("jazz")(audio, sample_rate,
    strength=0.7)``.
    """
    style = styles.load_for_recordings(name_or_path, device=resolve_device(device), vocoder=vocoder)
    return LoadedStyle(style.name, style.stems, style.card, style.effects, style.band)


def transfer(
    source: str | Path | Song,
    style: StyleName | str | Path | styles.Style | None = None,
    *,
    progress: ProgressCallback | None = None,
    stems: StemChoices | Mapping[str, StemChoice | str] | None = None,
    **options: Unpack[TransferKeywords],
) -> TransferredSong:
    """Transfers a song, from a file or memory: ``transfer("song.wav", style="jazz")``.

    The result is a :class:`Song` (``audio``, ``sample_rate``, ``write``, ``plot``) that also says
    which ``mode`` was taken, what was transcribed (``cover``) and what to know (``notices``).
    Nothing is written but what ``stems_out``, ``midi_out`` and ``sheet_out`` name.

    Args:
        source: a file's name, or ``Song(audio, sample_rate)`` with audio ``[C, T]``.
        style: a name (``audiotransfer styles`` lists them), or the folder of a style.
        progress: is called often with a ``Progress``; what it raises stops the work.
        stems: what becomes of single stems, ``{"vocals": "keep", "drums": "jazz@0.5"}``: ``keep``,
            ``mute``, ``cover``, ``timbre``, ``STYLE`` or ``STYLE@STRENGTH``.
        options: any of

            - ``strength``: 0 (the song as it is) to 1 (all of the style, the default)
            - ``mode``: ``"auto"``, ``"cover"`` (the style's band plays) or ``"timbre"`` (the
              song's own notes)
            - ``gains_db``: gains of stems and parts, ``{"vocals": 2.0}``
            - ``effects``: False leaves out the style's amplifiers and other effects
            - ``cut``: a part of the song, ``Cut(start=30, end=60)`` in seconds
            - ``lead``, ``swing``, ``transpose``, ``leadsheet``: of covers, see ``CoverOptions``
            - ``stems_out``: folder for the stems (see :meth:`TransferredSong.stem`);
              ``stem_format``: their format
            - ``midi_out``, ``sheet_out``: files for a cover's notes, and for its lead sheet
            - ``separator``, ``vocoder``, ``device``, ``seed``: as on the command line
            - ``cache``: False keeps nothing for the next style; ``overwrite``: of files
            - further ones: see ``TransferOptions``

    Raises :class:`AudioTransferError`, ``SeparationError`` or ``VocoderError``, each with one line
    that says what to do.

    Example::

        song = transfer("song.mp3", "jazz", lead="trumpet", stems_out="stems")
        song.write("song.jazz.flac")
        song.stem("bass").plot()
    """
    request = from_fields(style=style, stems=stems, **options)
    if not isinstance(source, str | Path | Song):
        raise AudioTransferError(
            f"a song of the type {type(source).__name__}: give a file's name, or"
            " Song(audio, sample_rate)"
        )
    song = part_of(
        MemorySource(source.audio, source.sample_rate, source.name)
        if isinstance(source, Song)
        else FileSource(source),
        request.cut,
    )
    output = Output.stems(request.stems_out, request)
    output.check(song)
    collected = _Collected()
    report = transfer_song(song, prepare(request), output, progress, sink=collected)
    tags = source.tags if isinstance(source, Song) else read_tags(source)
    audio = torch.cat(collected.pieces, -1)
    return TransferredSong(audio, song.sample_rate, song.name, tags, report)


class _Collected:
    """A sink that keeps the song in memory."""

    def __init__(self) -> None:
        self.pieces: list[Tensor] = []

    def write(self, audio: Tensor) -> None:
        self.pieces.append(audio)
