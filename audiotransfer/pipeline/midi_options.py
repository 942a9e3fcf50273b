"""The options of a transfer of MIDI files and their checks. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.cover_options import (
    AUTO,
    COVER,
    NETWORK,
    TIMBRE,
    CoverOptions,
    check_mode,
)
from audiotransfer.pipeline.options import check_strength
from audiotransfer.styles import style_label
from audiotransfer.suggest import suggest

if TYPE_CHECKING:
    from audiotransfer.pipeline.options import StemChoice
    from audiotransfer.styles import Card, Style

MELODY = ("keep", "change")
PITCHED, DRUMS = "pitched", "drums"
STEMS = (PITCHED, DRUMS)


@dataclass(frozen=True)
class MidiExtras:
    """Files written beside a MIDI file: audio, piano rolls and notation."""

    render: bool = False
    soundfont: Path | None = None
    """``None`` is the program's own instruments."""
    suffix: str = ".wav"
    encoding: str = "int16"
    plot: bool = False
    score: bool = False
    """MusicXML, as ``song.jazz.musicxml``."""
    stems_out: Path | None = None
    """Folder for the rendered parts of a cover, ``lead.wav`` and so on, which sum to its sound."""
    stems_suffix: str = ".wav"


@dataclass(frozen=True)
class MidiOptions:
    """Options of a transfer of MIDI files; only a style, or a choice for a stem, must be given."""

    style: str | Path | Style | None = None
    """Name, folder, or a loaded style."""
    strength: float = 1.0
    """0 leaves every note as it is, 1 is all of the style."""
    stems: Mapping[str, StemChoice] = field(default_factory=dict)
    """For ``pitched`` parts, ``drums`` or both: keep, mute, or (of a network) a style of their
    own.
    """
    device: str = "auto"
    seed: int = 0
    extras: MidiExtras = field(default_factory=MidiExtras)
    """Audio, piano rolls and notation that are written with the MIDI file."""
    overwrite: bool = False
    mode: str = AUTO
    """``cover`` arranges the song for the style's band, ``network`` changes its notes by the
    style's networks; ``auto`` is a cover where the style has a band.
    """
    cover: CoverOptions = field(default_factory=CoverOptions)
    melody: str = "keep"
    """Whether a network may ``change`` the melody."""


def check_options(options: MidiOptions) -> float:
    """Checks the options that need no style, and returns the strength.

    Raises AudioTransferError: an unknown mode or stem, a strength out of range, all stems muted,
    nothing asked for.
    """
    strength = check_strength(options.strength)
    check_mode(options.mode, midi=True)
    if options.melody not in MELODY:
        raise AudioTransferError(f"melody {options.melody!r}: {suggest(options.melody, MELODY)}")
    for stem in options.stems:
        if stem not in STEMS:
            raise AudioTransferError(
                f"unknown stem {stem!r}: a MIDI file has {' and '.join(STEMS)}"
            )
    for stem, choice in options.stems.items():
        if choice.action in (COVER, TIMBRE):
            raise AudioTransferError(
                f"stem {stem}={choice.action} is for recordings: of a MIDI file give keep, mute or"
                " a style"
            )
    actions = [options.stems[stem].action for stem in STEMS if stem in options.stems]
    if options.style is None and all(action == "keep" for action in actions):
        raise AudioTransferError("no style given: name one (`audiotransfer styles` lists them)")
    if actions.count("mute") == len(STEMS):
        raise AudioTransferError(f"{' and '.join(STEMS)} are muted: leave one of them in")
    return strength


def resolved_mode(options: MidiOptions, card: Card | None, band: bool) -> str:
    """``cover`` or ``network``: the mode that is asked for, or that ``auto`` is for this style.

    ``auto`` is a cover where the style has a band, unless a stem gets a style of its own. Raises
    AudioTransferError where the style lacks what the mode needs.
    """
    own = next((stem for stem, choice in options.stems.items() if choice.action == "style"), None)
    mode = options.mode
    if mode == AUTO:
        mode = COVER if band and own is None else NETWORK
    if mode == COVER and card is None:
        raise AudioTransferError("no style given: mode cover needs the style whose band plays")
    name = repr(card.name) if card is not None else ""
    if mode == COVER and not band:
        raise AudioTransferError(f"style {name} has no band for a cover: give --mode network")
    if mode == COVER and own is not None:
        raise AudioTransferError(
            f"stem {own} gets a style of its own: that needs --mode network (a cover has keep and"
            " mute)"
        )
    if mode == NETWORK and band and card is not None and not any(card.stems.values()):
        raise AudioTransferError(f"style {name} has no network: give --mode cover")
    return mode


def settings_text(options: MidiOptions, mode: str, style: str) -> str:
    """The settings of an output as one line: ``audiotransfer 0.2.0 style=jazz mode=cover seed=0``.

    Options that do not matter in this mode, and those that were not given, are left out.
    """
    from audiotransfer import __version__

    values: dict[str, object] = {
        "style": style or None,
        "mode": mode,
        "seed": options.seed,
        "strength": f"{float(options.strength):g}",
    }
    if mode == NETWORK:
        values["melody"] = options.melody
    else:
        given = (("lead", None), ("transpose", 0), ("tempo", None), ("intro", 0), ("outro", 0))
        for name, default in (*given, ("swing", None)):
            value = getattr(options.cover, name)
            shown = f"{value:g}" if isinstance(value, float) else value
            values[name] = None if value == default else shown
        sheet = options.cover.leadsheet
        values["leadsheet"] = sheet.name if sheet is not None else None
    for stem, choice in options.stems.items():
        values[stem] = choice.action if choice.style is None else style_label(choice.style)
    words = [f"{name}={value}" for name, value in values.items() if value is not None]
    return " ".join(["audiotransfer", __version__, *words])
