"""Types of the Python interface's arguments, by which editors complete names and options.

Styles, leads and stems are literals beside `str`: what ships is completed, and styles of one's own,
further instruments and separators with other stems are accepted. Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from audiotransfer.pipeline.cover_options import CoverOptions
    from audiotransfer.pipeline.cut import Cut
    from audiotransfer.pipeline.options import StemChoice, StemFormat
    from audiotransfer.pipeline.reporting import ProgressCallback
    from separation import Separator

StyleName = Literal[
    "bossa",
    "classical",
    "electronic",
    "jazz",
    "jazz-cycle-gan",
    "jazz-melgan-vc",
    "jazz-piano",
    "jazz-piano-cycle",
    "rock",
]
"""The styles for recordings that ship."""
StemName = Literal["drums", "bass", "other", "vocals"]
"""The stems of every separator that ships."""
Choice = Literal["keep", "mute", "cover", "timbre"] | StyleName
"""What may become of a stem; ``STYLE@STRENGTH`` besides."""
Mode = Literal["auto", "cover", "timbre"]
"""Modes of recordings."""


class StemChoices(TypedDict, total=False):
    """A choice for each of the usual stems."""

    drums: Choice | str | StemChoice
    bass: Choice | str | StemChoice
    other: Choice | str | StemChoice
    vocals: Choice | str | StemChoice


class Keywords(TypedDict, total=False):
    """The fields of `TransferOptions` and of `CoverOptions`, but for style, stems and strength."""

    mode: Mode | str
    gains_db: Mapping[StemName | str, float]
    effects: bool
    separator: Literal["auto", "embedded", "demucs", "hpss", "none"] | str | Separator
    vocoder: Literal["auto", "source"] | str
    device: Literal["auto", "cpu", "cuda", "mps"] | str
    seed: int
    stems_out: str | Path | None
    midi_out: str | Path | None
    sheet_out: str | Path | None
    stem_format: StemFormat
    cut: Cut
    encoding: Literal["int16", "int24", "float32"]
    overwrite: bool
    cache: bool
    keep_parts: bool
    block: int | None
    cover: CoverOptions
    lead: str | None
    transpose: int
    tempo: float | None
    intro: int
    outro: int
    swing: float | None
    leadsheet: str | Path | None
    leadsheet_of_part: bool


class TransferKeywords(Keywords, total=False):
    """The options of `transfer`."""

    strength: float


class StyleKeywords(Keywords, total=False):
    """The options of a loaded style that is called."""

    stems: StemChoices | Mapping[str, StemChoice | str] | None
    progress: ProgressCallback | None
