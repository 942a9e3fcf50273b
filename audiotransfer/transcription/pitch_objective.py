"""The loss of the pitch network, masked where an excerpt's truth is not known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from audiotransfer.training import Group, Preview, Turn
from audiotransfer.transcription.activations import PITCHES
from audiotransfer.transcription.pitch_examples import UNKNOWN
from audiotransfer.transcription.pitch_network import PitchNetwork, normalised

_NETWORK = "pitch"


@dataclass
class PitchLoss:
    """Weights of the loss's terms, which are per frame.

    Cross entropies of ``lead``, ``bass`` and ``chords``; binary ones of ``voice`` and, summed over
    pitches, of ``lead_onsets``, ``notes`` and ``note_onsets``, whose onsets count ``onset`` times.
    A frame without a lead counts ``rest``, and one that is sung ``sung``: a missed lead is worse
    than a false one, and decoding can still say none.
    """

    lead: float = 1.0
    lead_onsets: float = 0.5
    notes: float = 0.15
    note_onsets: float = 0.2
    bass: float = 0.3
    chords: float = 0.5
    voice: float = 0.2
    onset: float = 2.0
    rest: float = 0.7
    sung: float = 1.5


class PitchObjective:
    """Trains a `PitchNetwork`, or only its answer to who sings, on batches of `PitchBatches`."""

    def __init__(
        self,
        network: PitchNetwork,
        loss: PitchLoss,
        learning_rate: float,
        weight_decay: float,
        voice_only: bool = False,
    ) -> None:
        self.network, self.loss = network, loss
        if voice_only:
            network.requires_grad_(False)
            network.voice.requires_grad_(True)
        self.networks: Mapping[str, nn.Module] = {_NETWORK: network}
        self.groups: Mapping[str, Group] = {
            _NETWORK: Group((_NETWORK,), learning_rate, (0.9, 0.99), weight_decay)
        }

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """One turn with all terms."""
        names = ("lead", "lead_onsets", "notes", "note_onsets", "bass", "chords", "voice")
        weights = {name: float(getattr(self.loss, name)) for name in names}
        yield Turn(_NETWORK, self.terms(batch), weights)

    def terms(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The unweighted terms of the loss."""
        logits = self.network(normalised(batch["features"]))
        lead = batch["lead"]
        frames = torch.where(lead == PITCHES, self.loss.rest, 1.0)
        frames = frames * torch.where(batch["voice"] > 0.5, self.loss.sung, 1.0)
        return {
            "lead": _cross_entropy(logits["lead"], lead, batch["has_lead"][:, None] * frames),
            "bass": _cross_entropy(logits["bass"], batch["bass"], batch["has_bass"][:, None]),
            "chords": _cross_entropy(
                logits["chords"], batch["chords"], batch["has_chords"][:, None]
            ),
            "voice": F.binary_cross_entropy_with_logits(logits["voice"], batch["voice"]),
            "lead_onsets": self._each(logits, batch, "lead_onsets", "has_lead", self.loss.onset),
            "notes": self._each(logits, batch, "notes", "has_notes", 1.0),
            "note_onsets": self._each(logits, batch, "note_onsets", "has_notes", self.loss.onset),
        }

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """The features, and the lead's true and found piano rolls."""
        features = normalised(batch["features"][:1])
        found = self.network(features)["lead"][0, :, :PITCHES]
        truth = F.one_hot(batch["lead"][0].clamp(0, PITCHES), PITCHES + 1)[:, :PITCHES]
        images = {"features": features[0].T, "truth": truth.float().T, "lead": found.T}
        return Preview(images={name: image.float() for name, image in images.items()})

    @staticmethod
    def _each(
        logits: dict[str, Tensor], batch: dict[str, Tensor], name: str, known: str, positive: float
    ) -> Tensor:
        """Binary cross entropy a frame, summed over pitches, of the examples with truth."""
        losses = F.binary_cross_entropy_with_logits(
            logits[name],
            batch[name],
            pos_weight=torch.tensor(positive, device=logits[name].device),
            reduction="none",
        )
        weights = batch[known]
        by_example = losses.sum(-1).mean(-1)
        return (by_example * weights).sum() / weights.sum().clamp_min(1.0)


def _cross_entropy(logits: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of the frames' cross entropies, without the unknown ones."""
    losses = F.cross_entropy(
        logits.transpose(1, 2), classes, ignore_index=UNKNOWN, reduction="none"
    )
    weights = weights * (classes != UNKNOWN)
    return (losses * weights).sum() / weights.sum().clamp_min(1.0)
