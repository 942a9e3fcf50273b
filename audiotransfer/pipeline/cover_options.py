"""Modes of a transfer, and what a cover is asked for, with their checks. Imports nothing heavy."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotransfer.errors import AudioTransferError
from audiotransfer.suggest import nearest, suggest

if TYPE_CHECKING:
    from audiotransfer.cover.band import Band

AUTO, COVER, NETWORK, TIMBRE = "auto", "cover", "network", "timbre"
#: Modes of MIDI files, and of recordings.
MIDI_MODES, RECORDING_MODES = (AUTO, COVER, NETWORK), (AUTO, COVER, TIMBRE)
MODES = (AUTO, COVER, NETWORK, TIMBRE)
_MOST_SEMITONES, _MOST_BARS = 24, 64
_TEMPOS = (20.0, 400.0)


@dataclass(frozen=True)
class CoverOptions:
    """What a cover is asked for beyond its style; see also `audiotransfer.cover`.

    Raises AudioTransferError for a value out of its range.
    """

    lead: str | None = None
    """Instrument of the lead, as ``trumpet``; ``None`` is the style's first."""
    transpose: int = 0
    """Semitones, -24 to 24."""
    tempo: float | None = None
    """Mean tempo in beats per minute, 20 to 400; ``None`` is the song's."""
    intro: int = 0
    """Bars that are added in front, 0 to 64."""
    outro: int = 0
    """Bars that are added behind, 0 to 64."""
    swing: float | None = None
    """How far eighths are swung, 0 (straight) to 1 (as the style does); ``None`` is 1."""
    leadsheet: Path | None = None
    """A corrected lead sheet of the song, as JSON or chord text."""
    leadsheet_of_part: bool = False
    """Whether the lead sheet is that of the part of the song that is cut out, not of all of it."""

    def __post_init__(self) -> None:
        _whole("transpose", self.transpose, -_MOST_SEMITONES, _MOST_SEMITONES, "semitones")
        _whole("intro", self.intro, 0, _MOST_BARS, "bars")
        _whole("outro", self.outro, 0, _MOST_BARS, "bars")
        if self.tempo is not None:
            _number("tempo", self.tempo, *_TEMPOS, "beats per minute")
        if self.swing is not None:
            _number("swing", self.swing, 0.0, 1.0, "(0 is straight, 1 the style's own)")


def check_mode(mode: str, *, midi: bool) -> None:
    """Raises AudioTransferError for a mode that files of this kind do not have."""
    if mode in (MIDI_MODES if midi else RECORDING_MODES):
        return
    if mode not in MODES:
        raise AudioTransferError(f"mode {mode!r}: {suggest(mode, MODES)}")
    if midi:
        raise AudioTransferError(
            "mode timbre changes the sound of recordings; a MIDI file has cover or network"
        )
    raise AudioTransferError(
        "mode network changes the notes of MIDI files; a recording has cover or timbre"
    )


def given(options: CoverOptions) -> list[str]:
    """Names of the options that do not stand at their default."""
    return [one.name for one in fields(options) if getattr(options, one.name) != one.default]


def check_of_recording(options: CoverOptions) -> None:
    """Raises AudioTransferError for options that only covers of MIDI files have."""
    for name in ("tempo", "intro", "outro"):
        if getattr(options, name):
            raise AudioTransferError(
                f"{name}: a cover of a recording has the song's own beats and length; leave it out"
                " (covers of MIDI files have it)"
            )


def chosen_lead(lead: str | None, band: Band) -> str | None:
    """The instrument of the band's lead that a name means: itself, or one that has it as a word.

    Raises AudioTransferError for one that the band's lead does not have; the nearest is named.
    """
    from audiotransfer.cover.instrumentation import lead_instrument

    if lead is None:
        return None
    if lead_instrument(band) is None:
        raise AudioTransferError(f"lead {lead!r}: this style's band has no lead to choose")
    try:
        return lead_instrument(band, lead)
    except AudioTransferError:
        instruments = band.role("lead").instruments
    words = {word: one for one in instruments[::-1] for word in (*one.split("_"), one)}
    close = nearest(lead, words)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(instruments)}"
    raise AudioTransferError(f"lead {lead!r}: {hint}")


def _whole(name: str, value: Any, least: int, most: int, unit: str) -> None:
    try:
        fits = least <= operator.index(value) <= most
    except TypeError:
        fits = False
    if not fits:
        raise AudioTransferError(
            f"{name} {value} is out of range: give {least} to {most} {unit}, a whole number"
        )


def _number(name: str, value: Any, least: float, most: float, unit: str) -> None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not least <= number <= most:
        raise AudioTransferError(
            f"{name} {value} is out of range: give {least:g} to {most:g} {unit}"
        )
