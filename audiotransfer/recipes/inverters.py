"""The recipes of the networks that turn spectrograms into sound, trained on recordings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from audiotransfer.atomic import write_bytes
from audiotransfer.audio.resampling import resample
from audiotransfer.data.sound_crops import CropSettings, SoundCrops
from audiotransfer.data.stem_mixes import SAMPLE_RATE, StemRecording, solo_stems
from audiotransfer.recipes.base import Run, restore
from audiotransfer.training import Objective
from audiotransfer.weights import save_weights
from vocoder import SpectrogramSettings
from vocoder.deep_griffinlim.network import ResidualNetwork
from vocoder.deep_griffinlim.objective import DenoisingObjective
from vocoder.neural.network import MagnitudeNetwork
from vocoder.neural.objective import MagnitudeObjective
from vocoder.waveglow.network import WaveGlow
from vocoder.waveglow.objective import FlowObjective
from vocoder.wavenet.network import WaveNet
from vocoder.wavenet.objective import LikelihoodObjective
from vocoder.wavenet.outputs import LogisticMixture, MuLaw

if TYPE_CHECKING:
    from vocoder.turns import VocoderTurn

_HELD_SEED = 77


@dataclass
class InverterRecipe:
    """What the recipes of inverters share: recordings, validation and the files that they write.

    Folders of recordings are relative to ``data``; files with a word of ``without`` in their path
    are left out, those with a word of ``held`` are validated on, ``held_batches`` random crops.
    """

    name: str = "inverter"
    data: str = "data"
    folders: list[str] = field(default_factory=lambda: ["audio"])
    without: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    held_batches: int = 4
    learning_rate: float = 4e-4
    crops: CropSettings = field(default_factory=CropSettings)

    def train(self, run: Run) -> dict[str, float]:
        """Trains the network, and writes ``NAME.safetensors`` and ``NAME.json`` with its figures.

        Raises AudioTransferError for folders without recordings.
        """
        training, held = recordings_of(self, run.folder / "decoded")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            objective, settings = self.build()
        ((name, network),) = objective.networks.items()
        crops = CropSettings(batch=self.crops.batch, seconds=self.crops.seconds, seed=_HELD_SEED)
        batches = _AtRate(SoundCrops(held or training, crops), settings.sample_rate)
        sounds = [batches.batch(number) for number in range(self.held_batches)]

        def validate(of: Objective) -> dict[str, float]:
            random = torch.Generator().manual_seed(_HELD_SEED)
            turns: list[VocoderTurn] = [
                turn  # type: ignore[misc]
                for number, batch in enumerate(sounds)
                for turn in of.turns(batch, number, random)
            ]
            totals: dict[str, float] = {}
            score = 0.0
            for turn in turns:
                for term, value in turn.terms.items():
                    share = float(value) / len(turns)
                    totals[term] = totals.get(term, 0.0) + share
                    score -= turn.weights.get(term, 1.0) * share
            return {**totals, "score": score}

        fit = run.fit(
            objective,
            _AtRate(SoundCrops(training, self.crops), settings.sample_rate),
            self,
            validation=torch.no_grad()(validate),
            averaged=(name,),
        )
        if not fit.exports:
            return fit.figures
        restore(fit.best, {name: network})
        export_inverter(run.folder / f"{self.name}.safetensors", network, settings, self.name)
        with torch.no_grad():
            figures = validate(objective)
        card = {
            "validation": {term: round(value, 4) for term, value in figures.items()},
            "folders": self.folders,
            "recordings": len(training),
            "steps": fit.steps,
            "hours": round(fit.hours, 2),
            "config": run.config,
        }
        text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
        write_bytes(run.folder / f"{self.name}.json", text.encode(), overwrite=True)
        return fit.figures

    def build(self) -> tuple[Objective, SpectrogramSettings]:
        """The objective, with one network, and the settings that its inverter will expect."""
        raise NotImplementedError


@dataclass
class DeepGriffinLimRecipe(InverterRecipe):
    """The network of deep Griffin-Lim iterations: complex channels, layers."""

    name: str = "deep-griffinlim"
    channels: int = 32
    layers: int = 3

    def build(self) -> tuple[Objective, SpectrogramSettings]:
        """A denoising objective; its network serves any settings."""
        network = ResidualNetwork(self.channels, self.layers)
        return DenoisingObjective(network, self.learning_rate), SpectrogramSettings()


@dataclass
class WaveNetRecipe(InverterRecipe):
    """A WaveNet conditioned on mel bands; ``mixtures``: of logistics, 0 for the mu law's steps."""

    name: str = "wavenet"
    spectrogram: SpectrogramSettings = field(default_factory=SpectrogramSettings)
    channels: int = 32
    gates: int = 32
    skips: int = 32
    layers: int = 18
    stacks: int = 2
    kernel: int = 2
    mixtures: int = 10

    def build(self) -> tuple[Objective, SpectrogramSettings]:
        """The likelihood objective and the spectrograms that condition it."""
        output = LogisticMixture(self.mixtures) if self.mixtures else MuLaw()
        network = WaveNet(
            1, output.size, self.channels, self.gates, self.skips, self.layers, self.stacks,
            self.kernel, local=self.spectrogram.bins,
        )  # fmt: skip
        objective = LikelihoodObjective(self.spectrogram, network, self.learning_rate)
        return objective, self.spectrogram


