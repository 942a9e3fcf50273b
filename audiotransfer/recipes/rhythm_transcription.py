"""The recipe of the rhythm network of the transcription."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from audiotransfer.atomic import write_bytes
from audiotransfer.recipes.base import Run, restore, start_from
from audiotransfer.training import Objective
from audiotransfer.transcription.activations import RhythmActivations
from audiotransfer.transcription.beats import find_beats
from audiotransfer.transcription.drums import DRUM_KEYS, drum_hits
from audiotransfer.transcription.rhythm_examples import Example, RhythmBatches, read_examples
from audiotransfer.transcription.rhythm_features import FRAME_RATE
from audiotransfer.transcription.rhythm_network import RhythmNetwork, save_rhythm
from audiotransfer.transcription.rhythm_objective import NETWORK, RhythmObjective

_LEVELS = "levels"
_BATCH = 8  # examples of a validation at once
_BEAT_WINDOW, _HIT_WINDOW = 0.07, 0.03  # s within which beats and hits agree


@dataclass
class RhythmTranscriptionRecipe:
    """A network for beats, downbeats and drum hits, from rendered excerpts in ``data``.

    ``data`` has the folders ``train`` and ``validation``, as have those of ``extra``; one that is
    named twice there is read twice as often. At most ``validation`` excerpts of each folder, spread
    over it, choose the weights. ``frames`` are those of an example, ``stretch`` how far
    its tempo is varied, ``scrambled`` the share of examples whose pieces are in random order.
    ``start`` is a checkpoint with the first weights.
    """

    data: str = "excerpts"
    extra: tuple[str, ...] = ()
    validation: int = 96
    width: int = 64
    front: tuple[int, int] = (16, 24)
    layers: int = 8
    dropout: float = 0.1
    batch: int = 8
    frames: int = 1664
    stretch: float = 0.25
    scrambled: float = 0.03
    shares: tuple[float, float, float] = (1.0, 1.0, 0.5)
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    start: str | None = None

    def train(self, run: Run) -> dict[str, float]:
        """Trains the network, and writes ``rhythm.safetensors`` and ``rhythm.json``, its card.

        Raises AudioTransferError where there are no excerpts.
        """
        train = self._examples("train", run.folder)
        held = self._examples("validation", run.folder, self.validation)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            network = RhythmNetwork(self.width, self.front, self.layers, self.dropout)
        if self.start is not None:
            start_from(network, Path(self.start), "width, front and layers", NETWORK)

        def validate(objective: Objective) -> dict[str, float]:
            found = rhythm_figures(network.eval(), held)
            network.train()
            score = (found["beats"] + found["downbeats"] + 0.5 * found["drums"]) / 2.5
            return {**found, "score": score}

        batches = RhythmBatches(
            train, self.batch, self.frames, run.seed, self.stretch, self.scrambled
        )
        fit = run.fit(
            RhythmObjective(network, self.learning_rate, self.weight_decay, self.shares),
            batches,
            self,
            validation=validate,
        )
        if not fit.exports:
            return fit.figures
        restore(fit.best, {NETWORK: network})
        figures = {
            "validation": {
                name: round(value, 3) for name, value in rhythm_figures(network, held).items()
            },
            "excerpts": {"train": len(train), "validation": len(held)},
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "steps": fit.steps,
            "hours": round(fit.hours, 2),
            "config": run.config,
        }
        save_rhythm(run.folder / "rhythm.safetensors", network)
        text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
        write_bytes(run.folder / "rhythm.json", text.encode(), overwrite=True)
        return fit.figures

    def _examples(self, split: str, folder: Path, most: int | None = None) -> list[Example]:
        """The examples of a split, each folder's levels kept in one of the run; of validation
        each once, and at most ``most`` of a folder."""
        places = [self.data, *self.extra]
        found: list[Example] = []
        for number, place in enumerate(dict.fromkeys(places)):
            cache = folder / _LEVELS / (split if number == 0 else f"{split}-{number}")
            examples = read_examples(Path(place) / split, cache)
            if most is None:
                found += examples * places.count(place)
            else:
                found += examples[:: max(1, len(examples) // most)][:most]
        return found


@torch.no_grad()
def rhythm_figures(network: RhythmNetwork, examples: list[Example]) -> dict[str, float]:
    """Mean F-measures of beats, downbeats and drum hits that are decoded from examples."""
    from mir_eval.util import match_events

    def f_measure(truth: np.ndarray, found: np.ndarray, window: float) -> float:
        matches = len(match_events(truth, found, window)) if len(truth) and len(found) else 0
        return 2 * matches / max(len(truth) + len(found), 1)

    network.eval()
    values: dict[str, list[float]] = {"beats": [], "downbeats": [], "drums": []}
    for example in examples:
        found = network(example.levels()[None])[0].sigmoid().numpy()
        activations = RhythmActivations(FRAME_RATE, found[0], found[1], found[2:].T)
        if example.beats is not None and example.downbeats is not None:
            grid = find_beats(activations)
            beats = np.zeros(0) if grid is None else grid.beats[:-1]
            downbeats = np.zeros(0) if grid is None else grid.downbeats
            values["beats"].append(f_measure(example.beats, beats, _BEAT_WINDOW))
            values["downbeats"].append(f_measure(example.downbeats, downbeats, _BEAT_WINDOW))
        if example.drums is not None and len(example.drums):
            hits = drum_hits(activations)
            matched = total = 0.0
            for number, key in enumerate(DRUM_KEYS.values()):
                truth = np.sort(example.drums[example.drums[:, 1] == number, 0])
                own = np.array([hit.start for hit in hits if hit.pitch == key])
                total += len(truth) + len(own)
                matched += f_measure(truth, own, _HIT_WINDOW) * (len(truth) + len(own))
            values["drums"].append(matched / max(total, 1))
    return {name: float(np.mean(each)) if each else 0.0 for name, each in values.items()}
