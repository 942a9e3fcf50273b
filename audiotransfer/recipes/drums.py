"""A drummer, from performances: a network that knows beats as points."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from audiotransfer.evaluation.metrics.drums import as_batch, reconstruction
from audiotransfer.recipes.base import Show, start_from, watch
from audiotransfer.recipes.export import sign, sizes
from audiotransfer.symbolic.drums.data import (
    Groove,
    GrooveBatches,
    Windows,
    common_styles,
    read_grooves,
    windows_of,
)
from audiotransfer.symbolic.drums.music_vae import MusicVae
from audiotransfer.symbolic.drums.network import DrumVae, Widths
from audiotransfer.symbolic.drums.objective import DrumObjective, DrumSettings, Network, save_drums
from audiotransfer.training import Objective, Trainer, load_networks

if TYPE_CHECKING:
    from audiotransfer.recipes.base import Training

_CENTRE_BARS = 2
_AT_ONCE = 512


@dataclass
class MusicVaeSettings:
    """Sizes of MusicVAE; ``conductor`` 0 is the flat model."""

    latent: int = 512
    encoder: int = 2048
    encoder_layers: int = 1
    conductor: int = 0
    conductor_layers: int = 2
    decoder: int = 2048
    decoder_layers: int = 3
    step: Literal["independent", "nade", "classes"] = "classes"


@dataclass
class DrumRecipe:
    """What a drummer learns from, and which network it is.

    ``grooves`` is the Groove dataset, relative to ``data``; its official splits are kept: its
    validation split chooses the weights. Windows of ``bars`` bars take turns. ``mixed`` is the
    share of windows put together from several. ``music_vae`` takes the place of ``network``;
    it has one length. ``start`` is the checkpoint of another run to go on from. ``look_at``
    validation windows of each length tell how far it is.
    """

    name: str = "drums"
    description: str = ""
    data: str = "data"
    grooves: str = "midi/groove.zip"
    bars: tuple[int, ...] = (1, 2, 4)
    batch: int = 128
    mixed: float = 0.0
    style_bars: int = 100
    look_at: int = 400
    network: Widths = field(default_factory=Widths)
    music_vae: MusicVaeSettings | None = None
    learning: DrumSettings = field(default_factory=DrumSettings)
    start: str = ""
    corpora: list[dict[str, Any]] = field(default_factory=list)


def train_drums(
    recipe: DrumRecipe, config: Training, folder: Path, show: Show | None
) -> dict[str, float]:
    """Leaves the drummer with its card in ``folder/NAME``."""
    place = Path(recipe.data) / recipe.grooves
    grooves = {split: read_grooves(place, split) for split in ("train", "validation")}
    styles = common_styles(grooves["train"], recipe.style_bars)
    network = _network(recipe, styles)
    if recipe.start:
        start_from(network, Path(recipe.start), "drums.network", "drums")
    objective = DrumObjective(network, recipe.learning)
    batches = GrooveBatches(
        [windows_of(grooves["train"], bars, styles) for bars in recipe.bars],
        batch_size=recipe.batch,
        mixed=recipe.mixed,
        mixed_style=network.any_style + 1,
        seed=config.seed,
    )
    trainer = Trainer(
        objective,
        batches,
        replace(config.trainer, ema=("drums",) if config.trainer.ema_decay else ()),
        folder,
        _validation(recipe, grooves["validation"], styles),
        config=replace(recipe, description="", corpora=[]),
    )
    started = time.monotonic()
    figures = trainer.run(should_stop=watch(trainer, show))
    hours = (time.monotonic() - started) / 3600
    if trainer.first:
        chosen = "best" if (folder / "best").is_dir() else "checkpoint"
        network.load_state_dict(load_networks(folder / chosen)["drums"])
        if isinstance(network, DrumVae):
            find_centres(network, windows_of(grooves["train"], _CENTRE_BARS, styles))
        export_drums(recipe, config, folder, network.eval(), trainer.step, hours)
    return figures


@torch.no_grad()
def find_centres(network: DrumVae, windows: Windows) -> None:
    """Sets where the bars of each style lie in the mean, and of all styles alike."""
    network.eval()
    batch = {name: part.split(_AT_ONCE) for name, part in as_batch(windows).items()}
    told = zip(batch["hits"], batch["velocities"], batch["offsets"], strict=True)
    means = torch.cat([network.encode(*part, torch.ones(len(part[0]))).mean for part in told])
    styles = torch.from_numpy(windows.styles)
    for style in range(len(network.styles)):
        network.centres[style] = means[styles == style].mean((0, 1))
    network.centres[network.any_style] = network.centres[: len(network.styles)].mean(0)


def _network(recipe: DrumRecipe, styles: tuple[str, ...]) -> Network:
    if recipe.music_vae is None:
        return DrumVae(styles, **asdict(recipe.network))
    (bars,) = recipe.bars
    return MusicVae(bars, **asdict(recipe.music_vae))


def _validation(
    recipe: DrumRecipe, grooves: list[Groove], styles: tuple[str, ...]
) -> Callable[[Objective], dict[str, float]]:
    """What is given back of windows never seen; the score is the share of sixteenths that are
    right, hits drawn, mean over the lengths.
    """
    held_out = {bars: windows_of(grooves, bars, styles) for bars in recipe.bars}
    held_out = {bars: windows.some(recipe.look_at) for bars, windows in held_out.items()}

    def validate(objective: Objective) -> dict[str, float]:
        network = objective.networks["drums"]
        assert isinstance(network, DrumVae | MusicVae)
        found: dict[str, float] = {}
        for bars, windows in held_out.items():
            figures = reconstruction(network, windows)
            kept = ("sampled", "likeliest", "teacher-forced", "bits")
            found |= {f"{name}/{bars} bars": figures[name] for name in kept}
        scores = [found[f"sampled/{bars} bars"] for bars in held_out]
        return {**found, "score": sum(scores) / len(scores)}

    return validate


def export_drums(
    recipe: DrumRecipe,
    config: Training,
    folder: Path,
    network: Network,
    steps: int,
    hours: float,
) -> Path:
    """Writes the drummer and its card into ``folder/NAME``."""
    place = folder / recipe.name
    place.mkdir(parents=True, exist_ok=True)
    weights = f"{recipe.name}.safetensors"
    save_drums(place / weights, network)
    networks = {"drums": sizes(network)}
    sign(recipe, config, place, {}, [weights], networks, steps, hours, {}, "symbolic")
    return place