@dataclass
class WaveGlowRecipe(InverterRecipe):
    """A WaveGlow conditioned on mel bands; see `vocoder.waveglow.network` for its sizes."""

    name: str = "waveglow"
    spectrogram: SpectrogramSettings = field(default_factory=SpectrogramSettings)
    group: int = 16
    flows: int = 8
    early: int = 2
    early_every: int = 3
    channels: int = 48
    skips: int = 48
    layers: int = 4
    kernel: int = 3

    def build(self) -> tuple[Objective, SpectrogramSettings]:
        """The likelihood objective and the spectrograms that condition it."""
        network = WaveGlow(
            self.spectrogram.bins, self.spectrogram.hop_length, self.group, self.flows,
            self.early, self.early_every, self.channels, self.skips, self.layers, self.kernel,
        )  # fmt: skip
        return FlowObjective(self.spectrogram, network, self.learning_rate), self.spectrogram


@dataclass
class NeuralRecipe(InverterRecipe):
    """The network of the neural inverter, from mel bands to the magnitudes of an STFT."""

    name: str = "neural"
    width: int = 320
    hidden: int = 640
    blocks: int = 4
    degraded_share: float = 0.2

    def build(self) -> tuple[Objective, SpectrogramSettings]:
        """The magnitudes' objective, and the settings of the styles' spectrograms."""
        settings = SpectrogramSettings()
        network = MagnitudeNetwork(
            settings.bins, settings.n_fft // 2 + 1, self.width, self.hidden, self.blocks
        )
        objective = MagnitudeObjective(settings, network, self.learning_rate, self.degraded_share)
        return objective, settings


class _AtRate:
    """Batches of crops at another sample rate (Hz)."""

    def __init__(self, crops: SoundCrops, rate: int) -> None:
        self.crops, self.rate = crops, rate

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step."""
        made = self.crops.batch(step)
        return {name: resample(sound, SAMPLE_RATE, self.rate) for name, sound in made.items()}


def recordings_of(
    recipe: InverterRecipe, cache: Path
) -> tuple[list[StemRecording], list[StemRecording]]:
    """Recordings to train on, and those to validate on."""
    found = [
        recording
        for folder in recipe.folders
        for recording in solo_stems(Path(recipe.data) / folder, "mix", cache, recipe.without)
    ]
    is_held = [any(word in recording.song for word in recipe.held) for recording in found]
    return (
        [recording for recording, held in zip(found, is_held, strict=True) if not held],
        [recording for recording, held in zip(found, is_held, strict=True) if held],
    )


def export_inverter(
    path: Path, network: nn.Module, settings: SpectrogramSettings, name: str
) -> None:
    """Writes a network as half-precision safetensors, as `vocoder.trained` reads it."""
    shape: Mapping[str, Any] = network.shape  # type: ignore[assignment]
    save_weights(
        path, network.state_dict(), {"shape": shape, "spectrogram": settings.to_dict()}, name
    )
