"""What the recipes of genre transfer share: figures on validation pieces, and styles for scores."""

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
from audiotransfer.recipes.base import Training
from audiotransfer.recipes.export import About, sign, sizes
from audiotransfer.styles.card import StemEntry
from audiotransfer.symbolic.genre.data import Archives
from audiotransfer.symbolic.genre.edits import decided
from audiotransfer.symbolic.genre.phrases import PhraseSet
from audiotransfer.symbolic.genre.transfer import Generator, save_generator
from audiotransfer.training import Objective

_FIGURES = ("centred content", "density ratio", "diversity", "empty bars", "H")
_JUDGE = "listener"
_AT_ONCE = 32


@dataclass
class GenreRecipe:
    """Genres of MIDI ``packs``, relative to ``data``, and what each style of them is said to be.

    ``thresholds`` are logits from which on a style's notes sound: 0 where none is given.
    ``judge`` is a folder of a judge of scores that hears neither as the paper's classifier nor by
    counting: with it, every validation measures ``phrases`` of each genre's validation pieces, and
    ``best/`` is the checkpoint with the highest H.
    """

    packs: Archives = field(default_factory=dict)
    data: str = "data"
    styles: dict[str, str] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)
    judge: str | None = None
    phrases: int = 96
    batch: int = 16
    transpose: bool = True
    corpora: list[dict[str, Any]] = field(default_factory=list)


def transfer_by(
    generators: Mapping[str, Generator], thresholds: Mapping[str, float]
) -> Callable[[Tensor, str], Tensor]:
    """Phrases [N, 2, 64, 84] through the generator of the genre asked for, as they will be played.

    Works in evaluation mode, whatever mode the generator is in.
    """

    def transfer(phrases: Tensor, genre: str) -> Tensor:
        generator = generators[genre]
        target = generator.genres.index(genre)
        device = next(generator.parameters()).device
        made = []
        with torch.no_grad():
            for part in phrases.to(device).split(_AT_ONCE):
                index = torch.full((len(part),), target, device=device)
                made.append(generator(part[:, -generator.channels :], index).cpu())
        return played(phrases, torch.cat(made) - thresholds.get(genre, 0.0))

    return transfer


def played(phrases: Tensor, logits: Tensor) -> Tensor:
    """Logits [N, C, S, 84] as the notes [N, 2, S, 84] that they make of phrases of that shape."""
    rolls = [
        draw(notes_of(decided(roll, wish)), roll.shape[1])
        for roll, wish in zip(phrases.bool().numpy(), logits.numpy(), strict=True)
    ]
    return torch.from_numpy(np.stack(rolls)).float()


def validation(
    recipe: GenreRecipe,
    generators: Callable[[Objective], Mapping[str, Generator]],
    phrases: Mapping[str, PhraseSet],
    pairs: Sequence[tuple[str, str]] | None = None,
) -> Callable[[Objective], dict[str, float]] | None:
    """Figures of the present networks on validation pieces, means over all pairs of genres; None
    where the recipe names no judge.
    """
    if recipe.judge is None:
        return None
    judge = MidiGenreClassifier.load(recipe.judge)
    drawn = {genre: some(found, recipe.phrases) for genre, found in phrases.items()}
    chosen = pairs or list(combinations(phrases, 2))

    def figures(objective: Objective) -> dict[str, float]:
        transfer = transfer_by(generators(objective), recipe.thresholds)
        measured = [pair_figures(transfer, drawn, pair, {_JUDGE: judge}) for pair in chosen]
        names = (f"S {_JUDGE}", *_FIGURES)
        return {name: float(np.mean([one[name] for one in measured])) for name in names}

    return figures


def some(phrases: PhraseSet, count: int) -> Tensor:
    """So many phrases, the same at every call, or all: float32 [N, 2, 64, 84]."""
    order = np.random.default_rng(0).permutation(len(phrases))[:count]
    return torch.from_numpy(phrases[np.sort(order)]).float()


def write_score_style(
    genre: str,
    recipe: GenreRecipe,
    config: Training,
    folder: Path,
    generator: Generator,
    steps: int,
    hours: float,
) -> Path:
    """Writes a style of the pitched parts into ``folder/GENRE``; drums stay as they are."""
    place = folder / genre
    place.mkdir(parents=True, exist_ok=True)
    weights = "pitched.safetensors"
    save_generator(place / weights, generator)
    options = {"target": genre, "threshold": recipe.thresholds.get(genre, 0.0)}
    pitched = StemEntry("symbolic", weights, "pitched", options=options)
    stems = {"pitched": pitched, "drums": None}
    networks = {"pitched": sizes(generator)}
    about = About(genre, recipe.styles.get(genre, ""), recipe.corpora)
    sign(about, config, place, stems, [weights], networks, steps, hours, {}, "symbolic")
    return place
