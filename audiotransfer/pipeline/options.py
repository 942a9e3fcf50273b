"""The options of a transfer and their checks. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.cover_options import AUTO, COVER, TIMBRE, CoverOptions, check_mode
from audiotransfer.pipeline.cut import Cut
from audiotransfer.pipeline.naming import check_pattern
from audiotransfer.suggest import suggest

if TYPE_CHECKING:
    from audiotransfer.styles import Style
    from separation import Separator

#: The notice where no better separator is installed.
SMALL_SEPARATOR = (
    "separating with the small embedded separator; `audiotransfer fetch htdemucs` gets a better one"
)


_PATHS = ("stems_out", "midi_out", "sheet_out", "leadsheet")
_WORDS = ("keep", "mute", COVER, TIMBRE)


@dataclass(frozen=True)
class StemChoice:
    """The choice for one stem: keep it, mute it, transfer it to a style, or have it played by a
    band: ``timbre`` and ``cover`` are the song's own style in that mode.
    """

    action: Literal["keep", "mute", "style", "cover", "timbre"]
    style: str | Path | Style | None = None
    strength: float | None = None
    """0..1; ``None`` is the song's strength."""

    @classmethod
    def parse(cls, text: str) -> StemChoice:
        """``keep``, ``mute``, ``cover``, ``timbre``, ``STYLE`` or ``STYLE@STRENGTH``."""
        if text in _WORDS:
            return cls(text)  # type: ignore[arg-type]
        style, at, strength = text.rpartition("@")
        if not at:
            style = text
        if not style or style in _WORDS:
            raise AudioTransferError(
                f"stem choice {text!r}: expected keep, mute, cover, timbre, STYLE or STYLE@STRENGTH"
            )
        return cls("style", style, check_strength(strength) if at else None)


@dataclass(frozen=True)
class StemFormat:
    """Selection, audio format and names of the stems that are written into a folder."""

    format: Literal["wav", "flac", "mp3", "ogg"] = "wav"
    encoding: Literal["int16", "int24", "float32"] | None = None
    """``None`` is the best that the format holds: float32 in wav, int24 in flac."""
    rate: Literal["44100", "song"] = "44100"
    """``44100`` is 44.1 kHz stereo, at which stems are separated; ``song`` is the song's own rate
    and channels (stereo where it has more than two)."""
    stems: tuple[str, ...] = ()
    """Only these; none named is all."""
    two_stems: str | None = None
    """This stem and, as ``no_NAME``, the sum of all others."""
    name: str = "{stem}"
    """Of each file, without its suffix: a pattern of ``{song}``, ``{stem}`` and ``{style}``, which
    is ``dry`` for a stem as it was separated; slashes make folders. Without ``{style}`` a stem's
    style is added: ``drums.jazz``."""
    song: str | None = None
    """The value of ``{song}``; ``None`` is the name of the song's file."""

    def __post_init__(self) -> None:
        for name, known in (("format", FORMATS), ("rate", RATES)):
            value = getattr(self, name)
            if value not in known:
                raise AudioTransferError(f"stems' {name} {value!r}: there are {', '.join(known)}")
        check_pattern(self.name, ("song", "stem", "style"), needed=["stem"])
        if self.stems and self.two_stems:
            raise AudioTransferError(
                f"stems {', '.join(self.stems)} and two stems ({self.two_stems}) contradict each"
                " other: give one of them"
            )
        if self.encoding is not None and self.format in ("mp3", "ogg"):
            raise AudioTransferError(
                f"{self.format} has no samples of {self.encoding}: leave it out, or take wav or"
                " flac"
            )

    @property
    def samples(self) -> Literal["int16", "int24", "float32"]:
        """The encoding of the samples in the file."""
        return self.encoding or ("int24" if self.format == "flac" else "float32")

    @property
    def clips(self) -> bool:
        """Whether samples above full scale are lost in the file or in playback."""
        return self.format != "wav" or self.samples != "float32"


FORMATS = ("wav", "flac", "mp3", "ogg")
RATES = ("44100", "song")


