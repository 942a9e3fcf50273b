"""Finds styles: by a folder's path, else by name on a search path.

The search path is ``$AUDIOTRANSFER_STYLES``, the user's data folder, then the package.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from audiotransfer.errors import AudioTransferError
from audiotransfer.renamed import STYLES, notice
from audiotransfer.styles.card import CARD_NAME, PLAYS, Card, read_card
from audiotransfer.suggest import suggest

VARIABLE = "AUDIOTRANSFER_STYLES"
SHIPPED = Path(__file__).parent / "shipped"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Installed:
    """A style on disk: its folder and its card."""

    folder: Path
    card: Card


class _UnknownStyleError(AudioTransferError):
    """No style has the name."""


def search_path() -> list[Path]:
    """Folders whose subfolders are styles, in order of precedence.

    ``$AUDIOTRANSFER_STYLES`` may name several folders, separated as in ``PATH``.
    """
    import platformdirs

    named = [Path(part) for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    return [*named, Path(platformdirs.user_data_dir("audiotransfer")) / "styles", SHIPPED]


def installed() -> list[Installed]:
    """Every style on the search path, one for each name and route, sorted by name.

    A damaged card is logged as a warning and left out.
    """
    found: dict[tuple[str, str], Installed] = {}
    for root in search_path():
        for folder in _style_folders(root):
            try:
                card = read_card(folder)
            except AudioTransferError as error:
                log.warning("%s", error)
                continue
            found.setdefault((card.name, card.route), Installed(folder, card))
    return [found[key] for key in sorted(found)]


def available() -> list[Card]:
    """The cards of all installed styles."""
    return [style.card for style in installed()]


def find_style(name_or_path: str | Path, *, route: str = "spectral") -> Installed:
    """Finds the style of ``route`` that has this name, or that lies in this folder.

    Raises :class:`AudioTransferError`: an unknown name (similar ones are named), a damaged card, a
    style of another route.
    """
    if not isinstance(name_or_path, str | Path):
        raise AudioTransferError(
            f"a style of the type {type(name_or_path).__name__}: give a style's name, as 'jazz', or"
            " its folder (`audiotransfer styles` lists names)"
        )
    text = os.fspath(name_or_path)
    path = Path(text)
    if (path / CARD_NAME).is_file() or isinstance(name_or_path, Path) or path.name != text:
        if not path.is_dir():
            raise AudioTransferError(
                f"style {text!r}: there is no such folder; `audiotransfer styles` lists names"
            )
        return _check_route(Installed(path, read_card(path)), route)
    styles = installed()
    of_this_name = [style for style in styles if style.card.name == text]
    for style in of_this_name:
        if style.card.route == route:
            return style
    if of_this_name:
        return _check_route(of_this_name[0], route)
    for root in search_path():  # a damaged card is reported as such, not as an unknown style
        if (root / text / CARD_NAME).is_file():
            return _check_route(Installed(root / text, read_card(root / text)), route)
    if text in STYLES:
        notice(f"style {text!r}", STYLES[text])
        return find_style(STYLES[text], route=route)
    raise _UnknownStyleError(
        _unknown(text, sorted(s.card.name for s in styles if s.card.route == route))
    )


def find_for_recordings(name_or_path: str | Path) -> Installed:
    """Finds the style that recordings are transferred to: one for recordings, else one for MIDI
    files that has a band, which plays covers of recordings too.

    Raises :class:`AudioTransferError` as `find_style`.
    """
    try:
        return find_style(name_or_path, route="spectral")
    except AudioTransferError as error:
        refused = error
    try:
        style = find_style(name_or_path, route="symbolic")
    except AudioTransferError:
        style = None
    if style is not None and style.card.band:
        return style
    if isinstance(refused, _UnknownStyleError):
        bands = {card.name for card in available() if card.band or card.route == "spectral"}
        raise AudioTransferError(_unknown(str(name_or_path), sorted(bands)))
    raise refused


def _style_folders(root: Path) -> Iterator[Path]:
    try:
        yield from sorted(folder for folder in root.iterdir() if (folder / CARD_NAME).is_file())
    except OSError:  # a folder of the search path may be absent
        return


def _check_route(style: Installed, route: str) -> Installed:
    if style.card.route != route:
        raise AudioTransferError(
            f"style {style.card.name!r} is for {PLAYS[style.card.route]}, this needs one for"
            f" {PLAYS[route]}: `audiotransfer styles` lists them"
        )
    return style


def _unknown(name: str, names: list[str]) -> str:
    if names:
        return f"unknown style {name!r}: {suggest(name, names, count=3, cutoff=0.5)}"
    return f"unknown style {name!r}: none is installed; put its folder into ${VARIABLE}"
