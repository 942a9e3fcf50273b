"""The lead sheet of a recording: transcribed while the song is measured, or read from a file."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiotransfer import __version__, transcription
from audiotransfer.audio.channels import to_stereo
from audiotransfer.audio.resampling import STEREO_RATE, StreamResampler
from audiotransfer.audio.reverberation import ReverberationMeter, RoomEstimate
from audiotransfer.audio.sound_profile import SoundMeter, SoundProfile
from audiotransfer.cover.span import part_of_sheet
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet.files import from_json, is_whole, read_lead_sheet, to_json
from audiotransfer.pipeline.cache import Cache, key_of
from audiotransfer.pipeline.measuring import Measured, measure
from audiotransfer.pipeline.sheet_files import check_fits, fits
from audiotransfer.styles import sha256
from audiotransfer.transcription.transcriber import Transcriber, Transcription

if TYPE_CHECKING:
    from audiotransfer.leadsheet import LeadSheet
    from audiotransfer.pipeline.reporting import Tracker
    from audiotransfer.pipeline.sources import Source

WEIGHTS = Path(transcription.__file__).parent / "shipped"
#: A lead sheet that somebody gave is relied on.
_GIVEN = Transcription(None, 1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Examined:
    """Measurements of a song, its transcription, its sound and room as far as they show."""

    measured: Measured
    transcription: Transcription
    sound: SoundProfile
    room: RoomEstimate | None


def is_given(leadsheet: Path | None) -> bool:
    """Whether a lead sheet takes the place of the transcription."""
    return leadsheet is not None and is_whole(leadsheet)


def examine(
    song: Source,
    leadsheet: Path | None,
    tracker: Tracker,
    cache: Cache | None = None,
    *,
    of_part: bool = False,
) -> Examined:
    """Measures a song and transcribes it in the same pass.

    A lead sheet as JSON takes the place of the transcription; one as chord text replaces its
    chords. ``of_part`` says that it is the lead sheet of a cut song's part. Raises
    AudioTransferError for a lead sheet that cannot be read, or is not the song's.
    """
    given = None
    if leadsheet is not None and is_given(leadsheet):
        given = _of_song(read_lead_sheet(leadsheet), song, leadsheet, of_part)
    found = None if cache is None or given is not None else kept_transcription(cache, song)
    song_pass = _Pass(song, transcribes=given is None and found is None)
    measured = measure(song, tracker, song_pass.push)
    transcribed = song_pass.finish()
    sound, room = song_pass.sound.profile(), song_pass.room.estimate()
    if given is not None:
        return Examined(measured, replace(_GIVEN, sheet=given), sound, room)
    if transcribed is not None:
        found = keep_transcription(cache, song, transcribed)
    assert found is not None
    if leadsheet is not None and found.sheet is not None:
        read = read_lead_sheet(leadsheet, found.sheet)
        corrected = _of_song(read, song, leadsheet, of_part)
        found = replace(found, sheet=corrected, chords=1.0)
    return Examined(measured, found, sound, room)


def _key(song: Source) -> str:
    """The name of a song's transcription in the cache; empty for one that cannot be read."""
    weights = sorted(WEIGHTS.glob("*.safetensors"))
    try:
        return key_of("transcription", __version__, song.digest, *map(sha256, weights))
    except OSError:
        return ""


def kept_transcription(cache: Cache, song: Source) -> Transcription | None:
    """The song's transcription in the cache; its title is that of the song's file."""
    key = _key(song)
    data = cache.read(key) if key else None
    found = None if data is None else _of_json(data)
    if found is None or found.sheet is None:
        return found
    return replace(found, sheet=replace(found.sheet, title=song.title))


def keep_transcription(cache: Cache | None, song: Source, found: Transcription) -> Transcription:
    """The transcription with the digits that an entry of the cache has, in which it is kept.

    Without a cache too, so that both give the same samples.
    """
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    data = json.dumps({**values, "sheet": to_json(found.sheet) if found.sheet else None}).encode()
    rounded = _of_json(data)
    if rounded is None:
        return found
    if cache is not None and (key := _key(song)):
        cache.write(key, data)
    return rounded


def _of_json(data: bytes) -> Transcription | None:
    """The transcription of an entry; ``None`` for one of another version."""
    try:
        values = json.loads(data)
        text = values.pop("sheet")
        return Transcription(from_json(text, "the transcription") if text else None, **values)
    except (AudioTransferError, TypeError, ValueError):
        return None


def _of_song(sheet: LeadSheet, song: Source, path: Path, of_part: bool) -> LeadSheet:
    """The lead sheet, or of a cut song the part of it that the cut has, unless it is that already.

    Raises AudioTransferError where its length is that of another song.
    """
    if not song.frames:  # a few files do not say how long they are
        return sheet
    start, total = song.place
    seconds = song.frames / song.sample_rate
    if of_part:
        check_fits(sheet, seconds, path)
        return sheet
    # Part and song may differ by less than what a lead sheet may be apart from its song.
    if fits(sheet, seconds) and abs(sheet.seconds - seconds) < abs(sheet.seconds - total):
        return sheet
    check_fits(sheet, total, path)
    if seconds >= total:
        return sheet
    try:
        return part_of_sheet(sheet, start, seconds)
    except AudioTransferError as error:
        raise AudioTransferError(f"{path}: {error}") from None


class _Pass:
    """Transcribes a song that is pushed at its own rate, and measures its sound and room."""

    def __init__(self, song: Source, *, transcribes: bool) -> None:
        self._channels = min(2, song.channels)
        self._resampler = StreamResampler(song.sample_rate, STEREO_RATE, self._channels)
        self._transcriber = Transcriber() if transcribes else None
        self._title = song.title
        self.sound, self.room = SoundMeter(), ReverberationMeter()

    def push(self, audio: Tensor, last: bool = False) -> None:
        sound = self._resampler.push(audio, last=last)
        self.sound.push(to_stereo(sound))
        self.room.push(sound)
        if self._transcriber is not None:
            self._transcriber.push(sound)

    def finish(self) -> Transcription | None:
        """The transcription, where one was asked for."""
        self.push(torch.zeros(self._channels, 0), last=True)
        if self._transcriber is None:
            return None
        return self._transcriber.finish(self._title)
