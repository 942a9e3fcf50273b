"""Stems on their way into a folder: which ones, at which rate, as what kind of files.

Stems are separated at 44.1 kHz stereo. At the song's own rate they are resampled, and what the
way there and back takes from the song, such as everything above 22 kHz, goes to ``other``, so that
they sum to the song at any rate. Files that cannot hold what is above full scale get all stems with
one gain, which keeps their balance.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from audiotransfer.atomic import clear_own
from audiotransfer.audio.resampling import STEREO_RATE, StreamResampler
from audiotransfer.audio.writing import AudioWriter, check_output
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.naming import ensure_folder, fill_pattern, has_field, is_same_file
from audiotransfer.pipeline.options import StemFormat
from audiotransfer.pipeline.own_outputs import DRY_STYLE, stem_comment
from audiotransfer.pipeline.planning import Plan, check_stems
from audiotransfer.pipeline.progress import Tracker
from audiotransfer.pipeline.sources import PIECE, Measured, Source, folded
from audiotransfer.pipeline.spool import Spool
from audiotransfer.pipeline.streaming import TimeQueue

OTHER = "other"
REST = "no_"
"""What the name of a stem's counterpart begins with: the sum of all others."""
_HIGHEST = 1.0 - 1e-4  # rounding to 16 bit may lift a peak by a few of its steps


@dataclass(frozen=True)
class StemFile:
    """One file of a stems' folder."""

    name: str
    """A stem, or ``no_vocals``."""
    style: str | None
    """``None`` as it was separated."""
    parts: tuple[str, ...]
    """The separator's stems that it is the sum of."""
    path: Path


def stem_files(plan: Plan, source: Source) -> list[StemFile]:
    """The files that a plan writes into its stems' folder; none where it has no such folder.

    Raises :class:`AudioTransferError` for a stem that the separator does not have.
    """
    folder, wanted = plan.options.stems_out, plan.options.stem_format
    if folder is None:
        return []
    song = wanted.song or f"{Path(source.name).stem}{plan.options.cut.label}"

    def file(name: str, style: str | None, parts: tuple[str, ...]) -> StemFile:
        called = fill_pattern(wanted.name, song=song, stem=name, style=style or DRY_STYLE)
        if style and not has_field(wanted.name, "style"):
            called += f".{style}"
        return StemFile(name, style, parts, folder / f"{called}.{wanted.format}")

    if wanted.two_stems:
        one = wanted.two_stems
        check_stems([one], plan.stems, plan.label)
        rest = tuple(stem for stem in plan.stems if stem != one)
        return [file(one, None, (one,)), file(f"{REST}{one}", None, rest)]
    check_stems(wanted.stems, plan.stems, plan.label)
    found = []
    for name, stem in plan.stems.items():
        if not wanted.stems or name in wanted.stems:
            found.append(file(name, None, (name,)))
            if stem.action == "style":
                found.append(file(name, stem.style, (name,)))
    return found


def check_stem_files(plan: Plan, source: Source, *taken: Path) -> None:
    """Raises :class:`AudioTransferError` where a stem's file cannot be written, or would stand over
    the song or another file that is ``taken``.
    """
    wanted = plan.options.stem_format
    for file in stem_files(plan, source):
        if any(is_same_file(file.path, other) for other in taken):
            raise AudioTransferError(
                f"stem {file.path} would stand over the song: give another stems folder"
            )
        with ensure_folder(file.path.parent):
            check_output(
                file.path,
                plan.options.overwrite,
                sample_rate=_rate(wanted, source),
                channels=_channels(wanted, source),
                encoding=wanted.samples,
            )


