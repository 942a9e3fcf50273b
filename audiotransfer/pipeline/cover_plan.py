"""The plan of a recording's cover: its band, and the stems of the song that the band replaces."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from audiotransfer.cover.band import read_band
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.cover_options import (
    AUTO,
    COVER,
    TIMBRE,
    CoverOptions,
    check_of_recording,
    chosen_lead,
)
from audiotransfer.pipeline.own_outputs import STEMS
from audiotransfer.synthesis.catalogue import describe

if TYPE_CHECKING:
    from audiotransfer.cover.band import Band, Role
    from audiotransfer.pipeline.options import StemChoice, TransferOptions
    from audiotransfer.styles import Style

DRUMS, BASS, OTHER, VOCALS = STEMS
LEAD = "lead"


@dataclass(frozen=True)
class CoverPlan:
    """The plan of covers of recordings in one style.

    ``covered`` are the stems of the song that parts of the band replace: the drums and the bass
    by those of the band, ``other`` by its chords, second voices and the lead where nobody sings,
    ``vocals`` by the lead where somebody sings. ``has_voice`` says whether the song's vocals are
    in the cover where somebody sings, ``wants_voice`` whether they are even where the transcription
    has no singing. ``asked`` is set where a cover was asked for, so
    that a doubtful transcription is arranged too.
    """

    style: str
    band: Band
    strength: float
    options: CoverOptions
    covered: frozenset[str]
    has_voice: bool = False
    wants_voice: bool = False
    asked: bool = False
    gains_db: Mapping[str, float] = field(default_factory=dict)
    """Name of a part (see `part_name`) -> dB."""
    own_gains: tuple[str, ...] = ()
    """Parts and stems that were given a gain."""
    effects: bool = True
    seed: int = 0

    @property
    def roles(self) -> list[Role]:
        """Roles of the band that stand for a stem of the song."""
        return [role for role in self.band.roles if set(stems_of(role)) & self.covered]


def stems_of(role: Role) -> tuple[str, ...]:
    """The stems of a song for which a role of a band stands; the lead for two of them."""
    if describe(role.instruments[0]).drums:
        return (DRUMS,)
    if role.name == BASS:
        return (BASS,)
    return (OTHER, VOCALS) if role.name == LEAD else (OTHER,)


def part_name(role: str) -> str:
    """The name of a role's part in options and names of files: ``open-guitar``."""
    return role.replace(" ", "-")


def part_names(band: Path) -> list[str]:
    """The names of the parts of a band, by its file."""
    return [part_name(role.name) for role in read_band(band).roles]


def mode_of_stems(mode: str, style: Style) -> str:
    """``cover`` or ``timbre``: what stems without a choice of their own are given.

    Raises AudioTransferError where the style does not have the mode.
    """
    if mode == AUTO:
        return style.auto
    if mode == COVER and style.band is None:
        raise AudioTransferError(
            f"style {style.name!r} has no band for covers of recordings: give --mode timbre"
        )
    if mode == TIMBRE and not style.has_timbre:
        raise AudioTransferError(
            f"style {style.name!r} changes no timbre of recordings: give --mode cover"
        )
    return mode


def action_of(stem: str, choice: StemChoice | None, mode: str, stems: Collection[str]) -> str:
    """``keep``, ``mute``, ``style`` or ``cover`` of a stem, by its choice or else by the mode.

    In a cover the vocals are kept where the separator has them.
    """
    if choice is not None and choice.action != TIMBRE:
        return choice.action
    if mode == TIMBRE or choice is not None:
        return "style"
    return "keep" if stem == VOCALS and VOCALS in stems else COVER


def plan_cover(
    options: TransferOptions,
    style: Style | None,
    actions: Mapping[str, str],
    strength: float,
    gains_db: Mapping[str, float],
) -> CoverPlan:
    """The plan of a cover for stems with these actions, of which some are ``cover``.

    Raises AudioTransferError: no style, no band, a lead that the band does not have, options that
    a recording cannot follow.
    """
    if style is None:
        raise AudioTransferError("no style given: a cover needs the style whose band plays")
    if style.band is None:
        stem = next(stem for stem, action in actions.items() if action == COVER)
        raise AudioTransferError(
            f"stem {stem}=cover: style {style.name!r} has no band for covers of recordings"
        )
    check_of_recording(options.cover)
    band = read_band(style.band)
    asked = options.cover
    pitched = [stem for stem, action in actions.items() if action in ("keep", "style")]
    voice = options.stems.get(VOCALS)
    pitched = [stem for stem in pitched if stem not in ((DRUMS,) if voice else (DRUMS, VOCALS))]
    if asked.transpose and pitched:
        raise AudioTransferError(
            f"transpose {asked.transpose}: {', '.join(pitched)} of the song would keep its key;"
            " leave it out, or have the band play all but the drums"
        )
    # Stems that the separator cannot give are the band's.
    missing = {stem for stem in STEMS if stem not in actions}
    covered = frozenset(stem for stem, action in actions.items() if action == COVER) | missing
    return CoverPlan(
        style.name,
        band,
        strength,
        _options(options, band, actions),
        covered,
        has_voice=actions.get(VOCALS) in ("keep", "style"),
        wants_voice=voice is not None and actions.get(VOCALS) in ("keep", "style"),
        asked=options.mode == COVER
        or asked.leadsheet is not None
        or any(choice.action == COVER for choice in options.stems.values()),
        gains_db=_part_gains(band, gains_db),
        own_gains=tuple(gains_db),
        effects=options.effects,
        seed=options.seed,
    )


def _options(options: TransferOptions, band: Band, actions: Mapping[str, str]) -> CoverOptions:
    """The options of the cover with the lead's full name; straight with the song's own drums."""
    asked = replace(options.cover, lead=chosen_lead(options.cover.lead, band))
    own_drums = actions.get(DRUMS) in ("keep", "style")
    return replace(asked, swing=0.0) if own_drums and asked.swing is None else asked


def _part_gains(band: Band, gains_db: Mapping[str, float]) -> dict[str, float]:
    """The gain of each part in dB: its own, and that of the stem that it stands for."""
    gains = {}
    for role in band.roles:
        name, stem = part_name(role.name), stems_of(role)[0]
        gains[name] = gains_db.get(name, 0.0)
        if stem != name:
            gains[name] += gains_db.get(stem, 0.0)
    return gains
