"""The recipe of a drum model, a VAE of beats, from performances."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch

from audiotransfer.evaluation.metrics.drums import as_batch, reconstruction
from audiotransfer.recipes.base import Figures, Fit, Run, restore, start_from
from audiotransfer.recipes.export import sizes, style_folder, write_style_card
from audiotransfer.symbolic.drums.data import (
    Groove,
    GrooveBatches,
    Windows,
    common_styles,
    read_grooves,
    windows_of,
)
from audiotransfer.symbolic.drums.drummer import Network, save_drums
from audiotransfer.symbolic.drums.music_vae import MusicVae
from audiotransfer.symbolic.drums.network import DrumVae, Widths
from audiotransfer.symbolic.drums.objective import DrumObjective, DrumSettings
from audiotransfer.training import Objective

_CENTRE_BARS = 2
_BATCH = 512  # windows that are encoded at a time


@dataclass
class MusicVaeSettings:
    """Sizes of MusicVAE; with ``conductor`` 0 it is the flat model."""

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
    """The performances that a drum model is trained on, and its network.

    ``grooves`` is the Groove dataset, relative to ``data``; its official splits are kept, and its
    validation split chooses the weights. Batches alternate between windows of the lengths
    ``bars``. ``mixed`` is the share of windows that are put together from several. ``music_vae``
    takes the place of ``network``; it has one length. ``start`` is the checkpoint of another run
    whose weights are the first ones. ``look_at`` windows of each length are validated on.
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

    def train(self, run: Run) -> dict[str, float]:
        """Trains the drum model, and writes it with its card into ``NAME`` in the run's folder."""
        place = Path(self.data) / self.grooves
        grooves = {split: read_grooves(place, split) for split in ("train", "validation")}
        styles = common_styles(grooves["train"], self.style_bars)
        network = _network(self, styles)
        if self.start:
            start_from(network, Path(self.start), "drums.network", "drums")
        batches = GrooveBatches(
            [windows_of(grooves["train"], bars, styles) for bars in self.bars],
            batch_size=self.batch,
            mixed=self.mixed,
            mixed_style=network.any_style + 1,
            seed=run.seed,
        )
        fit = run.fit(
            DrumObjective(network, self.learning),
            batches,
            replace(self, description="", corpora=[]),
            validation=_validation(self, grooves["validation"], styles),
            averaged=("drums",),
        )
        if fit.exports:
            restore(fit.best, {"drums": network})
            if isinstance(network, DrumVae):
                find_centres(network, windows_of(grooves["train"], _CENTRE_BARS, styles))
            export_drums(self, run, fit, network.eval())
        return fit.figures


@torch.no_grad()
def find_centres(network: DrumVae, windows: Windows) -> None:
    """Sets the network's mean latent code of each style's bars, and the mean over all styles."""
    network.eval()
    batch = {name: part.split(_BATCH) for name, part in as_batch(windows).items()}
    parts = zip(batch["hits"], batch["velocities"], batch["offsets"], strict=True)
    means = torch.cat([network.encode(*part, torch.ones(len(part[0]))).mean for part in parts])
    styles = torch.from_numpy(windows.styles)
    for style in range(len(network.styles)):
        network.centres[style] = means[styles == style].mean((0, 1))
    network.centres[network.any_style] = network.centres[: len(network.styles)].mean(0)


def _network(recipe: DrumRecipe, styles: tuple[str, ...]) -> Network:
    if recipe.music_vae is None:
        return DrumVae(styles, **asdict(recipe.network))
    (bars,) = recipe.bars
    return MusicVae(bars, **asdict(recipe.music_vae))


def _validation(recipe: DrumRecipe, grooves: list[Groove], styles: tuple[str, ...]) -> Figures:
    """Reconstruction of windows that are not trained on.

    The score is the share of sixteenths that are right, hits sampled, mean over the lengths.
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


def export_drums(recipe: DrumRecipe, run: Run, fit: Fit, network: Network) -> Path:
    """Writes the drum model and its card into ``NAME`` in the run's folder."""
    place = style_folder(run.folder, recipe.name)
    weights = f"{recipe.name}.safetensors"
    save_drums(place / weights, network)
    networks = {"drums": sizes(network)}
    write_style_card(recipe, run, fit, place, {}, [weights], networks, route="symbolic")
    return place
