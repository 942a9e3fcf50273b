"""Styles from rendered bands: one network a stem hears the song, each style plays what it heard."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotransfer.corpora.features import FeatureCrops, FeatureSettings, feature_songs
from audiotransfer.errors import AudioTransferError
from audiotransfer.recipes.exporting import chosen, describe, sizes, validated
from audiotransfer.recipes.headline import Headline, HeadlineSettings
from audiotransfer.recipes.rendered_trial import rendered_trial
from audiotransfer.recipes.starting import start_from
from audiotransfer.recipes.watching import Show, watch
from audiotransfer.spectral.bands import PLAYERS, BandObjective
from audiotransfer.spectral.generator import STEMS
from audiotransfer.spectral.players import Player
from audiotransfer.spectral.weights import save_generator
from audiotransfer.styles import read_card
from audiotransfer.styles.card import StemEntry
from audiotransfer.training import Objective, Trainer, load_networks
from vocoder import Picture

if TYPE_CHECKING:
    from audiotransfer.recipes.training import Training

_VALIDATION_BATCHES = 3


@dataclass
class BandRecipe:
    """Which stem of which styles is taught, from which prepared songs.

    ``styles`` are bands that the songs were rendered for, with what is said of them; ``shares``
    weights them in that order (all alike where empty). ``width`` is the network's; ``weights``
    are those of the objective's terms. The first ``validation_songs`` songs are not trained on
    and tell how far it is, by distance and, as ``headline`` says, by H, which then chooses the
    weights. ``start`` is the checkpoint of a run whose weights are the first ones;
    ``onto`` a folder of styles whose other stems go into the ones that are made.
    """

    stem: str = "other"
    styles: dict[str, str] = field(default_factory=dict)
    shares: list[float] = field(default_factory=list)
    data: str = "data"
    songs: str = "bands"
    width: int = 48
    weights: dict[str, float] = field(default_factory=dict)
    learning_rate: float = 1e-3
    validation_songs: int = 12
    headline: HeadlineSettings = field(default_factory=HeadlineSettings)
    start: str | None = None
    onto: str | None = None
    corpora: list[dict[str, Any]] = field(default_factory=list)
    drawing: FeatureSettings = field(default_factory=FeatureSettings)


def train_bands(
    recipe: BandRecipe, config: Training, folder: Path, show: Show | None
) -> dict[str, float]:
    """Trains one network and leaves a style for each band in ``folder/STYLE``."""
    if recipe.stem not in STEMS:
        raise AudioTransferError(f"no band plays {recipe.stem!r}; there are {', '.join(STEMS)}")
    styles = tuple(recipe.styles)
    songs = feature_songs(Path(recipe.data) / recipe.songs, recipe.stem, styles, "train")
    kept, taught = songs[: recipe.validation_songs], songs[recipe.validation_songs :]
    if not taught:
        raise AudioTransferError(
            f"{len(songs)} songs leave none to train on beside {recipe.validation_songs} for "
            "validation; render more, or set validation_songs lower"
        )
    player = PLAYERS[recipe.stem]
    generator = player(styles, recipe.width).begin()
    if recipe.start is not None:
        start_from(generator, Path(recipe.start), "the sizes and styles")
    shares = recipe.shares or [1.0] * len(styles)
    objective = BandObjective(generator, recipe.weights, shares, recipe.learning_rate)
    bands_hz = player.hertz(Picture())
    batches = FeatureCrops(taught, recipe.stem, styles, bands_hz, recipe.drawing)
    audition, headline = rendered_trial(
        [features.parent for features in kept],
        [features.parent for features in taught],
        (recipe.stem,),
        lambda: {style: generator.only(style).eval() for style in styles},
        styles,
        Picture(),
        recipe.headline,
        folder,
    )
    known = replace(
        recipe, styles=dict.fromkeys(styles, ""), corpora=[], headline=HeadlineSettings()
    )
    trainer = Trainer(
        objective,
        batches,
        replace(config.trainer, ema=("generator",) if config.trainer.ema_decay else ()),
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
    generator.load_state_dict(load_networks(checkpoint)["generator"])
    for style in styles:
        export_band(recipe, config, checkpoint, generator.only(style).eval(), trainer.step, hours)
    return figures


def _validation(
    recipe: BandRecipe,
    objective: BandObjective,
    songs: Sequence[Path],
    headline: Headline | None,
) -> Callable[[Objective], dict[str, float]]:
    """Distances on separated stems, minus the mean ratio to doing nothing as the score, and H."""
    styles = tuple(recipe.styles)
    settings = replace(
        recipe.drawing, separated_share=1.0, tone_share=0.0, seed=recipe.drawing.seed + 98
    )
    bands_hz = PLAYERS[recipe.stem].hertz(Picture())
    crops = FeatureCrops(songs, recipe.stem, styles, bands_hz, settings)
    batches = [crops.batch(step) for step in range(_VALIDATION_BATCHES)]

    def validate(of: Objective) -> dict[str, float]:
        found = [objective.distances(batch, styles) for batch in batches]
        figures = {key: sum(one[key] for one in found) / len(found) for key in found[0]}
        ratios = [figures[style] / figures[f"{style}/nothing"] for style in styles]
        judged = headline(of) if headline else {}
        return {**figures, "score": -sum(ratios) / len(ratios), **judged}

    return validate


@dataclass(frozen=True)
class _Band:
    """What a recipe says about one of its styles."""

    name: str
    description: str
    corpora: list[dict[str, Any]]


def export_band(
    recipe: BandRecipe,
    config: Training,
    checkpoint: Path,
    generator: Player,
    steps: int,
    hours: float,
) -> Path:
    """Writes a style of one stem beside its checkpoint, on top of the stems of ``onto``."""
    (style,) = generator.styles
    place = checkpoint.parent / style
    place.mkdir(parents=True, exist_ok=True)
    stems: dict[str, StemEntry] = {}
    networks: dict[str, Any] = {}
    below = Path(recipe.onto) / style if recipe.onto is not None else None
    if below is not None and below.is_dir():
        card = read_card(below)
        stems |= {s: entry for s, entry in card.stems.items() if entry and s != recipe.stem}
        networks |= card.networks
        for entry in stems.values():
            if below != place:
                shutil.copyfile(below / entry.weights, place / entry.weights)
    name = f"{recipe.stem}.safetensors"
    save_generator(place / name, generator)
    stems[recipe.stem] = StemEntry("spectral", name, recipe.stem, Picture().to_dict())
    others = set(recipe.styles) - {style}
    said = validated(checkpoint)
    networks[recipe.stem] = {
        **sizes(generator),
        "steps": steps,
        "hours": round(hours, 2),
        "validation": {n: v for n, v in said.items() if others.isdisjoint(n.split("/"))},
    }
    about = _Band(style, recipe.styles[style], recipe.corpora)
    total_steps = sum(int(network.get("steps", 0)) for network in networks.values())
    total_hours = sum(float(network.get("hours", 0)) for network in networks.values())
    describe(about, config, place, stems, networks, total_steps, total_hours)
    return place
