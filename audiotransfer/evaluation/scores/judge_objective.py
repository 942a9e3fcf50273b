"""Teaching a judge of scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotransfer.evaluation.listener_objective import logits_of
from audiotransfer.evaluation.scores.judges import ScoreJudge
from audiotransfer.symbolic.rolls import SOUND
from audiotransfer.training import Group, Objective, Preview, Turn

_NETWORK = "judge"
_TEMPERATURES = (0.2, 5.0)
_TRIED = 97


class ScoreJudgeObjective:
    """Cross-entropy of a judge's verdicts on phrases.

    A batch holds "rolls" [B, 2, 64, 84] and their "genres" [B]. Networks and groups: ``judge``.
    """

    def __init__(
        self, judge: ScoreJudge, *, learning_rate: float = 2e-4,
        betas: tuple[float, float] = (0.5, 0.999), weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        self.network = judge.network
        self.networks: Mapping[str, nn.Module] = {_NETWORK: self.network}
        self.groups: Mapping[str, Group] = {
            _NETWORK: Group((_NETWORK,), learning_rate, betas, weight_decay)
        }

    def turns(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator
    ) -> Iterator[Turn]:
        """One turn: the cross-entropy, and the accuracy as a figure that is only logged."""
        logits, genres = self.network(batch["rolls"]), batch["genres"]
        terms = {
            "cross_entropy": F.cross_entropy(logits, genres),
            "accuracy": (logits.detach().argmax(dim=-1) == genres).float().mean(),
        }
        yield Turn(_NETWORK, terms, {"accuracy": 0.0})

    def preview(self, batch: dict[str, Tensor], generator: torch.Generator) -> Preview:
        """One phrase of the batch, low pitches below."""
        return Preview({"phrase": batch["rolls"][0, SOUND].T}, {})


def phrase_validation(phrases: list[Tensor]) -> Callable[[Objective], dict[str, float]]:
    """Figures for the trainer from held-out phrases, a tensor [N, 2, 64, 84] for each genre: the
    mean over genres of the share that is heard right (``score``), and of the cross-entropy."""

    def figures(objective: Objective) -> dict[str, float]:
        network = objective.networks[_NETWORK]
        right, entropy = [], []
        for genre, given in enumerate(phrases):
            logits = logits_of(network, given)
            right.append((logits.argmax(dim=-1) == genre).float().mean())
            entropy.append(-logits.log_softmax(dim=-1)[:, genre].mean())
        return {
            "score": float(torch.stack(right).mean()),
            "cross_entropy": float(torch.stack(entropy).mean()),
        }

    return figures


def fitting_temperature(network: nn.Module, phrases: list[Tensor]) -> float:
    """What to divide logits by so that the cross-entropy on held-out phrases [N, 2, 64, 84] of each
    genre is least, all genres counting alike (Guo et al. 2017); 0.2 to 5.
    """
    logits = [logits_of(network, given).double() for given in phrases]

    def entropy(temperature: float) -> float:
        return sum(
            -float((found / temperature).log_softmax(dim=-1)[:, genre].mean())
            for genre, found in enumerate(logits)
        )

    return min(torch.linspace(*_TEMPERATURES, _TRIED).tolist(), key=entropy)
