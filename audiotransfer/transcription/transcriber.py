"""Transcribes a recording, pushed block by block, to a lead sheet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from audiotransfer.leadsheet import LeadSheet


@dataclass(frozen=True)
class Transcription:
    """A recording's lead sheet, and how far it can be relied on.

    ``beats``, ``chords`` and ``lead`` are confidences 0..1. ``doubt`` says in words why the lead
    sheet should not be arranged (no steady beat, speech, silence); ``None`` where it may be.
    """

    sheet: LeadSheet | None
    beats: float = 0.0
    chords: float = 0.0
    lead: float = 0.0
    doubt: str | None = None


class Transcriber:
    """Transcribes a recording in one pass, in memory that hardly grows with its length."""

    def push(self, mix: Tensor) -> None:
        """Takes the next samples ``[C, t]`` of the recording at 44.1 kHz."""
        raise NotImplementedError

    def finish(self, title: str = "") -> Transcription:
        """The transcription of everything that was pushed."""
        raise NotImplementedError
