"""Loads a style: one transfer for each stem, with its effects."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from audiotransfer.errors import AudioTransferError
from audiotransfer.styles.card import Card, StemEntry, check_playable, check_weights
from audiotransfer.styles.find import Installed, find_for_recordings, find_style

if TYPE_CHECKING:
    import torch

    from audiotransfer.effects import Chain

Share = Callable[[float], None]
"""Callback that is given the share of the work that is done, 0..1."""


@runtime_checkable
class StemTransfer(Protocol):
    """Transfers the audio of one stem to the style."""

    context: int
    """Samples at 44.1 kHz that a block needs on each side to equal the same part of the whole."""
    grid: int
    """Blocks, with their context, start on multiples of so many samples."""

    def __call__(
        self,
        stem: torch.Tensor,
        strength: float = 1.0,
        generator: torch.Generator | None = None,
        progress: Share | None = None,
    ) -> torch.Tensor:
        """``[C, T] -> [C, T]`` at 44.1 kHz, of any length, in bounded memory.

        ``strength`` 0 returns the input, 1 is all of the style.
        """
        ...


class Keep:
    """Returns the stem unchanged, to the bit."""

    context = 0
    grid = 1

    def __call__(
        self,
        stem: torch.Tensor,
        strength: float = 1.0,
        generator: torch.Generator | None = None,
        progress: Share | None = None,
    ) -> torch.Tensor:
        return stem


@dataclass(frozen=True)
class Style:
    """A loaded style: a :class:`StemTransfer` for each stem that it knows."""

    name: str
    stems: Mapping[str, StemTransfer]
    card: Card | None = field(default=None, compare=False)
    effects: Mapping[str, Chain] = field(default_factory=dict)
    """Stem -> effects that follow its transfer."""
    band: Path | None = None
    """File of the band that plays covers; ``None`` for a style without covers."""

    @property
    def has_timbre(self) -> bool:
        """Whether it changes the sound of any stem."""
        return any(not isinstance(transfer, Keep) for transfer in self.stems.values())

    @property
    def auto(self) -> str:
        """Mode of recordings that name none: ``cover`` or ``timbre``."""
        named = self.card.auto if self.card is not None else ""
        return named or ("timbre" if self.has_timbre or self.band is None else "cover")

    def transfer_for(self, stem: str) -> tuple[StemTransfer, str]:
        """The transfer for a stem, and the name of the stem in this style.

        A stem that the style does not know (such as ``guitar``, or the whole mix) is treated as
        ``other``, except vocals, which are kept.
        """
        if stem in self.stems:
            return self.stems[stem], stem
        if stem != "vocals" and "other" in self.stems:
            return self.stems["other"], "other"
        return Keep(), stem


def style_label(style: str | Path | Style | None) -> str:
    """The label of output files: the style's name; ``mix`` without a style."""
    if style is None:
        return "mix"
    return Path(style).name if isinstance(style, (str, Path)) else style.name


def load_style(
    name_or_path: str | Path, *, route: str = "spectral", device: str = "cpu", vocoder: str = "auto"
) -> Style:
    """Finds a style, checks its weights against its card and loads the transfer of each stem.

    Raises :class:`AudioTransferError`: an unknown name, a damaged card or weights, a style of
    another route.
    """
    return _loaded(find_style(name_or_path, route=route), device, vocoder)


def load_for_recordings(
    name_or_path: str | Path, *, device: str = "cpu", vocoder: str = "auto"
) -> Style:
    """Loads the style that recordings are transferred to (see `find_for_recordings`); of one for
    MIDI files only the band.

    Raises :class:`AudioTransferError` as `load_style`.
    """
    style = find_for_recordings(name_or_path)
    if style.card.route == "symbolic":
        return Style(style.card.name, {}, style.card, {}, style.folder / style.card.band)
    return _loaded(style, device, vocoder)


def _loaded(style: Installed, device: str, vocoder: str) -> Style:
    from audiotransfer.effects import (
        read_chain,  # imports torch, which listing styles does not need
    )

    check_playable(style.card)
    check_weights(style.folder, style.card)
    stems = {
        stem: _load_transfer(style.folder, style.card, entry, device, vocoder) if entry else Keep()
        for stem, entry in style.card.stems.items()
    }
    try:
        effects = {stem: read_chain(chain) for stem, chain in style.card.effects.items()}
    except AudioTransferError as error:
        raise AudioTransferError(f"style {style.card.name!r}: {error}") from None
    band = style.folder / style.card.band if style.card.band else None
    return Style(style.card.name, stems, style.card, effects, band)


def _load_transfer(
    folder: Path, card: Card, entry: StemEntry, device: str, vocoder: str
) -> StemTransfer:
    """The transfer of one stem, loaded by the module of its route."""
    module = f"audiotransfer.{entry.route}.transfer"
    try:
        route = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not module.startswith(error.name or "?"):
            raise  # the route exists, but a package that it imports does not
        raise AudioTransferError(
            f"style {card.name!r}: this version has no {entry.route} transfer: install a"
            " newer audiotransfer"
        ) from None
    transfer: StemTransfer = route.load(folder, entry.to_dict(), entry.stem, device, vocoder)
    return transfer
