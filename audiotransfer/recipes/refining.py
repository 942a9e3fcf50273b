"""Styles whose predictions another network refines: what it is trained on, and their export."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from audiotransfer.errors import AudioTransferError
from audiotransfer.recipes.base import Fit, Run
from audiotransfer.recipes.export import Described, sizes, style_folder, validated, write_style_card
from audiotransfer.recipes.style_models import model_of
from audiotransfer.spectral.models.base import STEMS, SpectrogramModel, fold
from audiotransfer.spectral.models.unet import UNet
from audiotransfer.spectral.objectives.stem_spectrograms import StemSpectrograms
from audiotransfer.spectral.transfer import CHANNELS, REFINER, save_generator
from audiotransfer.styles.card import Card, StemEntry
from audiotransfer.styles.find import find_style
from vocoder import SpectrogramSettings

_FILE = "refiner.safetensors"


@dataclass(frozen=True)
class RefinedStyle:
    """A style to refine: its folder and card, its stems' entries, and what its models predict."""

    folder: Path
    card: Card
    entries: dict[str, StemEntry]
    spectrograms: StemSpectrograms


def refined_style(name: str) -> RefinedStyle:
    """The style ``name`` with its models of drums, bass and other.

    Raises AudioTransferError for a style that has not all three, by spectrograms of one kind.
    """
    style = find_style(name)
    entries = {stem: entry for stem in STEMS if (entry := style.card.stems.get(stem)) is not None}
    alike = {repr((entry.route, entry.spectrogram, entry.options)) for entry in entries.values()}
    if len(entries) < len(STEMS) or len(alike) > 1 or entries[STEMS[0]].route != "spectral":
        raise AudioTransferError(
            f"style {name!r} has no spectral models of {', '.join(STEMS)} alike; refine another one"
        )
    first = entries[STEMS[0]]
    if REFINER in first.options:
        raise AudioTransferError(
            f"style {name!r} is refined already; name the one it was made from"
        )
    spectrograms = StemSpectrograms(
        SpectrogramSettings.from_dict(first.spectrogram),
        {stem: model_of(style, stem, SpectrogramModel) for stem in entries},
        mean_channel=first.options.get(CHANNELS) == "mean",
    )
    return RefinedStyle(style.folder, style.card, entries, spectrograms)


def write_refined_style(
    about: Described, run: Run, fit: Fit, refiner: UNet, refined: RefinedStyle
) -> Path:
    """Writes the refined style with the network after its models, beside the checkpoint.

    Its effects are those of the refined style; corpora are those of ``about`` and of it.
    """
    fold(refiner.eval())
    checkpoint = fit.best_by_h
    place = style_folder(checkpoint.parent, about.name)
    save_generator(place / _FILE, refiner)
    files = {entry.weights for entry in refined.entries.values()}
    for file in files:
        shutil.copyfile(refined.folder / file, place / Path(file).name)
    stems: dict[str, StemEntry | None] = {
        stem: replace(
            entry, weights=Path(entry.weights).name, options={**entry.options, REFINER: _FILE}
        )
        for stem, entry in refined.entries.items()
    }
    found = validated(checkpoint)
    write_style_card(
        about,
        run,
        fit,
        place,
        {**stems, "vocals": None},
        {_FILE, *(Path(file).name for file in files)},
        {**refined.card.networks, "refiner": sizes(refiner)},
        {"validation": found} if found else {},
        effects=dict(refined.card.effects),
    )
    return place
