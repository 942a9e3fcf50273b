"""Judges of scores: which genre the notes of a phrase are, by ears that teach no generator."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.classifiers.audio_classifier import logits_of
from audiotransfer.evaluation.classifiers.midi_networks import NETWORKS
from audiotransfer.midi.piano_rolls import SOUND
from audiotransfer.training import Group, Objective, Preview, Turn

PAPER, INDEPENDENT = "paper", "independent"
"""The two that come with the package: the paper's classifier, and one that only counts."""

_JUDGES = Path(__file__).parent / "shipped"
_CARD, _WEIGHTS = "judge.json", "judge.safetensors"
_AT_ONCE = 256


@dataclass(frozen=True)
class Verdict:
    """How much of each genre was heard in phrases: ``shares`` [N, genres], each row of sum 1."""

    genres: tuple[str, ...]
    shares: Tensor

    def probability(self, genre: str) -> Tensor:
        """The share of one genre in each phrase, [N]."""
        return self.shares[:, self._place(genre)]

    def heard_as(self, genre: str, among: Sequence[str] | None = None) -> Tensor:
        """Which phrases have no likelier genre than this one (``among`` these alone), [N].

        So silence is heard as anything that one asks about, and nothing is won by it.
        """
        rivals = [self._place(rival) for rival in among or self.genres]
        return self.probability(genre) >= self.shares[:, rivals].amax(dim=1)

    def _place(self, genre: str) -> int:
        if genre not in self.genres:
            raise AudioTransferError(
                f"the judge does not know {genre!r}: it knows {', '.join(self.genres)}"
            )
        return self.genres.index(genre)


class MidiGenreClassifier:
    """A trained network that names the genre of phrases, and how far it can be believed.

    ``hearing`` is its kind of network ("octaves" or "counts") and ``width`` its size;
    ``temperature`` divides its logits so that its probabilities are shares that hold.
    """

    def __init__(
        self,
        hearing: str,
        genres: tuple[str, ...],
        width: int = 64,
        temperature: float = 1.0,
        report: dict[str, Any] | None = None,
    ) -> None:
        if hearing not in NETWORKS:
            raise AudioTransferError(
                f"no judge of scores hears {hearing!r}: there are {', '.join(NETWORKS)}"
            )
        self.hearing = hearing
        self.genres = genres
        self.width = width
        self.temperature = temperature
        self.report = report or {}
        self.network = NETWORKS[hearing](len(genres), width).eval()

    def listen(self, phrases: Tensor) -> Verdict:
        """What it makes of phrases [N, 2, 64, 84] of 0 and 1. Silence has equal shares of all."""
        with torch.no_grad():
            logits = torch.cat([self.network(part.float()) for part in phrases.split(_AT_ONCE)])
        shares = (logits.double() / self.temperature).softmax(dim=-1)
        shares[~phrases.flatten(1).any(dim=1)] = 1 / len(self.genres)
        return Verdict(self.genres, shares)

    def save(self, folder: str | Path) -> None:
        """Writes judge.safetensors (half precision) and judge.json into a folder, made if absent.

        The judge itself then has the weights that were written.
        """
        from safetensors.torch import save

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: value.half() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(state)
        weights = save({name: value.contiguous() for name, value in state.items()})
        card = {
            "hearing": self.hearing, "genres": self.genres, "width": self.width,
            "temperature": self.temperature, "sha256": hashlib.sha256(weights).hexdigest(),
            "report": self.report,
        }  # fmt: skip
        (folder / _WEIGHTS).write_bytes(weights)
        text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
        (folder / _CARD).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> MidiGenreClassifier:
        """Reads what ``save`` wrote. Raises AudioTransferError on foreign or damaged files."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        folder = Path(folder)
        try:
            card = json.loads((folder / _CARD).read_text(encoding="utf-8"))
            weights = (folder / _WEIGHTS).read_bytes()
            if card.pop("sha256") != hashlib.sha256(weights).hexdigest():
                raise ValueError(f"{_WEIGHTS} is not what {_CARD} describes")
            judge = cls(**{**card, "genres": tuple(card["genres"])})
            judge.network.load_state_dict(load(weights))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise AudioTransferError(
                f"no judge of scores can be read from {folder}: {error}; train one or name "
                "another folder"
            ) from error
        return judge


def shipped_midi_classifiers() -> dict[str, Path]:
    """Folders of the judges of scores that come with the package, for ``ScoreJudge.load``."""
    folders = {name: _JUDGES / f"midi-{name}" for name in (PAPER, INDEPENDENT)}
    return {name: folder for name, folder in folders.items() if folder.is_dir()}


_NETWORK = "judge"
_TEMPERATURES = (0.2, 5.0)
_TRIED = 97


class MidiGenreObjective:
    """Cross-entropy of a judge's verdicts on phrases.

    A batch holds "rolls" [B, 2, 64, 84] and their "genres" [B]. Networks and groups: ``judge``.
    """

    def __init__(
        self, judge: MidiGenreClassifier, *, learning_rate: float = 2e-4,
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
