"""The recipe of the jazz band's small networks: comping rhythm, and walking bass."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from audiotransfer.atomic import write_bytes
from audiotransfer.cover.examples import EventBatches, Examples, bass_examples, comping_examples
from audiotransfer.cover.features import INTERVAL_CLASSES
from audiotransfer.cover.networks import EventNetwork, EventObjective, bits, save_events
from audiotransfer.errors import AudioTransferError
from audiotransfer.recipes.base import Run, restore
from audiotransfer.training import Objective

_READ = {"comping": comping_examples, "bass": bass_examples}
_CLASSES = {"comping": 2, "bass": INTERVAL_CLASSES}


@dataclass
class ArrangerNetworkRecipe:
    """A network that predicts the events of one part from ``archive``, relative to ``data``.

    ``part`` is what it plays. Whole pianists or pieces are held out: ``validation`` of them choose
    the weights, ``test`` others are only reported on.
    """

    name: str = "comping"
    part: Literal["comping", "bass"] = "comping"
    data: str = "data"
    archive: str = "midi/jazz_jtd_piano.zip"
    validation: int = 4
    test: int = 5
    widths: tuple[int, ...] = (64, 32)
    dropout: float = 0.2
    batch: int = 1024
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3

    def train(self, run: Run) -> dict[str, float]:
        """Trains the network, and writes ``NAME.safetensors`` and ``NAME.json`` with its figures.

        Raises AudioTransferError for an archive without what can be learned from, or with too few
        pianists or pieces.
        """
        examples = _READ[self.part](str(Path(self.data) / self.archive))
        parts = split(examples, self.validation, self.test)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            network = EventNetwork(
                examples.features.shape[1], _CLASSES[self.part], self.widths, self.dropout
            )

        def validate(objective: Objective) -> dict[str, float]:
            found = _bits(network.eval(), parts["validation"])
            network.train()
            return {"bits": found, "score": -found}

        fit = run.fit(
            EventObjective(network, self.learning_rate, self.weight_decay),
            EventBatches(parts["train"], self.batch, run.seed),
            self,
            validation=validate,
        )
        if not fit.exports:
            return fit.figures
        restore(fit.best, {"events": network})
        found = {name: round(_bits(network.eval(), part), 3) for name, part in parts.items()}
        figures = {
            "bits": found,
            "bits of the class shares": {
                name: round(_share_bits(parts["train"], part), 3) for name, part in parts.items()
            },
            "examples": {name: len(part) for name, part in parts.items()},
            "held out": sorted(set(parts["test"].groups.tolist())),
            "steps": fit.steps,
            "config": run.config,
        }
        save_events(run.folder / f"{self.name}.safetensors", network)
        text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
        write_bytes(run.folder / f"{self.name}.json", text.encode(), overwrite=True)
        return {**fit.figures, "test bits": found["test"]}


def split(examples: Examples, validation: int, test: int) -> dict[str, Examples]:
    """Examples by split; groups are drawn by a fixed permutation.

    Raises AudioTransferError where no group would be left to train on.
    """
    groups = sorted(set(examples.groups.tolist()))
    if len(groups) <= validation + test:
        raise AudioTransferError(
            f"{len(groups)} pianists or pieces are too few to hold out {validation + test}:"
            " lower validation and test"
        )
    order = [groups[i] for i in np.random.default_rng(20).permutation(len(groups))]
    held = {"test": set(order[:test]), "validation": set(order[test : test + validation])}
    parts = {name: examples.of(names, inside=True) for name, names in held.items()}
    return {"train": examples.of(held["test"] | held["validation"], inside=False), **parts}


@torch.no_grad()
def _bits(network: EventNetwork, examples: Examples) -> float:
    logits = network(torch.from_numpy(examples.features))
    return float(bits(logits, torch.from_numpy(examples.events)))


def _share_bits(train: Examples, examples: Examples) -> float:
    """Cross entropy in bits of the classes by their shares in training."""
    classes = int(max(train.events.max(), examples.events.max())) + 1
    shares = (np.bincount(train.events, minlength=classes) + 0.5) / (len(train) + classes / 2)
    return float(-np.log2(shares[examples.events]).mean())
