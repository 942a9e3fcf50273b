"""A style without pairs: any of the objectives that learn from two sets of pictures."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor

from audiotransfer.corpora.folders import UnpairedWindows
from audiotransfer.corpora.manifest import load_manifest
from audiotransfer.corpora.prepared import PreparedWindows
from audiotransfer.corpora.takes import folder_takes
from audiotransfer.errors import AudioTransferError
from audiotransfer.recipes.exporting import write_style
from audiotransfer.recipes.watching import Show, watch
from audiotransfer.sound import STEREO_RATE
from audiotransfer.spectral import objectives
from audiotransfer.spectral.generator import STEMS
from audiotransfer.spectral.materials import Materials
from audiotransfer.spectral.repainter import Repainter
from audiotransfer.styles.card import Card
from audiotransfer.training import Batches, Trainer, load_networks
from vocoder import Picture

if TYPE_CHECKING:
    from audiotransfer.recipes.training import Training


@dataclass
class UnpairedStyleRecipe:
    """Two sets of songs, an objective by name, and the networks that it trains.

    ``prepared`` is what `audiotransfer prepare` made, of which ``source`` (or any) and ``target``
    are genres; without it they are folders of recordings of the ``stem``, relative to ``data``.
    Windows have ``frames`` frames of the ``picture`` (settings of `vocoder.Picture`; a prepared
    collection brings its own). ``generator`` and ``critics`` are kinds of networks with their
    settings (see `spectral.materials`), ``settings`` those of the objective.
    """

    name: str = "style"
    description: str = ""
    prepared: str | None = None
    data: str = "."
    source: str = ""
    target: str = ""
    stem: str = "other"
    picture: dict[str, Any] = field(default_factory=dict)
    frames: int = 288
    batch: int = 16
    seed: int = 0
    objective: str = "melgan-vc"
    generator: dict[str, Any] = field(default_factory=dict)
    critics: dict[str, dict[str, Any]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    corpora: list[dict[str, Any]] = field(default_factory=list)


class PictureBatches:
    """Windows of sound as pictures ``[B, F, L]``, made beside the step by whoever loads them."""

    def __init__(self, windows: Batches, picture: Picture) -> None:
        self.windows, self.picture = windows, picture

    def batch(self, step: int) -> dict[str, Tensor]:
        """The pictures of a step."""
        sounds = self.windows.batch(step)
        return {side: self.picture.stereo(sound) for side, sound in sounds.items()}


def train_unpaired(
    recipe: UnpairedStyleRecipe, config: Training, folder: Path, show: Show | None
) -> dict[str, float]:
    """Trains, and leaves a style in ``folder/NAME`` where its pictures can become sound again."""
    Card(recipe.name, recipe.description, {}, {})  # a name that no card takes fails before the work
    if recipe.stem not in STEMS:
        raise AudioTransferError(f"no style changes {recipe.stem!r}; take {', '.join(STEMS)}")
    batches, picture = _windows(recipe, folder)
    materials = Materials(picture.bins, recipe.frames, recipe.generator, recipe.critics)
    objective = objectives.create(recipe.objective, materials, recipe.settings)
    trainer = Trainer(
        objective,
        batches,
        replace(config.trainer, ema=("generator",) if config.trainer.ema_decay else ()),
        folder,
        config=recipe,
    )
    began = time.monotonic()
    figures = trainer.run(should_stop=watch(trainer, show))
    hours = (time.monotonic() - began) / 3600
    if trainer.first and picture.sample_rate == STEREO_RATE:
        generator = cast(Repainter, objective.networks["generator"]).cpu()
        generator.load_state_dict(load_networks(folder / "checkpoint")["generator"])
        write_style(recipe, config, folder, generator, picture, (recipe.stem,), trainer.step, hours)
    return figures


def _windows(recipe: UnpairedStyleRecipe, folder: Path) -> tuple[Batches, Picture]:
    if recipe.prepared is not None:
        return _prepared(recipe, recipe.prepared)
    picture = Picture.from_dict(recipe.picture)
    if picture.sample_rate != STEREO_RATE:
        raise AudioTransferError(
            f"picture.sample_rate is {picture.sample_rate}, but recordings are read at "
            f"{STEREO_RATE} Hz; leave it out"
        )
    for side in ("source", "target"):
        if not getattr(recipe, side):
            raise AudioTransferError(f"unpaired.{side} is empty; name a genre or a folder")
    sounds = UnpairedWindows(
        folder_takes(Path(recipe.data) / recipe.source, recipe.stem, folder / "decoded"),
        folder_takes(Path(recipe.data) / recipe.target, recipe.stem, folder / "decoded"),
        frames=picture.samples(recipe.frames),
        batch=recipe.batch,
        seed=recipe.seed,
    )
    return PictureBatches(sounds, picture), picture


def _prepared(recipe: UnpairedStyleRecipe, place: str) -> tuple[Batches, Picture]:
    manifest = load_manifest(place)
    _same(recipe.picture, manifest.picture, place)
    windows = PreparedWindows(
        manifest,
        (recipe.source, recipe.target),
        recipe.frames,
        recipe.batch,
        recipe.seed,
        stems=(recipe.stem,),
    )
    return windows, Picture.from_dict(dict(manifest.picture))


def _same(wanted: Mapping[str, Any], there: Mapping[str, Any], place: str) -> None:
    for name, value in wanted.items():
        if there.get(name) != value:
            raise AudioTransferError(
                f"the pictures in {place} have {name}={there.get(name)}, not {value}; set "
                f"unpaired.picture.{name}={there.get(name)} or prepare with it"
            )
