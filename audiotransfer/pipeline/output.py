"""The outputs of one song: its file, its stems' folder, and the names of the stems' files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import Tensor

from audiotransfer.atomic import check_place
from audiotransfer.audio.resampling import STEREO_RATE
from audiotransfer.audio.writing import check_output
from audiotransfer.errors import AudioTransferError
from audiotransfer.midi.score import WRITTEN
from audiotransfer.pipeline.cover_plan import part_name
from audiotransfer.pipeline.naming import (
    ensure_folder,
    fill_pattern,
    has_field,
    is_folder,
    is_same_file,
)
from audiotransfer.pipeline.options import StemFormat, TransferOptions
from audiotransfer.pipeline.own_outputs import DRY_STYLE
from audiotransfer.pipeline.plan import Plan, check_stems
from audiotransfer.pipeline.sources import Source
from audiotransfer.styles import style_label

OnStems = Callable[[Mapping[tuple[str, str | None], Tensor]], None]
"""Is given each block of the stems ``[2, t]`` at 44.1 kHz, by name and style, as it is written."""

REST = "no_"
"""The prefix of a stem's counterpart: the sum of all other stems."""


@dataclass(frozen=True)
class StemFile:
    """One file of a stems' folder."""

    name: str
    """A stem, ``no_vocals``, or a part of a cover."""
    style: str | None
    """``None`` for a stem as it was separated."""
    parts: tuple[str, ...]
    """The separator's stems that it is the sum of."""
    path: Path


@dataclass(frozen=True)
class Output:
    """The output paths and formats of one song; independent of how it is transferred."""

    path: Path | None = None
    """The song's file; ``None``: only stems are written, or the song stays in memory."""
    encoding: Literal["int16", "int24", "float32"] = "float32"
    label: str = "mix"
    """The style's name, which the song's tags are marked with."""
    stems_folder: Path | None = None
    """``None``: no stems are written."""
    stem_format: StemFormat = field(default_factory=StemFormat)
    overwrite: bool = False
    midi: Path | None = None
    """File for the arrangement of a cover."""
    sheet: Path | None = None
    """File for the lead sheet that a cover was arranged from."""
    on_stems: OnStems | None = None

    @classmethod
    def file(cls, path: str | Path, options: TransferOptions) -> Output:
        """A song's file, and its stems where the options name a folder for them."""
        return cls(
            Path(path),
            options.encoding,
            style_label(options.style),
            options.stems_out,
            options.stem_format,
            options.overwrite,
            options.midi_out,
            options.sheet_out,
        )

    @classmethod
    def stems(cls, folder: str | Path | None, options: TransferOptions) -> Output:
        """Only stems in a folder."""
        return cls(
            stems_folder=None if folder is None else Path(folder),
            stem_format=options.stem_format,
            overwrite=options.overwrite,
            midi=options.midi_out,
            sheet=options.sheet_out,
        )

    def check(self, song: Source) -> None:
        """Raises :class:`AudioTransferError` unless file and stems' folder can be written; needs no
        plan.
        """
        if self.path is not None:
            check_output(
                self.path,
                self.overwrite,
                sample_rate=song.sample_rate,
                channels=min(2, song.channels),
                encoding=self.encoding,
            )
            if song.path is not None and is_same_file(self.path, song.path):
                raise AudioTransferError(f"{self.path} is the song itself: give another output")
            if self.stem_format.two_stems:
                raise AudioTransferError(
                    "two stems can be separated, not transferred: use `audiotransfer separate`"
                )
        if self.stems_folder is not None:
            _check_folder(self.stems_folder)
        if self.midi is not None:
            if self.midi.suffix.lower() not in WRITTEN:
                raise AudioTransferError(f"{self.midi} is no MIDI file by its name; end it in .mid")
            check_place(self.midi, self.overwrite)
        if self.sheet is not None:
            check_place(self.sheet, self.overwrite)

    def stem_files(self, plan: Plan, song: Source) -> list[StemFile]:
        """Names the files that go into the stems' folder; none where there is no such folder.

        Raises :class:`AudioTransferError` for a stem that the separator does not have, a file that
        cannot be written, and one that would replace the song or its output.
        """
        if self.stems_folder is None:
            return []
        named = self._named_stems(plan, song.title, self.stems_folder)
        taken = [path for path in (song.path, self.path) if path is not None]
        for file in named:
            if any(is_same_file(file.path, other) for other in taken):
                raise AudioTransferError(
                    f"stem {file.path} would stand over the song: give another stems folder"
                )
            with ensure_folder(file.path.parent):
                check_output(
                    file.path,
                    self.overwrite,
                    sample_rate=self.stem_rate(song.sample_rate),
                    channels=self.stem_channels(song.channels),
                    encoding=self.stem_format.samples,
                )
        return named

    def stem_rate(self, sample_rate: int) -> int:
        """Hz of the stems' files, of a song's rate."""
        return sample_rate if self.stem_format.rate == "song" else STEREO_RATE

    def stem_channels(self, channels: int) -> int:
        """Channels of the stems' files, of a song's."""
        return min(2, channels) if self.stem_format.rate == "song" else 2

    def _named_stems(self, plan: Plan, title: str, folder: Path) -> list[StemFile]:
        wanted = self.stem_format

        def file(name: str, style: str | None, parts: tuple[str, ...]) -> StemFile:
            filled = fill_pattern(
                wanted.name, song=wanted.song or title, stem=name, style=style or DRY_STYLE
            )
            if style and not has_field(wanted.name, "style"):
                filled += f".{style}"
            return StemFile(name, style, parts, folder / f"{filled}.{wanted.format}")

        if wanted.two_stems:
            one = wanted.two_stems
            check_stems([one], plan.stems, plan.separator_name)
            rest = tuple(stem for stem in plan.stems if stem != one)
            return [file(one, None, (one,)), file(f"{REST}{one}", None, rest)]
        check_stems(wanted.stems, plan.stems, plan.separator_name)
        found = []
        for name, stem in plan.stems.items():
            if plan.cover is not None and stem.action not in ("keep", "style"):
                continue  # parts of the band take its place
            if not wanted.stems or name in wanted.stems:
                found.append(file(name, None, (name,)))
                if stem.action == "style":
                    found.append(file(name, stem.style, (name,)))
        if plan.cover is not None:
            for role in plan.cover.roles:
                name = part_name(role.name)
                found.append(file(name, plan.cover.style, (name,)))
        return found


def _check_folder(folder: Path) -> None:
    if os.path.lexists(folder) and not is_folder(folder):
        raise AudioTransferError(f"stems folder {folder} is a file: give a folder")
    with ensure_folder(folder):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise AudioTransferError(f"folder {folder} is not writable: give another stems folder")
