"""Training of the rhythm network by the cross entropy of beats, downbeats and drum hits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Generator, Tensor, nn
from torch.nn import functional as F

from audiotransfer.training import Group, Preview, Turn
from audiotransfer.transcription.rhythm_network import RhythmNetwork

NETWORK = "rhythm"
_TERMS = {"beats": slice(0, 1), "downbeats": slice(1, 2), "drums": slice(2, None)}


class RhythmObjective:
    """Trains a `RhythmNetwork` by binary cross entropies, each weighted by frame.

    A batch is {"levels": [B, BANDS, L], "targets": [B, OUTPUTS, L], "weights": [B, OUTPUTS, L]};
    what is not known of an example has weight 0. ``shares`` weight beats, downbeats and drums.
    """

    def __init__(
        self,
        network: RhythmNetwork,
        learning_rate: float,
        weight_decay: float,
        shares: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> None:
        self.network = network
        self.shares = dict(zip(_TERMS, shares, strict=True))
        self.networks: Mapping[str, nn.Module] = {NETWORK: network}
        self.groups: Mapping[str, Group] = {
            NETWORK: Group((NETWORK,), learning_rate, (0.9, 0.99), weight_decay)
        }

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """One turn: the cross entropies of beats, downbeats and drums, in nats a second or so."""
        logits = self.network(batch["levels"])
        yield Turn(
            NETWORK, cross_entropies(logits, batch["targets"], batch["weights"]), self.shares
        )

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """The targets and activations of the first example."""
        activations = self.network(batch["levels"][:1]).sigmoid()
        return Preview({"targets": batch["targets"][0], "activations": activations[0]})


def cross_entropies(logits: Tensor, targets: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Mean cross entropy a frame of each output, summed over those of a term; 0 without weights."""
    each = F.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")
    total = weights.sum((0, 2))
    mean = (each * weights).sum((0, 2)) / total.clamp(min=1)
    return {name: mean[rows].sum() for name, rows in _TERMS.items()}
