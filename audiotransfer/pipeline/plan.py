"""The plan of a transfer: separator, stems, seed and block length, with all weights loaded.

Everything that can be refused is refused here, before any work.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

import separation
from audiotransfer.audio.resampling import STEREO_RATE
from audiotransfer.audio.sound_profile import SoundProfile
from audiotransfer.effects import NO_EFFECTS, Chain
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.blocks import check_block
from audiotransfer.pipeline.cache import Cache, cache_folder
from audiotransfer.pipeline.cover_options import COVER, TIMBRE, given
from audiotransfer.pipeline.cover_plan import (
    CoverPlan,
    action_of,
    mode_of_stems,
    part_names,
    plan_cover,
)
from audiotransfer.pipeline.matching import CONTEXT, NO_MATCH, SoundMatch
from audiotransfer.pipeline.options import (
    SMALL_SEPARATOR,
    StemChoice,
    TransferOptions,
    check_gain,
    check_strength,
)
from audiotransfer.styles import Keep, StemTransfer, Style, load_for_recordings
from audiotransfer.styles.card import LEVEL
from audiotransfer.suggest import suggest

#: The option of a card's stem entry that describes the stem of the song that it was made from.
REFERENCE = "reference"


@dataclass(frozen=True)
class StemPlan:
    """Processing of one stem: its transfer, then effects, then a gain; or its parts of a cover.

    ``reference`` is the stem of the song that its style was made from, ``match`` what the
    transferred stem needs to sound like that; ``level`` (dB) the stem's in the songs that its style
    was made from, relative to the songs.
    """

    action: Literal["keep", "mute", "style", "cover"]
    transfer: StemTransfer
    style: str | None = None
    strength: float | None = None
    gain_db: float = 0.0
    effects: Chain = NO_EFFECTS
    reference: SoundProfile | None = None
    match: SoundMatch = NO_MATCH
    level: float | None = None

    @property
    def gain(self) -> float:
        """Linear; 0 for a muted stem."""
        return 0.0 if self.action == "mute" else 10.0 ** (self.gain_db / 20.0)

    @property
    def changes(self) -> bool:
        """Whether the transfer is called at all."""
        return self.action == "style" and self.strength != 0.0

    @property
    def matched(self) -> bool:
        """Whether what it lacks of its style's songs is measured, on excerpts, beforehand."""
        return self.changes and (self.reference is not None or self.level is not None)

    @property
    def grid(self) -> int:
        """Blocks start on multiples of so many samples: its transfer's and its effects' grid."""
        return math.lcm(self.transfer.grid, self.effects.grid)

    @property
    def context(self) -> int:
        """Samples that transfer, effects and match together need on each side of a block."""
        matching = CONTEXT if self.reference is not None else 0
        return self.effects.context(self.transfer.context) + matching

    def play(
        self,
        stem: Tensor,
        drums: Tensor | None,
        generator: torch.Generator,
        progress: Callable[[float], None],
    ) -> Tensor:
        """The stem ``[2, T]`` after transfer and effects; the song's own ``drums`` ``[2, T]`` drive
        the ducking.
        """
        strength = 1.0 if self.strength is None else self.strength
        sound = self.effects(self.transfer(stem, strength, generator, progress), drums, strength)
        if self.match is NO_MATCH:
            return sound
        return torch.lerp(sound, self.match(sound), strength)


@dataclass(frozen=True)
class Plan:
    """The plan of a transfer, for any number of songs; independent of their outputs."""

    separator: separation.Separator
    separator_name: str
    stems: dict[str, StemPlan]
    """In the separator's order."""
    seed: int = 0
    block: int | None = None
    """Block length in samples at 44.1 kHz; ``None``: about 18 s, on each stage's own grid."""
    device: str = "cpu"
    """Where its networks are."""
    notices: tuple[str, ...] = ()
    cover: CoverPlan | None = None
    """Of a cover, whose stems with the action ``cover`` are replaced by parts of its band."""
    cache: Cache | None = None
    """Keeps separation and transcription of songs; ``None``: neither is read nor kept."""
    keep_parts: bool = False
    """Whether it keeps the sound of a cover's parts too."""
    fallback: Plan | None = None
    """What is done in place of a cover that nobody asked for by name, where the transcription is
    in doubt."""

    @property
    def styled(self) -> dict[str, StemPlan]:
        """The stems that go through a transfer."""
        return {name: stem for name, stem in self.stems.items() if stem.changes}

    @property
    def grid(self) -> int:
        """Samples; `block` is a multiple of it."""
        return math.lcm(self.separator.grid, *(stem.grid for stem in self.styled.values()))

    def for_silence(self) -> Plan:
        """The plan for a silent song: separator and transfers return silence, without networks."""
        stems = {name: replace(stem, transfer=Keep()) for name, stem in self.stems.items()}
        return replace(self, separator=_SilentSeparator(tuple(stems)), stems=stems)