class StemWriters:
    """Takes stems as they are separated and played, and writes them; the files appear when the
    stack closes, all or none.
    """

    def __init__(
        self,
        plan: Plan,
        styled: list[str],
        source: Source,
        measured: Measured,
        stack: ExitStack,
    ) -> None:
        self._names, self._styled = list(plan.stems), styled
        self._format = wanted = plan.options.stem_format
        self._files = stem_files(plan, source)
        _make_folders(self._files, stack)
        self._channels = _channels(wanted, source)
        self._writers = [
            stack.enter_context(
                AudioWriter(
                    file.path,
                    _rate(wanted, source),
                    self._channels,
                    encoding=wanted.samples,
                    tags={"comment": stem_comment(file.name, file.style)},
                    overwrite=plan.options.overwrite,
                )
            )
            for file in self._files
        ]
        self._native: _NativeStems | None = None
        if (_rate(wanted, source), self._channels) != (STEREO_RATE, 2):
            gets = [OTHER in file.parts for file in self._files]
            self._native = _NativeStems(source, measured, self._channels, gets)
        self._waiting: Spool | None = None
        if wanted.clips and self._files:
            folder = self._files[0].path.parent
            self._waiting = stack.enter_context(Spool(folder, len(self._files) * self._channels))
        self._peak = 0.0

    def write(self, dry: Tensor, wet: Tensor) -> None:
        """Dry stems ``[S, 2, t]`` in the separator's order, and those that go through a style ``[K,
        2, t]``, at 44.1 kHz.
        """
        before = dict(zip(self._names, dry, strict=True))
        after = {**before, **dict(zip(self._styled, wet, strict=True))}
        audio = torch.stack(
            [
                _sum([(after if file.style else before)[part] for part in file.parts], dry)
                for file in self._files
            ]
        )
        if self._native is not None:
            audio = self._native.push(audio, dry.sum(0))
        self._peak = max(self._peak, float(audio.abs().amax()) if audio.numel() else 0.0)
        if self._waiting is None:
            self._put(audio)
        else:
            self._waiting.write(audio.flatten(0, 1))

    def finish(self, tracker: Tracker) -> list[str]:
        """Writes what waited for the stems' peak; returns what there is to say about it."""
        if self._waiting is None:
            return []
        over = self._peak > 1.0
        gain = _HIGHEST / self._peak if over else 1.0
        for piece in self._waiting.blocks(PIECE // len(self._files)):
            self._put((piece * gain).unflatten(0, (-1, self._channels)))
            tracker.part(0.0)
        if not over:
            return []
        decibels = 20.0 * math.log10(self._peak)
        return [
            f"the stems reach {decibels:.1f} dB above full scale: all of them are written"
            f" {-20.0 * math.log10(gain):.1f} dB softer (32-bit float wav keeps their level)"
        ]

    def _put(self, audio: Tensor) -> None:
        for writer, piece in zip(self._writers, audio, strict=True):
            writer.write(piece)


class _NativeStems:
    """Stems from 44.1 kHz stereo to the song's own rate, channels and length."""

    def __init__(
        self, source: Source, measured: Measured, channels: int, gets_rest: list[bool]
    ) -> None:
        """``gets_rest`` says to which of the files what is left of the song is added."""
        rate = source.sample_rate
        self._channels = channels
        self._gets_rest = torch.tensor(gets_rest).float()[:, None, None]
        self._resampler = StreamResampler(STEREO_RATE, rate, (len(gets_rest) + 1) * channels)
        self._missing = -(-measured.frames * STEREO_RATE // rate)
        self._left = measured.frames
        self._pieces = source.blocks(PIECE)
        self._layout = source.layout
        self._song = TimeQueue()

    def push(self, stems: Tensor, mix: Tensor) -> Tensor:
        """Files' stems ``[N, 2, t]`` and the sum of all ``[2, t]``; gives ``[N, C, u]``."""
        audio = torch.cat((stems, mix[None]))
        if self._channels == 1:
            audio = audio.mean(1, keepdim=True)
        self._missing -= audio.shape[-1]
        audio = self._resampler.push(audio.flatten(0, 1), last=self._missing == 0)
        audio = audio[:, : self._left].unflatten(0, (-1, self._channels))
        self._left -= audio.shape[-1]
        while self._song.length < audio.shape[-1]:
            self._song.push(folded(next(self._pieces), self._layout))
        if not audio.shape[-1]:
            return audio[:-1]
        rest = self._song.take(audio.shape[-1]) - audio[-1]
        return audio[:-1] + self._gets_rest * rest


def _make_folders(wanted: list[StemFile], stack: ExitStack) -> None:
    """Makes the files' folders; a job that fails takes empty ones away again."""
    for folder in dict.fromkeys(file.path.parent for file in wanted):
        stack.enter_context(ensure_folder(folder))

        def clear(kind: type[BaseException] | None, *_: object, folder: Path = folder) -> None:
            # A signal may come after a file was begun and before its writer would clear it away.
            if kind is not None:
                clear_own(folder)

        stack.push(clear)


def _sum(parts: list[Tensor], like: Tensor) -> Tensor:
    if not parts:  # a separator of one stem leaves nothing beside it
        return like.new_zeros(like.shape[1:])
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)


def _rate(wanted: StemFormat, source: Source) -> int:
    return source.sample_rate if wanted.rate == "song" else STEREO_RATE


def _channels(wanted: StemFormat, source: Source) -> int:
    return min(2, source.channels) if wanted.rate == "song" else 2
