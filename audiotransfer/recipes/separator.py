"""The recipe of a separator, trained on random mixes of stems."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from audiotransfer.data.stem_mixes import (
    BAND,
    MixSettings,
    RandomMixes,
    StemRecording,
    rendered_stems,
    solo_stems,
    song_stems,
)
from audiotransfer.errors import AudioTransferError
from audiotransfer.recipes.base import Run
from audiotransfer.training import load_networks
from audiotransfer.weights import load_weights, save_weights
from separation.embedded.masking import Bands
from separation.embedded.network import build as build_separator
from separation.embedded.objective import SeparatorObjective, band_energies


@dataclass
class SeparatorRecipe:
    """The stems that a separator is trained on, and its network.

    Folders are relative to ``data``. ``solos`` maps a stem to a folder of recordings of it alone;
    songs and files with a word of ``without`` in their name are held out for the test.
    ``bands`` is a folder of recordings without a voice, whose stems are not known. ``start`` is the
    checkpoint of a run, or a ``.safetensors`` file of a separator, whose weights are the first
    ones, as far as they fit. For the last two weights see `SeparatorObjective`.
    """

    data: str = "data"
    rendered: str = "ensembles"
    songs: str = "audio/stems"
    solos: dict[str, str] = field(default_factory=dict)
    bands: str = ""
    without: list[str] = field(default_factory=list)
    network: str = "unet"
    start: str | None = None
    learning_rate: float = 1e-3
    stem_weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    energy_weight: float = 0.0
    missing_weight: float = 1.0
    mixes: MixSettings = field(default_factory=MixSettings)

    def train(self, run: Run) -> dict[str, float]:
        """Trains the network, and writes ``separator.safetensors`` into the run's folder."""
        recordings = separator_stems(self, run.folder / "decoded")
        objective = SeparatorObjective(
            self.network,
            self.learning_rate,
            self.stem_weights,
            self.energy_weight,
            self.missing_weight,
        )
        if self.start is not None:
            load_start(objective, self.start, self.network)
        fit = run.fit(objective, _Analysed(RandomMixes(recordings, self.mixes)), self)
        if fit.exports:
            export_separator(self.network, fit.last, run.folder)
        return fit.figures


class _Analysed:
    """Random mixes as `BandEnergies`, which the processes that load batches compute."""

    def __init__(self, mixes: RandomMixes) -> None:
        self._mixes, self._bands = mixes, Bands()

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step."""
        batch = self._mixes.batch(step)
        energies = band_energies(batch.pop("stems"), self._bands)
        return {**batch, **energies._asdict()}


def separator_stems(recipe: SeparatorRecipe, cache: Path) -> list[StemRecording]:
    """Every stem that the recipe names, without those that are held out."""
    data = Path(recipe.data)
    recordings = rendered_stems(data / recipe.rendered)
    recordings += song_stems(data / recipe.songs, cache, recipe.without)
    for stem, place in recipe.solos.items():
        recordings += solo_stems(data / place, stem, cache, recipe.without)
    if recipe.bands:
        recordings += solo_stems(data / recipe.bands, BAND, cache, recipe.without)
    return recordings


def export_separator(network: str, checkpoint: Path, folder: Path) -> Path:
    """Writes ``separator.safetensors`` (half precision) from a checkpoint."""
    state = load_networks(checkpoint)["separator"]
    build_separator(network, Bands().count).load_state_dict(state)
    path = folder / "separator.safetensors"
    save_weights(path, state, {"network": network}, "separator")
    return path


def load_start(objective: SeparatorObjective, checkpoint: str, network: str) -> None:
    """Loads the weights that the network has in common with that of a checkpoint, or of a file.

    Raises AudioTransferError where nothing fits.
    """
    if Path(checkpoint).suffix == ".safetensors":
        _, state = load_weights(Path(checkpoint), "separator")
    else:
        state = load_networks(Path(checkpoint)).get("separator", {})
    try:
        fits = objective.separator.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise AudioTransferError(
            f"the network of {checkpoint} has other shapes than {network}"
        ) from error
    if len(fits.unexpected_keys) == len(state):
        raise AudioTransferError(f"{checkpoint} holds nothing that {network} could use")
