"""The spectral models of styles that recipes start from or work on."""

from __future__ import annotations

from typing import Any

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.transfer import load_generator
from audiotransfer.styles.find import Installed, find_style


def stem_model(style: str, stem: str, of: type) -> Any:
    """The model, of the class ``of``, of a stem in a style, which is named or a folder.

    Raises AudioTransferError where the style has no such model.
    """
    return model_of(find_style(style), stem, of)


def model_of(style: Installed, stem: str, of: type) -> Any:
    """As `stem_model`, of a style that was found."""
    entry = style.card.stems.get(stem)
    if entry is None:
        raise AudioTransferError(
            f"style {style.card.name!r} does not change {stem}; name another style"
        )
    model = load_generator(style.folder / entry.weights) if entry.route == "spectral" else None
    if not isinstance(model, of):
        raise AudioTransferError(
            f"the {stem} of style {style.card.name!r} is no {of.__name__}; name another style"
        )
    return model
