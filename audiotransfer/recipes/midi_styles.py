"""Settings, validation and export of styles for the recipes of genre transfer on MIDI."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audiotransfer.evaluation.classifiers.midi_genre import MidiGenreClassifier
from audiotransfer.evaluation.metrics.midi_transfer import pair_figures
from audiotransfer.midi.piano_rolls import draw, notes_of
from audiotransfer.recipes.base import Figures, Fit, Run
from audiotransfer.recipes.export import About, sizes, style_folder, write_style_card
from audiotransfer.renamed import present_folder
from audiotransfer.styles.card import StemEntry
from audiotransfer.symbolic.genre.data import Archives
from audiotransfer.symbolic.genre.edits import roll_of_logits
from audiotransfer.symbolic.genre.phrases import PhraseSet
from audiotransfer.symbolic.genre.transfer import Generator, save_generator
from audiotransfer.training import Objective

_FIGURES = ("centred content", "density ratio", "diversity", "empty bars", "H")
_CLASSIFIER = "classifier"  # its name in figures
_BATCH = 32  # phrases that are transferred at a time


@dataclass
class GenreRecipe:
    """Genres of MIDI ``archives``, relative to ``data``, and a description of each one's style.

    ``thresholds`` are the logits from which on a style's notes sound: 0 where none is given.
    ``classifier`` is the folder of a MIDI classifier of another network than those that report:
    with it, every validation measures ``phrases`` of each genre's validation pieces, and ``best/``
    is the checkpoint with the highest H.
    """

    archives: Archives = field(default_factory=dict)
    data: str = "data"
    styles: dict[str, str] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)
    classifier: str | None = None
    phrases: int = 96
    batch: int = 16
    transpose: bool = True
    corpora: list[dict[str, Any]] = field(default_factory=list)


def transfer_by(
    generators: Mapping[str, Generator], thresholds: Mapping[str, float]
) -> Callable[[Tensor, str], Tensor]:
    """The transfer of phrases ``[N, 2, 64, 84]`` to a genre, by that genre's generator.

    Generators run in evaluation mode, whatever mode they are in.
    """

    def transfer(phrases: Tensor, genre: str) -> Tensor:
        generator = generators[genre]
        target = generator.genres.index(genre)
        device = next(generator.parameters()).device
        made = []
        with torch.no_grad():
            for part in phrases.to(device).split(_BATCH):
                index = torch.full((len(part),), target, device=device)
                made.append(generator(part[:, -generator.channels :], index).cpu())
        return played(phrases, torch.cat(made) - thresholds.get(genre, 0.0))

    return transfer


def played(phrases: Tensor, logits: Tensor) -> Tensor:
    """Notes ``[N, 2, S, 84]``: phrases of that shape, edited by logits ``[N, C, S, 84]``."""
    rolls = [
        draw(notes_of(roll_of_logits(roll, wanted)), roll.shape[1])
        for roll, wanted in zip(phrases.bool().numpy(), logits.numpy(), strict=True)
    ]
    return torch.from_numpy(np.stack(rolls)).float()


def validation(
    recipe: GenreRecipe,
    generators: Callable[[Objective], Mapping[str, Generator]],
    phrases: Mapping[str, PhraseSet],
    pairs: Sequence[tuple[str, str]] | None = None,
) -> Figures | None:
    """Figures of the present networks on validation pieces, means over all pairs of genres.

    None where the recipe names no classifier.
    """
    if recipe.classifier is None:
        return None
    classifier = MidiGenreClassifier.load(present_folder(Path(recipe.classifier)))
    fixed = {genre: some(found, recipe.phrases) for genre, found in phrases.items()}
    measured_pairs = pairs or list(combinations(phrases, 2))

    def figures(objective: Objective) -> dict[str, float]:
        transfer = transfer_by(generators(objective), recipe.thresholds)
        measured = [
            pair_figures(transfer, fixed, pair, {_CLASSIFIER: classifier})
            for pair in measured_pairs
        ]
        names = (f"S {_CLASSIFIER}", *_FIGURES)
        return {name: float(np.mean([one[name] for one in measured])) for name in names}

    return figures


def some(phrases: PhraseSet, count: int) -> Tensor:
    """A subset of at most ``count`` phrases, the same at every call: float32 ``[N, 2, 64, 84]``."""
    order = np.random.default_rng(0).permutation(len(phrases))[:count]
    return torch.from_numpy(phrases[np.sort(order)]).float()


def write_midi_style(
    genre: str, recipe: GenreRecipe, run: Run, fit: Fit, generator: Generator
) -> Path:
    """Writes a style of the pitched parts into ``GENRE`` in the run's folder; drums are kept."""
    place = style_folder(run.folder, genre)
    weights = "pitched.safetensors"
    save_generator(place / weights, generator)
    options = {"target": genre, "threshold": recipe.thresholds.get(genre, 0.0)}
    pitched = StemEntry("symbolic", weights, "pitched", options=options)
    write_style_card(
        About(genre, recipe.styles.get(genre, ""), recipe.corpora),
        run,
        fit,
        place,
        {"pitched": pitched, "drums": None},
        [weights],
        {"pitched": sizes(generator)},
        route="symbolic",
    )
    return place
