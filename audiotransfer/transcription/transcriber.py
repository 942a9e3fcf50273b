"""Transcribes a recording, pushed block by block, to a lead sheet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from audiotransfer.audio.resampling import STEREO_RATE, StreamResampler
from audiotransfer.transcription.beats import find_beats
from audiotransfer.transcription.confidence import confidence_of, doubt_of_sound, is_silent
from audiotransfer.transcription.drums import drum_hits
from audiotransfer.transcription.dynamics import LoudnessCurve
from audiotransfer.transcription.pitch_transcriber import PitchTranscriber
from audiotransfer.transcription.rhythm_detection import RhythmDetector
from audiotransfer.transcription.sheet import even_grid, recording_sheet

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from audiotransfer.leadsheet import LeadSheet

#: Sample rate of the networks in Hz.
MONO_RATE = 22_050
_VOICE_SECONDS = 20.0


@dataclass(frozen=True)
class Transcription:
    """A recording's lead sheet, and how far it can be relied on.

    ``beats``, ``chords`` and ``lead`` are confidences 0..1. ``voice`` is the probability that
    somebody sings, in the 20 s in which it is highest. ``doubt`` says in words why the lead
    sheet should not be arranged (no steady beat, speech, silence); ``None`` where it may be.
    Recordings of silence have no lead sheet; those without a beat have one in even beats.
    """

    sheet: LeadSheet | None
    beats: float = 0.0
    chords: float = 0.0
    lead: float = 0.0
    doubt: str | None = None
    voice: float = 1.0


class Transcriber:
    """Transcribes a recording in one pass.

    Both networks answer as the samples come; what is kept are their answers, about 0.2 GB for an
    hour, and no samples. The time is proportional to the length.
    """

    def __init__(self) -> None:
        self._resampler = StreamResampler(STEREO_RATE, MONO_RATE, 1)
        self._pitch, self._rhythm = PitchTranscriber(), RhythmDetector()
        self._loudness = LoudnessCurve(MONO_RATE)
        self._samples = 0

    def push(self, mix: Tensor) -> None:
        """Takes the next samples ``[C, t]`` of the recording at 44.1 kHz."""
        self._add(self._resampler.push(mix.mean(0, keepdim=True)))

    def finish(self, title: str = "") -> Transcription:
        """The transcription of everything that was pushed."""
        self._add(self._resampler.push(torch.zeros(1, 0), last=True))
        self._loudness.push(np.zeros(0), last=True)
        levels = self._loudness.levels()
        doubt = doubt_of_sound(levels)
        if is_silent(levels):
            return Transcription(None, doubt=doubt)
        pitch, rhythm = self._pitch.finish(), self._rhythm.finish()
        grid = find_beats(rhythm, pitch)
        beats = 0.0 if grid is None else grid.confidence
        grid = grid or even_grid(self._samples / MONO_RATE)
        sheet = recording_sheet(pitch, grid, drum_hits(rhythm), levels, title)
        sure = confidence_of(sheet, rhythm, beats)
        voice = _highest_mean(pitch.voice, round(_VOICE_SECONDS * pitch.rate))
        doubt = doubt or sure.doubt()
        return Transcription(sheet, sure.beats, sure.chords, sure.lead, doubt, voice)

    def _add(self, mono: Tensor) -> None:
        """Takes the next samples ``[1, t]`` at 22.05 kHz."""
        samples = mono[0]
        self._samples += len(samples)
        self._pitch.push(samples.numpy())
        self._rhythm.push(samples)
        self._loudness.push(samples.numpy())


def _highest_mean(values: NDArray[np.floating], count: int) -> float:
    """The highest mean of ``count`` values in a row, or of all where there are fewer."""
    sums = np.cumsum(np.pad(values.astype(np.float64), (1, 0)))
    count = min(count, len(values))
    return float((sums[count:] - sums[: len(sums) - count]).max() / count) if count else 0.0
