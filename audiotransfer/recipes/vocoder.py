"""The recipe of the neural inverter's network, from recordings."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch

from audiotransfer.atomic import write_bytes
from audiotransfer.data.sound_crops import CropSettings, SoundCrops
from audiotransfer.recipes.base import Run, restore
from audiotransfer.recipes.inverters import export_inverter, recordings_of
from audiotransfer.training import Objective
from vocoder import SpectrogramSettings
from vocoder.neural.network import MagnitudeNetwork
from vocoder.neural.objective import MagnitudeObjective

_NETWORK = "magnitude"
_HELD_BATCHES = 6
_HELD_SEED = 77


@dataclass
class VocoderRecipe:
    """A network that finds the magnitudes of an STFT from its mel bands.

    Folders of recordings are relative to ``data``; files with a word of ``without`` in their path
    are left out, those with a word of ``held`` are validated on.
    """

    name: str = "vocoder"
    data: str = "data"
    folders: list[str] = field(default_factory=lambda: ["audio"])
    without: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    learning_rate: float = 1e-3
    width: int = 320
    hidden: int = 640
    blocks: int = 4
    degraded_share: float = 0.2
    crops: CropSettings = field(default_factory=CropSettings)

    def train(self, run: Run) -> dict[str, float]:
        """Trains the network, and writes ``NAME.safetensors`` and ``NAME.json`` with its figures.

        Raises AudioTransferError for folders without recordings.
        """
        settings = SpectrogramSettings()
        training, held = recordings_of(self, run.folder / "decoded")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            network = MagnitudeNetwork(
                settings.bins, settings.n_fft // 2 + 1, self.width, self.hidden, self.blocks
            )
        objective = MagnitudeObjective(settings, network, self.learning_rate, self.degraded_share)
        batches = SoundCrops(held or training, CropSettings(seed=_HELD_SEED))
        sounds = [batches.batch(number) for number in range(_HELD_BATCHES)]

        def validate(_: Objective) -> dict[str, float]:
            totals: dict[str, float] = {}
            for batch in sounds:
                for turn in objective.turns(batch, 0, None):
                    for name, value in turn.terms.items():
                        totals[name] = totals.get(name, 0.0) + float(value) / len(sounds)
            score = -sum(objective.weights[name] * value for name, value in totals.items())
            return {**totals, "score": score}

        fit = run.fit(
            objective,
            SoundCrops(training, self.crops),
            self,
            validation=validate,
            averaged=(_NETWORK,),
        )
        if not fit.exports:
            return fit.figures
        restore(fit.best, {_NETWORK: network})
        export_vocoder(run.folder / f"{self.name}.safetensors", network, settings)
        card = {
            "validation": {name: round(value, 4) for name, value in validate(objective).items()},
            "folders": self.folders,
            "recordings": len(training),
            "steps": fit.steps,
            "hours": round(fit.hours, 2),
            "config": run.config,
        }
        text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
        write_bytes(run.folder / f"{self.name}.json", text.encode(), overwrite=True)
        return fit.figures


def export_vocoder(path: Path, network: MagnitudeNetwork, settings: SpectrogramSettings) -> None:
    """Writes a network as half-precision safetensors, as `vocoder.neural.inverter` reads it."""
    export_inverter(path, network, settings, _NETWORK)
