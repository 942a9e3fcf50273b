"""The lead sheet of a recording: transcribed while the song is measured, or read from a file."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiotransfer.audio.resampling import STEREO_RATE, StreamResampler
from audiotransfer.cover.span import part_of_sheet
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet.files import is_whole, read_lead_sheet
from audiotransfer.pipeline.dynamics import PowerMeter
from audiotransfer.pipeline.measuring import Measured, measure
from audiotransfer.transcription.transcriber import Transcriber, Transcription

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from audiotransfer.leadsheet import LeadSheet
    from audiotransfer.pipeline.reporting import Tracker
    from audiotransfer.pipeline.sources import Source

_APART_SECONDS = 10.0  # that a song and its lead sheet may differ in length
#: A lead sheet that somebody gave is relied on.
_GIVEN = Transcription(None, 1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Examined:
    """Measurements of a song, its transcription, and its power by windows (see `PowerMeter`)."""

    measured: Measured
    transcription: Transcription
    powers: NDArray[np.float64]


def examine(song: Source, leadsheet: Path | None, tracker: Tracker) -> Examined:
    """Measures a song and transcribes it in the same pass.

    A lead sheet as JSON takes the place of the transcription; one as chord text replaces its
    chords. Raises AudioTransferError for a lead sheet that cannot be read, or is not the song's.
    """
    given = None
    if leadsheet is not None and is_whole(leadsheet):
        given = _of_song(read_lead_sheet(leadsheet), song, leadsheet)
    meter = PowerMeter(song.sample_rate)
    transcriber = None if given is not None else _Transcribing(song)

    def also(audio: Tensor) -> None:
        meter.push(audio)
        if transcriber is not None:
            transcriber.push(audio)

    measured = measure(song, tracker, also)
    if given is not None:
        return Examined(measured, replace(_GIVEN, sheet=given), meter.powers())
    assert transcriber is not None
    found = transcriber.finish()
    if leadsheet is not None and found.sheet is not None:
        corrected = _of_song(read_lead_sheet(leadsheet, found.sheet), song, leadsheet)
        found = replace(found, sheet=corrected, chords=1.0)
    return Examined(measured, found, meter.powers())


def _of_song(sheet: LeadSheet, song: Source, path: Path) -> LeadSheet:
    """The lead sheet, or of a cut song the part of it that the cut has.

    Raises AudioTransferError where its length is that of another song.
    """
    if not song.frames:  # a few files do not say how long they are
        return sheet
    start, total = song.place
    seconds = song.frames / song.sample_rate
    near_whole = abs(sheet.seconds - total) <= _APART_SECONDS
    if abs(sheet.seconds - seconds) <= _APART_SECONDS and not (start or near_whole):
        return sheet
    if not near_whole:
        raise AudioTransferError(
            f"{path} is the lead sheet of a song of {sheet.seconds:.0f} s, and this one lasts"
            f" {total:.0f} s; `audiotransfer transcribe` writes its own"
        )
    if seconds >= total:
        return sheet
    try:
        return part_of_sheet(sheet, start, seconds)
    except AudioTransferError as error:
        raise AudioTransferError(f"{path}: {error}") from None


class _Transcribing:
    """A transcriber that takes a song at its own rate."""

    def __init__(self, song: Source) -> None:
        self._channels = min(2, song.channels)
        self._resampler = StreamResampler(song.sample_rate, STEREO_RATE, self._channels)
        self._transcriber = Transcriber()
        self._title = song.title

    def push(self, audio: Tensor) -> None:
        with suppress(NotImplementedError):
            self._transcriber.push(self._resampler.push(audio))

    def finish(self) -> Transcription:
        rest = self._resampler.push(torch.zeros(self._channels, 0), last=True)
        try:
            self._transcriber.push(rest)
            return self._transcriber.finish(self._title)
        except NotImplementedError:
            return Transcription(None, doubt="this version does not transcribe recordings")
