"""A style in use: one transfer for each stem."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from audiotransfer.errors import AudioTransferError
from audiotransfer.styles.card import Card, StemEntry, check_playable, check_weights
from audiotransfer.styles.find import find_style

if TYPE_CHECKING:
    import torch

    from audiotransfer.effects import Chain

Share = Callable[[float], None]
"""Is told the share of the work that is done, 0..1."""


@runtime_checkable
class StemTransfer(Protocol):
    """Turns one stem into the style's version of it."""

    context: int
    grid: int
    """A block that starts on a multiple of ``grid`` samples (44.1 kHz), with ``context`` samples
    more on each side that start on one too, sounds as it does in the song.
    """

    def __call__(
        self,
        stem: torch.Tensor,
        strength: float = 1.0,
        generator: torch.Generator | None = None,
        progress: Share | None = None,
    ) -> torch.Tensor:
        """``[C, T] -> [C, T]`` at 44.1 kHz; any length, in bounded memory; strength 0 returns the
        input.
        """
        ...


class Keep:
    """The stem as it is, to the bit."""

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
    """A name and a :class:`StemTransfer` for each stem that the style knows."""

    name: str
    stems: Mapping[str, StemTransfer]
    card: Card | None = field(default=None, compare=False)
    effects: Mapping[str, Chain] = field(default_factory=dict)
    """Stem -> what its sound goes through once it is played."""

    def transfer_for(self, stem: str) -> tuple[StemTransfer, str]:
        """The transfer for a stem, and the name under which the style knows it.

        A separator may give stems that the style never heard of (``guitar``, or the whole mix):
        what is no voice is treated as ``other``.
        """
        if stem in self.stems:
            return self.stems[stem], stem
        if stem != "vocals" and "other" in self.stems:
            return self.stems["other"], "other"
        return Keep(), stem


def load_style(
    name_or_path: str | Path, *, route: str = "spectral", device: str = "cpu", vocoder: str = "auto"
) -> Style:
    """Finds a style, checks its weights against the card and builds the transfer of each stem.

    Raises :class:`AudioTransferError`: unknown name, damaged card or weights, a style of another
    route.
    """
    from audiotransfer.effects import read_chain  # heavy, and listing styles needs none of it

    style = find_style(name_or_path, route=route)
    check_playable(style.card)
    check_weights(style.folder, style.card)
    stems = {
        stem: _build(style.folder, style.card, entry, device, vocoder) if entry else Keep()
        for stem, entry in style.card.stems.items()
    }
    try:
        effects = {stem: read_chain(chain) for stem, chain in style.card.effects.items()}
    except AudioTransferError as error:
        raise AudioTransferError(f"style {style.card.name!r}: {error}") from None
    return Style(style.card.name, stems, style.card, effects)


def _build(folder: Path, card: Card, entry: StemEntry, device: str, vocoder: str) -> Any:
    module = f"audiotransfer.{entry.route}.transfer"
    try:
        route = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not module.startswith(error.name or "?"):
            raise  # the route is there, but something that it needs is not
        raise AudioTransferError(
            f"style {card.name!r}: this version has no {entry.route} transfer: install a"
            " newer audiotransfer"
        ) from None
    return route.load(folder, entry.to_dict(), entry.stem, device, vocoder)