def prepare(options: TransferOptions, *, separate_only: bool = False) -> Plan:
    """Loads what the options name; with ``separate_only`` they need not name a style.

    Raises :class:`AudioTransferError` or :class:`separation.SeparationError` in one line for
    whatever cannot be done: unknown style or stem (with near matches), strength or gain out of
    range, damaged weights, a block off the grid, nothing asked for.
    """
    strength = check_strength(options.strength)
    gains = {stem: check_gain(stem, gain) for stem, gain in options.gains_db.items()}
    for choice in options.stems.values():
        if choice.strength is not None:
            check_strength(choice.strength)
    changes = any(choice.action != "keep" for choice in options.stems.values()) or any(
        gains.values()
    )
    if not separate_only and options.style is None and not changes:
        raise AudioTransferError("no style given: name one (`audiotransfer styles` lists them)")
    device = resolve_device(options.device)
    styles = _StyleLoader(device, options.vocoder)
    main = None if options.style is None else styles.get(options.style)
    for stem, choice in options.stems.items():
        if choice.style is not None:
            _check_stem_style(stem, choice.style, styles)
    separator, label, notices = resolve_separator(options.separator, device)
    mode = TIMBRE if main is None else mode_of_stems(options.mode, main)
    parts = [] if main is None or main.band is None else part_names(main.band)
    check_stems(options.stems, separator.stems, label)
    check_stems(gains, dict.fromkeys([*separator.stems, *parts]), label)
    cache = Cache(cache_folder()) if options.cache else None
    plan = Plan(
        separator,
        label,
        {},
        options.seed,
        options.block,
        device,
        tuple(notices),
        cache=cache,
        keep_parts=options.keep_parts,
    )
    request = _Request(options, strength, gains, styles, main)
    plan = _with_stems(plan, request, mode)
    if plan.cover is not None and not plan.cover.asked and main is not None and main.has_timbre:
        before = replace(plan, stems={}, cover=None, notices=tuple(notices))
        plan = replace(plan, fallback=_with_stems(before, request, TIMBRE))
    if plan.cover is None and strength and (unused := given(options.cover)):
        notice = f"{', '.join(unused)}: for covers only; mode timbre goes without"
        plan = replace(plan, notices=(*plan.notices, notice))
    if options.block is not None:
        check_block(options.block, plan.grid)
    return plan


@dataclass(frozen=True)
class _Request:
    """What is asked for, checked."""

    options: TransferOptions
    strength: float
    gains_db: Mapping[str, float]
    styles: _StyleLoader
    main: Style | None


def _with_stems(plan: Plan, request: _Request, mode: str) -> Plan:
    """The plan with its stems, and its cover where a band plays any of them."""
    options, main, styles = request.options, request.main, request.styles
    notices = list(plan.notices)
    plans: dict[str, StemPlan] = {}
    names = plan.separator.stems
    actions = {stem: action_of(stem, options.stems.get(stem), mode, names) for stem in names}
    for stem, action in actions.items():
        own = options.stems.get(stem)
        style = main if own is None or own.style is None else styles.get(own.style)
        level = request.strength if own is None or own.strength is None else own.strength
        if action == COVER:
            planned = StemPlan("cover", Keep(), None if main is None else main.name, level)
        elif own is not None and own.action == TIMBRE and not (main and main.has_timbre):
            named = "no style is given" if main is None else f"style {main.name!r} has none"
            raise AudioTransferError(f"stem {stem}=timbre: {named} for recordings")
        else:
            planned = _plan_stem(stem, action, own, style, level, notices)
        planned = replace(planned, gain_db=request.gains_db.get(stem, 0.0))
        plans[stem] = planned if options.effects else replace(planned, effects=NO_EFFECTS)
    if all(planned.action == "mute" for planned in plans.values()):
        raise AudioTransferError(f"every stem is muted ({', '.join(plans)}): leave one of them in")
    cover = None
    if COVER in actions.values():
        cover = plan_cover(options, main, actions, request.strength, request.gains_db)
    if cover is not None and cover.strength == 0.0:  # the song as it is
        cover = None
    return replace(plan, stems=plans, cover=cover, notices=tuple(notices))


