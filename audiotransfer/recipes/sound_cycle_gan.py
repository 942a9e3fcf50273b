"""The recipe of a CycleGAN on samples, from any instruments to those of a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiotransfer.audio.resampling import STEREO_RATE, resample
from audiotransfer.data.domains import pairs_of
from audiotransfer.data.paired import Pair, PairedStems, PairSettings
from audiotransfer.data.unpaired import LevelledWindows
from audiotransfer.errors import AudioTransferError
from audiotransfer.recipes.base import Figures, Run, Sounds, restore
from audiotransfer.recipes.waveform_styles import (
    DomainRecipe,
    drawn,
    export_generator,
    held_out_and_trained,
    recordings_of,
    transferred_samples,
    validation_batches,
)
from audiotransfer.styles.card import Card
from audiotransfer.training import Objective
from audiotransfer.training.cycle_consistency import SIDES
from audiotransfer.waveform.feed_forward import (
    FoldedGenerator,
    WaveNetDiscriminator,
    WaveNetGenerator,
    with_spectral_norm,
    without_spectral_norm,
)
from audiotransfer.waveform.framed import FramedWaveNetGenerator
from audiotransfer.waveform.generators import WaveformGenerator
from audiotransfer.waveform.pair_distances import pair_distances
from audiotransfer.waveform.sound_cycle_gan import SoundCycleGan, SoundCycleSettings

_GENERATORS: dict[str, type[WaveformGenerator]] = {
    one.kind: one for one in (WaveNetGenerator, FramedWaveNetGenerator, FoldedGenerator)
}


@dataclass
class SoundCycleGanRecipe:
    """Two domains, generators and discriminators, and the style that the first generator becomes.

    ``generator`` names a ``kind`` (``wavenet``, ``framed`` or ``folded``) and its settings; with
    ``spectral_generator`` it has spectral norm as the discriminators have. Crops have ``seconds``.
    The first ``validation_songs`` rendered songs of ``pairs`` are left out of all training; their
    true targets measure the distance that chooses the weights. The others are trained on as pairs
    where ``settings.pairs`` is a weight. With a ``bank`` only songs whose targets it plays are used
    for both.
    """

    name: str = "sound-cycle-gan"
    description: str = ""
    data: str = "data"
    stem: str = "other"
    source: DomainRecipe = field(default_factory=DomainRecipe)
    target: DomainRecipe = field(default_factory=DomainRecipe)
    pairs: str | None = None
    bank: str = ""
    validation_songs: int = 12
    generator: dict[str, Any] = field(default_factory=lambda: {"kind": "wavenet"})
    spectral_generator: bool = False
    discriminator: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.75
    batch: int = 4
    seed: int = 0
    settings: SoundCycleSettings = field(default_factory=SoundCycleSettings)
    drawing: PairSettings = field(default_factory=PairSettings)
    corpora: list[dict[str, Any]] = field(default_factory=list)

    def train(self, run: Run) -> dict[str, float]:
        """Trains both generators, and writes the style ``NAME`` into the run's folder."""
        Card(self.name, self.description, {}, {})
        held_out: list[Pair] = []
        trained: list[Pair] = []
        if self.pairs is not None:
            folder = Path(self.data) / self.pairs
            held_out, trained = held_out_and_trained(
                folder, self.stem, self.validation_songs, self.bank
            )
        if self.settings.pairs and not trained:
            raise AudioTransferError(
                "sound_cycle_gan.settings.pairs has a weight, but sound_cycle_gan.pairs names no"
                " folder with further songs"
            )
        domains = dict(zip(SIDES, (self.source, self.target), strict=True))
        recordings = recordings_of(
            domains, Path(self.data), self.stem, run.folder / "decoded", held_out
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            rate = self._generator().sample_rate
            length = round(self.seconds * rate)
            objective = SoundCycleGan(
                self._generator,
                lambda: WaveNetDiscriminator(**self.discriminator),
                length,
                self.settings,
            )
        frames = -(-length * STEREO_RATE // rate)
        windows = LevelledWindows(recordings, frames=frames, batch=self.batch, seed=self.seed)
        of_pairs = None
        if self.settings.pairs:
            of_pairs = drawn(trained, self.drawing, self.stem, self.seconds)
        validation: Figures | None = None
        samples: Sounds | None = None
        if held_out:
            batches = validation_batches(held_out, self.drawing, self.stem, self.seconds, rate)
            validation = _distances(objective, batches)
            samples = transferred_samples(held_out, self.stem, self.name, lambda: objective.forth)
        fit = run.fit(
            objective,
            _MonoAtRate(windows, rate, length, of_pairs),
            replace(self, description="", corpora=[]),
            validation=validation,
            samples=samples,
            averaged=("generator",),
        )
        if fit.exports:
            restore(fit.best, {"generator": objective.forth})
            without_spectral_norm(objective.forth)
            export_generator(self, self.stem, run, fit, objective.forth.eval())
        return fit.figures

    def _generator(self) -> WaveformGenerator:
        """A new generator. Raises AudioTransferError for an unknown kind."""
        arguments = dict(self.generator)
        kind = arguments.pop("kind", None)
        if kind not in _GENERATORS:
            raise AudioTransferError(
                f"sound_cycle_gan.generator.kind is {kind!r}; take {', '.join(_GENERATORS)}"
            )
        made = _GENERATORS[kind](**arguments)
        if self.spectral_generator:
            with_spectral_norm(made)
        return made


def _distances(objective: SoundCycleGan, batches: Sequence[dict[str, Tensor]]) -> Figures:
    def figures(of: Objective) -> dict[str, float]:
        return pair_distances(objective.forth, batches)

    return figures


class _MonoAtRate:
    """The mean of windows' and pairs' channels ``[B, T]``, at a sample rate (Hz)."""

    def __init__(
        self, windows: LevelledWindows, rate: int, length: int, pairs: PairedStems | None
    ) -> None:
        self.windows, self.rate, self.length, self.pairs = windows, rate, length, pairs

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step."""
        made = {name: windows.mean(1) for name, windows in self.windows.batch(step).items()}
        found = {
            name: resample(sound, STEREO_RATE, self.rate)[:, : self.length]
            for name, sound in made.items()
        }
        return found if self.pairs is None else found | pairs_of(self.pairs, step, self.rate)
