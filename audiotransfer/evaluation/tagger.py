"""The instrument tagger: which families play, for a second look at how near two sets of songs lie.

What it learns, instruments, is not what the judge learns, genres: a sound that fools one of them
need not fool the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional as F

from audiotransfer.evaluation.listener import Listener
from audiotransfer.evaluation.listener_objective import ListenerObjective
from audiotransfer.training import Preview, Turn

FAMILIES = (
    "piano", "chromatic percussion", "organ", "guitar", "bass", "strings", "ensemble", "brass",
    "reed", "pipe", "synth lead", "synth pad", "synth effects", "ethnic", "percussive",
    "sound effects", "drums",
)  # fmt: skip
"""The sixteen families of General MIDI, eight programs each, and drums."""

_SHIPPED = Path(__file__).parent / "judges" / "instruments"


class Tagger(Listener):
    """A listener whose classes are families of instruments, of which many sound at once."""

    kind = "tagger"

    def probabilities(self, audio: Tensor, sample_rate: int) -> dict[str, float]:
        """Probability that each family plays in a sound [C, T], mean over its 3 s windows.

        Nothing plays in silence.
        """
        shares = self.logits(audio, sample_rate).sigmoid()
        found = shares.mean(dim=0) if len(shares) else torch.zeros(len(self.classes))
        return dict(zip(self.classes, found.tolist(), strict=True))


def shipped_tagger() -> Path | None:
    """Folder of the tagger that comes with the package, for ``Tagger.load``; None if none does."""
    return _SHIPPED if _SHIPPED.is_dir() else None


def family(program: int) -> int:
    """Place in ``FAMILIES`` of a General MIDI program, 0..127."""
    return program // 8


class TaggerObjective(ListenerObjective):
    """Binary cross-entropy of each family in 3 s windows of mixes.

    A batch is {"features": [B, F, L], "labels": [B, families] of 0 and 1}. Networks and groups:
    ``tagger``.
    """

    kind = Tagger.kind

    def turns(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator
    ) -> Iterator[Turn]:
        """One turn: the cross-entropy, mean over windows and families."""
        logits = self.network(batch["features"])
        loss = F.binary_cross_entropy_with_logits(logits, batch["labels"])
        yield Turn(self.kind, {"cross_entropy": loss})

    def preview(self, batch: dict[str, Tensor], generator: torch.Generator) -> Preview:
        """One window of the batch."""
        return Preview({"window": batch["features"][0]}, {})


def areas_under_curve(
    scores: npt.NDArray[np.float64], labels: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Area under the ROC curve for each class, scores and 0/1 labels [N, classes] -> [classes].

    The chance that a window with the class scores higher than one without; 0.5 is guessing, NaN
    where all windows or none have the class.
    """
    ranks = rankdata(scores, axis=0)
    with_it = labels.sum(axis=0)
    without = len(labels) - with_it
    wins = (ranks * labels).sum(axis=0) - with_it * (with_it + 1) / 2
    pairs = with_it * without
    return np.where(pairs > 0, wins / np.maximum(pairs, 1), np.nan)