def resolve_device(name: str) -> str:
    """``auto`` is CUDA where there is one, else the CPU. Raises on a device that is not there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = name.partition(":")[0]
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if kind not in there:
        raise AudioTransferError(f"unknown device {name!r}: there are auto, {', '.join(there)}")
    if not there[kind]:
        raise AudioTransferError(f"device {name!r} is not there: use auto or cpu")
    return name


def resolve_separator(
    wanted: str | separation.Separator, device: str
) -> tuple[separation.Separator, str, list[str]]:
    """The separator, its name, and notices about the choice."""
    notices: list[str] = []
    if not isinstance(wanted, str):
        separator, label = wanted, type(wanted).__name__
    else:
        label = wanted
        if wanted == "auto":
            label = "demucs:htdemucs" if separation.available("htdemucs") else "embedded"
            if label == "embedded":
                notices.append(SMALL_SEPARATOR)
        separator = separation.create(label, device=device)
    if separator.sample_rate != STEREO_RATE:
        raise AudioTransferError(
            f"separator {label!r} works at {separator.sample_rate} Hz, songs at"
            f" {STEREO_RATE}:"
            " use another one"
        )
    return separator, label, notices


class _StyleLoader:
    """Loads each style once, however many stems name it."""

    def __init__(self, device: str, vocoder: str) -> None:
        self._device, self._vocoder = device, vocoder
        self._loaded: dict[str | Path, Style] = {}

    def get(self, wanted: str | Path | Style) -> Style:
        if isinstance(wanted, Style):
            return wanted
        if not isinstance(wanted, str | Path):  # refused; it may have no hash
            return load_for_recordings(wanted)
        if wanted not in self._loaded:
            self._loaded[wanted] = load_for_recordings(
                wanted, device=self._device, vocoder=self._vocoder
            )
        return self._loaded[wanted]


def _plan_stem(
    stem: str,
    action: str,
    choice: StemChoice | None,
    style: Style | None,
    strength: float,
    notices: list[str],
) -> StemPlan:
    if action == "mute":
        return StemPlan("mute", Keep())
    if action == "keep" or style is None:
        return StemPlan("keep", Keep())
    transfer, known = style.transfer_for(stem)
    if isinstance(transfer, Keep):
        if choice is not None:
            notices.append(f"style {style.name!r} has nothing for {stem}: it stays as it is")
        return StemPlan("keep", transfer)
    if known != stem:
        notices.append(f"style {style.name!r} has no {stem}: it is transferred as {known}")
    effects = style.effects.get(known, NO_EFFECTS)
    entry = None if style.card is None else style.card.stems.get(known)
    options = {} if entry is None else entry.options
    shares, level = options.get(REFERENCE), options.get(LEVEL)
    reference = None if shares is None else SoundProfile.from_shares(shares)
    if not isinstance(level, int | float | None):
        raise AudioTransferError(f"style {style.name!r} has no number as the level of its {known}")
    return StemPlan("style", transfer, style.name, strength, 0.0, effects, reference, level=level)


def _check_stem_style(stem: str, style: str | Path | Style, styles: _StyleLoader) -> None:
    """Loads a stem's style; its error says what else the stem may be given."""
    try:
        styles.get(style)
    except AudioTransferError as error:
        others = "keep, mute, cover and timbre are taken as well"
        raise AudioTransferError(f"stem {stem}: {error} ({others})") from None


def check_stems(named: Iterable[str], stems: Collection[str], label: str) -> None:
    """Raises :class:`AudioTransferError` for a stem that the separator does not have."""
    for stem in named:
        if stem not in stems:
            hint = suggest(stem, stems, count=2, cutoff=0.5)
            raise AudioTransferError(f"unknown stem {stem!r} (separator {label}): {hint}")


class _SilentSeparator:
    """A separator that gives silent stems."""

    sample_rate = STEREO_RATE
    context = 0
    grid = 1

    def __init__(self, stems: tuple[str, ...]) -> None:
        self.stems = stems

    def __call__(self, mix: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return {stem: torch.zeros_like(mix) for stem in self.stems}
