"""Genre classifiers of MIDI: the probability of each genre for phrases of notes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.classifiers.audio_classifier import NETWORK, logits_of
from audiotransfer.evaluation.classifiers.midi_networks import NETWORKS
from audiotransfer.evaluation.classifiers.saved import (
    DAMAGED,
    read_classifier,
    unreadable,
    write_classifier,
)
from audiotransfer.midi.piano_rolls import SOUND
from audiotransfer.training import Group, Objective, Preview, Turn

PAPER, INDEPENDENT = "paper", "independent"
"""The two that ship: that of Brunner et al. (2018), and one on histograms of intervals and rhythm,
which is never used to train, select or stop anything.
"""

_SHIPPED = Path(__file__).parent / "shipped"
_NAME, _OLD_NAME = "midi-classifier", "judge"
_AT_ONCE = 256
_TEMPERATURES = (0.2, 5.0)
_TEMPERATURE_STEPS = 97


@dataclass(frozen=True)
class GenreProbabilities:
    """The probability of each genre for N phrases: ``shares`` [N, genres], each row of sum 1."""

    genres: tuple[str, ...]
    shares: Tensor

    def of(self, genre: str) -> Tensor:
        """The probability of one genre for each phrase, [N]."""
        return self.shares[:, self._index(genre)]

    def is_likeliest(self, genre: str, among: Sequence[str] | None = None) -> Tensor:
        """Mask [N] of phrases for which this genre has the highest probability (``among`` these).

        Ties count: silence, whose probabilities are equal, is predicted as any genre.
        """
        candidates = [self._index(candidate) for candidate in among or self.genres]
        return self.of(genre) >= self.shares[:, candidates].amax(dim=1)

    def _index(self, genre: str) -> int:
        if genre not in self.genres:
            raise AudioTransferError(
                f"the classifier does not know {genre!r}: it knows {', '.join(self.genres)}"
            )
        return self.genres.index(genre)


class MidiGenreClassifier:
    """A trained genre classifier of phrases, and its accuracy (``report``).

    Args:
        architecture: a key of `NETWORKS`: "octaves", "counts" or "beats".
        genres: names of the outputs, in order.
        width: size of the network.
        temperature: divides the logits, so that probabilities are calibrated.
        report: accuracy and training data, for the card.
    """

    def __init__(
        self,
        architecture: str,
        genres: tuple[str, ...],
        width: int = 64,
        temperature: float = 1.0,
        report: dict[str, Any] | None = None,
    ) -> None:
        if architecture not in NETWORKS:
            raise AudioTransferError(
                f"no MIDI classifier is called {architecture!r}: there are {', '.join(NETWORKS)}"
            )
        self.architecture = architecture
        self.genres = genres
        self.width = width
        self.temperature = temperature
        self.report = report or {}
        self.network = NETWORKS[architecture](len(genres), width).eval()

    def predict(self, phrases: Tensor) -> GenreProbabilities:
        """The genres of phrases [N, 2, 64, 84] of 0 and 1; all are equally likely for silence."""
        with torch.no_grad():
            logits = torch.cat([self.network(part.float()) for part in phrases.split(_AT_ONCE)])
        shares = (logits.double() / self.temperature).softmax(dim=-1)
        shares[~phrases.flatten(1).any(dim=1)] = 1 / len(self.genres)
        return GenreProbabilities(self.genres, shares)

    def save(self, folder: str | Path) -> None:
        """Writes midi-classifier.safetensors (half precision) and midi-classifier.json.

        The folder is made where missing. The classifier then has the rounded weights itself.
        """
        state = {name: value.half() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(state)
        card = {
            "architecture": self.architecture, "genres": self.genres, "width": self.width,
            "temperature": self.temperature,
        }  # fmt: skip
        write_classifier(folder, _NAME, state, card, self.report)

    @classmethod
    def load(cls, folder: str | Path) -> MidiGenreClassifier:
        """Reads what ``save`` wrote. Raises AudioTransferError on other or damaged files."""
        try:
            card, state = read_classifier(folder, _NAME, _OLD_NAME)
            if "hearing" in card:  # of version 0.1.0
                card["architecture"] = card.pop("hearing")
            classifier = cls(**{**card, "genres": tuple(card["genres"])})
            classifier.network.load_state_dict(state)
        except DAMAGED as error:
            raise unreadable("MIDI classifier", folder, error) from error
        return classifier


def shipped_midi_classifiers() -> dict[str, Path]:
    """Folders of the MIDI classifiers that ship, for `MidiGenreClassifier.load`."""
    folders = {name: _SHIPPED / f"midi-{name}" for name in (PAPER, INDEPENDENT)}
    return {name: folder for name, folder in folders.items() if folder.is_dir()}


class MidiGenreObjective:
    """Cross-entropy of genres on phrases.

    A batch holds "rolls" [B, 2, 64, 84] and their "genres" [B]. Networks and groups:
    ``classifier``.
    """

    def __init__(
        self, classifier: MidiGenreClassifier, *, learning_rate: float = 2e-4,
        betas: tuple[float, float] = (0.5, 0.999), weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        self.network = classifier.network
        self.networks: Mapping[str, nn.Module] = {NETWORK: self.network}
        self.groups: Mapping[str, Group] = {
            NETWORK: Group((NETWORK,), learning_rate, betas, weight_decay)
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
        yield Turn(NETWORK, terms, {"accuracy": 0.0})

    def preview(self, batch: dict[str, Tensor], generator: torch.Generator) -> Preview:
        """The piano roll of one phrase of the batch, low pitches below."""
        return Preview({"phrase": batch["rolls"][0, SOUND].T}, {})


def phrase_validation(phrases: list[Tensor]) -> Callable[[Objective], dict[str, float]]:
    """A trainer's validation: balanced accuracy (``score``) and cross-entropy, mean over genres.

    ``phrases`` are held-out ones, a tensor [N, 2, 64, 84] for each genre.
    """

    def figures(objective: Objective) -> dict[str, float]:
        network = objective.networks[NETWORK]
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
    """The temperature with the least cross-entropy on held-out phrases (Guo et al. 2017), 0.2 to 5.

    ``phrases`` is a tensor [N, 2, 64, 84] for each genre; genres are weighted alike.
    """
    logits = [logits_of(network, given).double() for given in phrases]

    def entropy(temperature: float) -> float:
        return sum(
            -float((found / temperature).log_softmax(dim=-1)[:, genre].mean())
            for genre, found in enumerate(logits)
        )

    temperatures: list[float] = torch.linspace(*_TEMPERATURES, _TEMPERATURE_STEPS).tolist()
    return min(temperatures, key=entropy)
