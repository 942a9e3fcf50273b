"""Styles from rendered bands: one network a stem hears the song, each style plays what it heard."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotransfer.data.paired_features import FeatureCrops, FeatureSettings, feature_songs
from audiotransfer.data.rendering.ensembles import target_band
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.checkpoint_metric import (
    CheckpointMetric,
    CheckpointMetricSettings,
    rendered_validation,
)
from audiotransfer.recipes.base import Show, start_from, watch
from audiotransfer.recipes.export import About, chosen, describe, sizes, validated
from audiotransfer.spectral.models.templates import TemplateModel
from audiotransfer.spectral.objectives.templates import PLAYERS, TOGETHER, TemplateObjective
from audiotransfer.spectral.transfer import save_generator
from audiotransfer.styles import read_card
from audiotransfer.styles.card import StemEntry
from audiotransfer.training import Objective, Trainer, load_networks
from vocoder import SpectrogramSettings

if TYPE_CHECKING:
    from audiotransfer.recipes.base import Training

_VALIDATION_BATCHES = 3


@dataclass
class TemplateRecipe:
    """Which stems of which styles are taught, from which prepared songs.

    ``styles`` are bands that the songs were rendered for, with what is said of them; ``shares``
    weights them in that order (all alike where empty). ``widths`` are the networks', by stem;
    ``weights`` are those of the objective's terms. The first ``validation_songs`` songs are not
    trained on and tell how far it is, by distance and, as ``headline`` says, by H, which then
    chooses the weights. ``start`` are, by stem, checkpoints of runs whose weights are the first
    ones; ``onto`` is a folder of styles whose other stems go into the ones that are made.
    """

    stems: list[str] = field(default_factory=lambda: ["other"])
    styles: dict[str, str] = field(default_factory=dict)
    shares: list[float] = field(default_factory=list)
    data: str = "data"
    songs: str = "bands"
    widths: dict[str, int] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    learning_rate: float = 1e-3
    validation_songs: int = 12
    headline: CheckpointMetricSettings = field(default_factory=CheckpointMetricSettings)
    start: dict[str, str] = field(default_factory=dict)
    onto: str | None = None
    corpora: list[dict[str, Any]] = field(default_factory=list)
    drawing: FeatureSettings = field(default_factory=FeatureSettings)


def train_templates(
    recipe: TemplateRecipe, config: Training, folder: Path, show: Show | None
) -> dict[str, float]:
    """Trains a network for each stem and leaves a style for each band in ``folder/STYLE``."""
    styles = tuple(recipe.styles)
    players = {stem: _player(stem)(styles, _width(recipe, stem)).begin() for stem in recipe.stems}
    songs = feature_songs(Path(recipe.data) / recipe.songs, recipe.stems, styles, "train")
    kept, taught = songs[: recipe.validation_songs], songs[recipe.validation_songs :]
    if not taught:
        raise AudioTransferError(
            f"{len(songs)} songs leave none to train on beside {recipe.validation_songs} for "
            "validation; render more, or set validation_songs lower"
        )
    for stem, first in recipe.start.items():
        start_from(players[stem], Path(first), "the sizes and styles", stem)
    shares = recipe.shares or [1.0] * len(styles)
    objective = TemplateObjective(players, recipe.weights, shares, recipe.learning_rate)
    audition, headline = rendered_validation(
        [features.parent for features in kept],
        [features.parent for features in taught],
        recipe.stems,
        lambda stem: {style: players[stem].only(style).eval() for style in styles},
        styles,
        SpectrogramSettings(),
        recipe.headline,
        folder,
    )
    known = replace(
        recipe, styles=dict.fromkeys(styles, ""), corpora=[], headline=CheckpointMetricSettings()
    )
    trainer = Trainer(
        objective,
        _crops(recipe, taught, recipe.drawing),
        replace(config.trainer, ema=tuple(players) if config.trainer.ema_decay else ()),
        folder,
        _validation(recipe, objective, kept, headline),
        config=known,
        audition=audition,
    )
    started = time.monotonic()
    figures = trainer.run(should_stop=watch(trainer, show))
    hours = (time.monotonic() - started) / 3600
    if not trainer.first:
        return figures
    checkpoint = chosen(folder)
    weights = load_networks(checkpoint)
    for stem, player in players.items():
        player.load_state_dict(weights[stem])
    for style in styles:
        singles = {stem: player.only(style).eval() for stem, player in players.items()}
        export_templates(recipe, config, checkpoint, singles, trainer.step, hours)
    return figures


def _player(stem: str) -> type[TemplateModel]:
    if stem not in PLAYERS:
        raise AudioTransferError(f"no band plays {stem!r}; there are {', '.join(PLAYERS)}")
    return PLAYERS[stem]


def _width(recipe: TemplateRecipe, stem: str) -> int:
    if stem not in recipe.widths:
        raise AudioTransferError(f"bands.widths says nothing of {stem!r}; say how wide, such as 48")
    return recipe.widths[stem]


def _crops(recipe: TemplateRecipe, songs: Sequence[Path], drawing: FeatureSettings) -> FeatureCrops:
    bands_hz = {stem: _player(stem).hertz(SpectrogramSettings()) for stem in recipe.stems}
    return FeatureCrops(songs, tuple(recipe.styles), bands_hz, drawing)


def _validation(
    recipe: TemplateRecipe,
    objective: TemplateObjective,
    songs: Sequence[Path],
    headline: CheckpointMetric | None,
) -> Callable[[Objective], dict[str, float]]:
    """Distances on separated stems, and H; the score is minus the mean ratio to doing nothing, of
    all stems together where there are several.
    """
    styles = tuple(recipe.styles)
    settings = replace(
        recipe.drawing, separated_share=1.0, tone_share=0.0, seed=recipe.drawing.seed + 98
    )
    crops = _crops(recipe, songs, settings)
    batches = [crops.batch(step) for step in range(_VALIDATION_BATCHES)]
    what = TOGETHER if len(recipe.stems) > 1 else recipe.stems[0]

    def validate(of: Objective) -> dict[str, float]:
        found = [objective.distances(batch, styles) for batch in batches]
        figures = {key: sum(one[key] for one in found) / len(found) for key in found[0]}
        ratios = [figures[f"{what}/{s}"] / figures[f"{what}/{s}/nothing"] for s in styles]
        judged = headline(of) if headline else {}
        return {**figures, "score": -sum(ratios) / len(ratios), **judged}

    return validate


def export_templates(
    recipe: TemplateRecipe,
    config: Training,
    checkpoint: Path,
    generators: Mapping[str, TemplateModel],
    steps: int,
    hours: float,
) -> Path:
    """Writes a style beside its checkpoint: its stems, on top of those of ``onto``."""
    (style,) = {name for generator in generators.values() for name in generator.styles}
    place = checkpoint.parent / style
    place.mkdir(parents=True, exist_ok=True)
    stems: dict[str, StemEntry] = {}
    networks: dict[str, Any] = {}
    below = Path(recipe.onto) / style if recipe.onto is not None else None
    if below is not None and below.is_dir():
        card = read_card(below)
        stems |= {s: entry for s, entry in card.stems.items() if entry and s not in generators}
        networks |= {s: network for s, network in card.networks.items() if s not in generators}
        for entry in stems.values():
            shutil.copyfile(below / entry.weights, place / entry.weights)
    below_steps = sum(int(network.get("steps", 0)) for network in networks.values())
    below_hours = sum(float(network.get("hours", 0)) for network in networks.values())
    others = set(recipe.styles) - {style}
    said = validated(checkpoint)
    for stem, generator in generators.items():
        name = f"{stem}.safetensors"
        save_generator(place / name, generator)
        stems[stem] = StemEntry("spectral", name, stem, SpectrogramSettings().to_dict())
        networks[stem] = {
            **sizes(generator),
            "steps": steps,
            "hours": round(hours, 2),
            "validation": {n: v for n, v in said.items() if others.isdisjoint(n.split("/"))},
        }
    about = About(style, recipe.styles[style], recipe.corpora)
    total = steps + below_steps, hours + below_hours
    effects = target_band(style).effects
    describe(about, config, place, stems, networks, *total, effects=effects)
    return place