@dataclass(frozen=True)
class TransferOptions:
    """Options of a transfer: style and stems, the part of the song, and the output's format.

    Everything has a default; only a style, or a choice for some stem, must be given. A job turns
    them into a :class:`Plan` (what is played), an :class:`Output` (where it goes) and the cut of
    its source, and reads them no more.
    """

    style: str | Path | Style | None = None
    """Name, folder, or a loaded style; stems that it does not know are kept."""
    strength: float = 1.0
    """0 leaves the song as it is, 1 is all of the style."""
    mode: str = AUTO
    """``cover`` has the song arranged for the style's band, ``timbre`` changes the sound of its
    stems; ``auto`` is what the style's card says, and timbre where the transcription is in doubt.
    """
    cover: CoverOptions = field(default_factory=CoverOptions)
    stems: Mapping[str, StemChoice] = field(default_factory=dict)
    gains_db: Mapping[str, float] = field(default_factory=dict)
    """Name of a stem, or of a cover's part -> dB, applied after the transfer."""
    effects: bool = True
    """Whether the style's effects (amplifiers and others) are applied."""
    separator: str | Separator = "auto"
    """``auto``, ``NAME`` or ``NAME:MODEL``, or a separator object."""
    vocoder: str = "auto"
    device: str = "auto"
    seed: int = 0
    stems_out: Path | None = None
    """Folder for whole stems before gains: ``drums.wav`` as separated and, where a style changed
    it, ``drums.jazz.wav``.
    """
    midi_out: Path | None = None
    """File for the arrangement of a cover as MIDI, in time with the song; of several songs the
    folder."""
    sheet_out: Path | None = None
    """File for the lead sheet that a cover was arranged from, as JSON: as ``leadsheet`` it gives
    the same cover again."""
    stem_format: StemFormat = field(default_factory=StemFormat)
    cut: Cut = field(default_factory=Cut)
    encoding: Literal["int16", "int24", "float32"] = "int16"
    overwrite: bool = False
    cache: bool = True
    """Whether separation and transcription of the song are kept for other styles and seeds."""
    keep_parts: bool = False
    """Whether the cache keeps the sound of a cover's parts too, for the next arrangement of it."""
    block: int | None = None
    """Block length in samples at 44.1 kHz, a multiple of the separator's and the transfers'
    ``grid``; ``None`` is about :data:`audiotransfer.pipeline.blocks.BLOCK`.
    """

    def __post_init__(self) -> None:
        for name, example in (("stems", "{'vocals': 'keep'}"), ("gains_db", "{'vocals': 2.0}")):
            value = getattr(self, name)
            if not isinstance(value, Mapping):
                raise AudioTransferError(
                    f"{name} of the type {type(value).__name__}: give a dict, as {example}"
                )
        for stem, choice in self.stems.items():
            if not isinstance(choice, StemChoice):
                raise AudioTransferError(
                    f"stem choice {choice!r} of {stem!r}: expected 'keep', 'mute', a style's name"
                    " or 'STYLE@STRENGTH'"
                )
        check_seed(self.seed)
        check_mode(self.mode, midi=False)


def from_fields(**values: Any) -> TransferOptions:
    """Options from keyword arguments, stems also as text (see :meth:`StemChoice.parse`), and those
    of a cover (see :class:`CoverOptions`) among the others: ``lead="trumpet"``.

    Raises :class:`AudioTransferError`, with the nearest one, for a field that is not there.
    """
    known = [field.name for field in dataclasses.fields(TransferOptions)]
    of_cover = [field.name for field in dataclasses.fields(CoverOptions)]
    for name in values:
        if name not in known and name not in of_cover:
            raise AudioTransferError(f"unknown option {name!r}: {suggest(name, known + of_cover)}")
    for name in _PATHS:
        if isinstance(values.get(name), str):
            values[name] = Path(values[name])
    stems = values.pop("stems", None)
    if isinstance(stems, Mapping):
        stems = {
            name: StemChoice.parse(choice) if isinstance(choice, str) else choice
            for name, choice in stems.items()
        }
    asked = {name: values.pop(name) for name in of_cover if name in values}
    cover = dataclasses.replace(values.pop("cover", CoverOptions()), **asked)
    return TransferOptions(**values, stems={} if stems is None else stems, cover=cover)


def check_strength(value: object) -> float:
    """A strength 0..1 as a float; raises :class:`AudioTransferError` otherwise."""
    try:
        strength = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        strength = math.nan
    if not 0.0 <= strength <= 1.0:
        raise AudioTransferError(
            f"strength {value} is out of range: give 0 (the song as it is) to 1 (all style)"
        )
    return strength


def check_seed(value: object) -> None:
    """Raises :class:`AudioTransferError` unless a seed is a whole number from 0 to 2^63 - 1."""
    try:
        fits = 0 <= operator.index(value) < 2**63  # type: ignore[arg-type]
    except TypeError:
        fits = False
    if not fits:
        raise AudioTransferError(f"seed {value!r} is none: give a whole number from 0")


def check_gain(stem: str, value: object) -> float:
    """A gain in dB as a float; raises :class:`AudioTransferError` unless it is within ±60 dB."""
    try:
        gain = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        gain = math.nan
    if not -60.0 <= gain <= 60.0:
        raise AudioTransferError(
            f"gain {stem}={value} is out of range: give -60 to 60 dB (or mute the stem)"
        )
    return gain
