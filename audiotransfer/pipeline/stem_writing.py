"""The stage that writes stems into a folder, and passes the blocks on to the mix.

Stems are separated at 44.1 kHz stereo. At the song's own rate they are resampled, and what
resampling there and back loses of the song, such as everything above 22 kHz, goes to ``other``, so
that they sum to the song at any rate. In formats that clip above full scale all stems get one gain,
which keeps their balance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor

from audiotransfer.atomic import clear_own
from audiotransfer.audio.resampling import STEREO_RATE, StreamResampler
from audiotransfer.audio.writing import AudioWriter
from audiotransfer.pipeline.blocks import StemBlock, TimeQueue
from audiotransfer.pipeline.finishing import Spool
from audiotransfer.pipeline.measuring import Measured
from audiotransfer.pipeline.naming import ensure_folder
from audiotransfer.pipeline.output import Output, StemFile
from audiotransfer.pipeline.own_outputs import stem_comment
from audiotransfer.pipeline.reporting import Tracker
from audiotransfer.pipeline.sources import PIECE

OTHER = "other"
_HIGHEST = 1.0 - 1e-4  # rounding to 16 bit may lift a peak by a few of its steps


class StemWriters:
    """Writes the stems' files, which get their final names when the stack closes, all or none."""

    def __init__(
        self,
        names: Sequence[str],
        styled: Sequence[str],
        measured: Measured,
        output: Output,
        wanted: list[StemFile],
        stack: ExitStack,
        *,
        complete: bool = True,
    ) -> None:
        """``names`` and ``styled`` are the stems of blocks, dry and wet; ``complete`` says whether
        the dry ones sum to the song.
        """
        self._names, self._styled = names, styled
        self._files, self._on_stems = wanted, output.on_stems
        _make_folders(wanted, stack)
        rate = output.stem_rate(measured.sample_rate)
        self._channels = output.stem_channels(measured.channels)
        self._writers = [
            stack.enter_context(
                AudioWriter(
                    file.path,
                    rate,
                    self._channels,
                    encoding=output.stem_format.samples,
                    tags={"comment": stem_comment(file.name, file.style)},
                    overwrite=output.overwrite,
                )
            )
            for file in wanted
        ]
        self._native: _NativeStems | None = None
        if (rate, self._channels) != (STEREO_RATE, 2):
            self._native = _NativeStems(
                measured, [complete and OTHER in file.parts for file in wanted]
            )
        self._spool: Spool | None = None
        if output.stem_format.clips:
            folder = wanted[0].path.parent
            self._spool = stack.enter_context(Spool(folder, len(wanted) * self._channels))
        self._peak = 0.0

    def tee(
        self, blocks: Iterable[StemBlock], tracker: Tracker, notices: list[str]
    ) -> Iterator[StemBlock]:
        """Writes the stems of each block and yields it; adds a notice where a gain was needed."""
        for block in blocks:
            self._write(block)
            yield block
        if self._spool is not None:
            notices += self._write_spooled(self._spool, tracker)

    def _write(self, block: StemBlock) -> None:
        dry = dict(zip(self._names, block.dry, strict=True))
        wet = {**dry, **dict(zip(self._styled, block.wet, strict=True))}
        audio = torch.stack(
            [
                _sum([(wet if file.style else dry)[part] for part in file.parts], block.dry)
                for file in self._files
            ]
        )
        if self._on_stems is not None:
            self._on_stems(
                {(file.name, file.style): one for file, one in zip(self._files, audio, strict=True)}
            )
        if self._native is not None:
            audio = self._native.push(audio, block)
        self._peak = max(self._peak, float(audio.abs().amax()) if audio.numel() else 0.0)
        if self._spool is None:
            self._put(audio)
        else:
            self._spool.write(audio.flatten(0, 1))

    def _write_spooled(self, spool: Spool, tracker: Tracker) -> list[str]:
        """Writes the stems that waited for the peak of all; returns a notice about their gain."""
        over = self._peak > 1.0
        gain = _HIGHEST / self._peak if over else 1.0
        for piece in spool.blocks(PIECE // len(self._files)):
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
    """Brings stems from 44.1 kHz stereo to the song's own rate, channels and length."""

    def __init__(self, measured: Measured, gets_rest: list[bool]) -> None:
        """``gets_rest``: the files to which the song's remainder is added."""
        self._channels = measured.channels
        self._gets_rest = torch.tensor(gets_rest).float()[:, None, None]
        self._resampler = StreamResampler(
            STEREO_RATE, measured.sample_rate, (len(gets_rest) + 1) * measured.channels
        )
        self._missing = measured.working_frames
        self._left = measured.frames
        self._song = TimeQueue()

    def push(self, stems: Tensor, block: StemBlock) -> Tensor:
        """The files' stems ``[N, 2, t]`` of a block as ``[N, C, u]``."""
        rests = bool(self._gets_rest.any())
        if rests:
            self._song.push(block.native)
        audio = torch.cat((stems, block.dry.sum(0)[None]))
        if self._channels == 1:
            audio = audio.mean(1, keepdim=True)
        self._missing -= audio.shape[-1]
        audio = self._resampler.push(audio.flatten(0, 1), last=self._missing == 0)
        native: Tensor = audio[:, : self._left].unflatten(0, (-1, self._channels))
        self._left -= native.shape[-1]
        if not native.shape[-1] or not rests:
            return native[:-1]
        rest = self._song.take(native.shape[-1]) - native[-1]
        return native[:-1] + self._gets_rest * rest


def _make_folders(wanted: list[StemFile], stack: ExitStack) -> None:
    """Makes the files' folders; a job that fails removes the empty ones again."""
    for folder in dict.fromkeys(file.path.parent for file in wanted):
        stack.enter_context(ensure_folder(folder))

        def clear(kind: type[BaseException] | None, *_: object, folder: Path = folder) -> None:
            # A signal may come after a file was created and before its writer would remove it.
            if kind is not None:
                clear_own(folder)

        stack.push(clear)


def _sum(parts: list[Tensor], like: Tensor) -> Tensor:
    if not parts:  # a separator of one stem leaves nothing beside it
        return like.new_zeros(like.shape[1:])
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)
