"""Styles from rendered bands: one network a stem hears the song, each style plays what it heard."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotransfer.corpora.features import FeatureCrops, FeatureSettings, feature_songs
from audiotransfer.errors import AudioTransferError
from audiotransfer.recipes.exporting import plain, version_here
from audiotransfer.recipes.features import LOOKS
from audiotransfer.recipes.starting import start_from
from audiotransfer.recipes.watching import Show, watch
from audiotransfer.spectral.bands import BandObjective
from audiotransfer.spectral.generator import STEMS
from audiotransfer.spectral.hits import HitGenerator
from audiotransfer.spectral.notes import NoteGenerator
from audiotransfer.spectral.weights import save_generator
from audiotransfer.styles import read_card
from audiotransfer.styles.card import Card, StemEntry, sha256, write_card
from audiotransfer.training import Objective, Trainer, load_networks
from audiotransfer.training.settings import resolve_device
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
    and tell how far it is. ``start`` is the checkpoint of a run whose weights are the first ones;
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
    generator = band_generator(recipe.stem, styles, recipe.width)
    if recipe.start is not None:
        start_from(generator, Path(recipe.start), "the sizes and styles")
    shares = recipe.shares or [1.0] * len(styles)
    objective = BandObjective(generator, recipe.weights, shares, recipe.learning_rate)
    bands_hz = LOOKS[recipe.stem].bands_hz()
    batches = FeatureCrops(taught, recipe.stem, styles, bands_hz, recipe.drawing)
    trainer = Trainer(
        objective,
        batches,
        replace(config.trainer, ema=("generator",) if config.trainer.ema_decay else ()),
        folder,
        _validation(recipe, objective, kept),
        config=replace(recipe, styles=dict.fromkeys(styles, ""), corpora=[]),
    )
    started = time.monotonic()
    figures = trainer.run(should_stop=watch(trainer, show))
    hours = (time.monotonic() - started) / 3600
    if not trainer.first:
        return figures
    generator.load_state_dict(load_networks(folder / "checkpoint")["generator"])
    for style in styles:
        export_band(recipe, config, folder, generator.only(style).eval(), trainer.step, hours)
    return figures


def band_generator(stem: str, styles: Sequence[str], width: int) -> NoteGenerator | HitGenerator:
    """Drums are hit; all other stems play notes."""
    if stem == "drums":
        return HitGenerator(styles, width).begin()
    return NoteGenerator(styles, width).begin()


def _validation(
    recipe: BandRecipe, objective: BandObjective, songs: Sequence[Path]
) -> Callable[[Objective], dict[str, float]]:
    """Distances on separated stems, and minus the mean ratio to doing nothing as the score."""
    styles = tuple(recipe.styles)
    settings = replace(
        recipe.drawing, separated_share=1.0, tone_share=0.0, seed=recipe.drawing.seed + 98
    )
    crops = FeatureCrops(songs, recipe.stem, styles, LOOKS[recipe.stem].bands_hz(), settings)
    batches = [crops.batch(step) for step in range(_VALIDATION_BATCHES)]

    def validate(_: Objective) -> dict[str, float]:
        found = [objective.distances(batch, styles) for batch in batches]
        figures = {key: sum(one[key] for one in found) / len(found) for key in found[0]}
        ratios = [figures[style] / figures[f"{style}/nothing"] for style in styles]
        return {**figures, "score": -sum(ratios) / len(ratios)}

    return validate


def export_band(
    recipe: BandRecipe,
    config: Training,
    folder: Path,
    generator: NoteGenerator | HitGenerator,
    steps: int,
    hours: float,
) -> Path:
    """Writes a style of one stem into ``folder/STYLE``, on top of the stems of ``onto``."""
    (style,) = generator.styles
    place = folder / style
    place.mkdir(parents=True, exist_ok=True)
    stems: dict[str, StemEntry | None] = {}
    weights: dict[str, str] = {}
    networks: dict[str, Any] = {}
    if recipe.onto is not None and (Path(recipe.onto) / style).is_dir():
        below = read_card(Path(recipe.onto) / style)
        stems |= below.stems
        networks |= below.networks
        for entry in below.stems.values():
            if entry is not None and entry is not below.stems.get(recipe.stem):
                weights[entry.weights] = below.weights[entry.weights]
                if Path(recipe.onto) != folder:
                    shutil.copyfile(
                        Path(recipe.onto) / style / entry.weights, place / entry.weights
                    )
    name = f"{recipe.stem}.safetensors"
    save_generator(place / name, generator)
    weights[name] = sha256(place / name)
    stems[recipe.stem] = StemEntry("spectral", name, recipe.stem, Picture().to_dict())
    count = sum(p.numel() for p in generator.parameters())
    networks[recipe.stem] = {
        "kind": generator.kind,
        **generator.shape(),
        "parameters": count,
        "steps": steps,
        "hours": round(hours, 2),
    }
    card = Card(
        name=style,
        description=recipe.styles[style],
        stems={stem: stems.get(stem) for stem in (*STEMS, "vocals")},
        weights=weights,
        networks=networks,
        corpora=recipe.corpora,
        seed=config.seed,
        steps=sum(int(network.get("steps", 0)) for network in networks.values()),
        hardware="CPU" if resolve_device(config.trainer.device).type == "cpu" else "GPU",
        hours=round(sum(float(network.get("hours", 0)) for network in networks.values()), 2),
        config=plain(asdict(config)),
        package_version=version_here(),
    )
    write_card(place, card)
    return place
