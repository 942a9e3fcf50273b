"""A separator, from stems of any songs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from audiotransfer.atomic import write_bytes
from audiotransfer.data.stem_mixes import (
    MixSettings,
    RandomMixes,
    Take,
    rendered_takes,
    solo_takes,
    song_takes,
)
from audiotransfer.errors import AudioTransferError
from audiotransfer.recipes.base import Show, watch
from audiotransfer.training import Trainer, load_networks
from separation.embedded.network import build as build_separator
from separation.embedded.objective import SeparatorObjective

if TYPE_CHECKING:
    from audiotransfer.recipes.base import Training


@dataclass
class SeparatorRecipe:
    """What a separator learns from, and which network it is.

    Folders are relative to ``data``. ``solos`` maps a stem to a folder of recordings of it alone;
    songs and files with a word of ``without`` in their name are kept out for the test.
    ``start`` is the checkpoint of a run whose weights are the first ones, as far as they fit.
    """

    data: str = "data"
    rendered: str = "bands"
    songs: str = "audio/stems"
    solos: dict[str, str] = field(default_factory=dict)
    without: list[str] = field(default_factory=list)
    network: str = "unet"
    start: str | None = None
    learning_rate: float = 1e-3
    stem_weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    mixes: MixSettings = field(default_factory=MixSettings)


def train_separator(
    recipe: SeparatorRecipe, config: Training, folder: Path, show: Show | None
) -> dict[str, float]:
    takes = separator_takes(recipe, folder / "decoded")
    objective = SeparatorObjective(recipe.network, recipe.learning_rate, recipe.stem_weights)
    if recipe.start is not None:
        state = load_networks(Path(recipe.start)).get("separator", {})
        try:
            fits = objective.separator.load_state_dict(state, strict=False)
        except RuntimeError as error:
            raise AudioTransferError(
                f"the network of {recipe.start} has other shapes than {recipe.network}"
            ) from error
        if len(fits.unexpected_keys) == len(state):
            raise AudioTransferError(
                f"{recipe.start} holds nothing that {recipe.network} could use"
            )
    batches = RandomMixes(takes, recipe.mixes)
    trainer = Trainer(objective, batches, config.trainer, folder, config=recipe)
    figures = trainer.run(should_stop=watch(trainer, show))
    if trainer.first:
        export_separator(recipe.network, folder)
    return figures


def separator_takes(recipe: SeparatorRecipe, cache: Path) -> list[Take]:
    """Every stem that the recipe names, but for those kept out."""
    data = Path(recipe.data)
    takes = rendered_takes(data / recipe.rendered)
    takes += song_takes(data / recipe.songs, cache, recipe.without)
    for stem, place in recipe.solos.items():
        takes += solo_takes(data / place, stem, cache, recipe.without)
    return takes


def export_separator(network: str, folder: Path) -> Path:
    """Writes ``separator.safetensors`` (half precision) from a run's checkpoint."""
    from safetensors.torch import save

    from separation.embedded.masking import Bands

    state = load_networks(folder / "checkpoint")["separator"]
    build_separator(network, Bands().count).load_state_dict(state)
    path = folder / "separator.safetensors"
    halves = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    data = save(halves, {"separator": json.dumps({"network": network})})
    write_bytes(path, data, overwrite=True)
    return path
