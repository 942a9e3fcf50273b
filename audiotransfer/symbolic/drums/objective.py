"""The evidence lower bound of drum networks: hits, expression, and divergence of latent codes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from audiotransfer.symbolic.drums.beats import BAR
from audiotransfer.symbolic.drums.drummer import Network
from audiotransfer.symbolic.drums.network import DrumVae, Expression
from audiotransfer.training import Group, Preview, Turn

_NETWORK = "drums"


@dataclass(frozen=True)
class DrumSettings:
    """Weights and schedules of the training.

    Attributes:
        beta: weight of the divergence, of the nats beyond ``free_bits`` per code.
        beta_steps: time constant of the weight's rise, 1 - exp(-step / beta_steps) (0: none).
        free_bits: per code: of a bar, or of MusicVAE's whole phrase.
        sampling_steps: k of scheduled sampling: the decoder is given its own samples with
            probability 1 - k / (k + exp(step / k)) (0: never), at most ``most_sampled``.
        touch: weight of velocities and offsets.
        blind: share of beats whose velocities and offsets the encoder is not given.
        no_style: share of beats whose style the prior is not given.
    """

    beta: float = 0.2
    beta_steps: float = 0.0
    free_bits: float = 24.0
    sampling_steps: float = 0.0
    most_sampled: float = 1.0
    touch: float = 0.25
    blind: float = 0.5
    no_style: float = 0.3
    learning_rate: float = 1e-3

    def beta_at(self, step: int) -> float:
        """The weight of the divergence at a step."""
        if not self.beta_steps:
            return self.beta
        return self.beta * (1 - math.exp(-step / self.beta_steps))

    def sampled_at(self, step: int) -> float:
        """The probability at a step of feeding the decoder its own samples (scheduled sampling)."""
        k = self.sampling_steps
        if not k:
            return 0.0
        # exp(x) / (k + exp(x)) without overflow.
        return min(self.most_sampled, 1 / (1 + k * math.exp(-step / k)))


class DrumObjective:
    """Trains a drum network by the evidence lower bound, in nats per sixteenth.

    A batch is {"hits", "velocities", "offsets": [B, S, 9], "styles": [B]}. Networks and groups:
    ``drums``.
    """

    def __init__(self, network: Network, settings: DrumSettings) -> None:
        self.network = network
        self.settings = settings
        self.networks: Mapping[str, nn.Module] = {_NETWORK: network}
        self.groups: Mapping[str, Group] = {
            _NETWORK: Group((_NETWORK,), settings.learning_rate, (0.9, 0.99))
        }

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """One turn: the bound, and the bits of a code as a figure that is only logged."""
        network, settings = self.network, self.settings
        hits, velocities, offsets = (batch[name] for name in ("hits", "velocities", "offsets"))
        known = _bernoulli(len(hits), 1 - settings.blind, generator).to(hits)
        without_style = _bernoulli(len(hits), settings.no_style, generator).to(hits).bool()
        without_style &= batch["styles"] < network.any_style
        style = torch.where(without_style, network.any_style, batch["styles"])
        posterior = network.encode(hits, velocities, offsets, known)
        points = posterior.draw(generator)
        divergence = posterior.divergence(network.prior(points, style)).sum(-1)
        conducted = network.conducted(points)
        states = network.states(conducted, hits, settings.sampled_at(step), generator)
        steps = BAR if isinstance(network, DrumVae) else hits.shape[1]  # of each code
        terms = {
            "hits": -network.step.log_probability(states, hits).mean(),
            "divergence": beyond_free_bits(divergence, settings.free_bits).mean() / steps,
            "bits": divergence.mean() / math.log(2),
        }
        if isinstance(network, DrumVae):
            expression = network.expression_of(conducted, hits)
            terms["touch"] = expression_loss(expression, hits, velocities, offsets)
        weights = {"touch": settings.touch, "divergence": settings.beta_at(step), "bits": 0.0}
        yield Turn(_NETWORK, terms, weights)

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """Hits of a beat and of its reconstruction [9, S], and the codes of first bars."""
        network = self.network
        hits = batch["hits"]
        posterior = network.encode(
            hits, batch["velocities"], batch["offsets"], torch.ones(len(hits)).to(hits)
        )
        drawn = network.draw(network.conducted(posterior.mean), 1.0, generator)
        return Preview(
            {"source": hits[0].T, "output": drawn[0].T},
            embeddings={"points": posterior.mean[:, 0]},
        )


def beyond_free_bits(divergence: Tensor, free_bits: float) -> Tensor:
    """Divergences less the free bits, at least 0, in nats."""
    return (divergence - free_bits * math.log(2)).clamp(min=0)


def expression_loss(
    expression: Expression, hits: Tensor, velocities: Tensor, offsets: Tensor
) -> Tensor:
    """Negative log likelihood of velocities and offsets of the hits, in nats per sixteenth."""
    nats = _laplace(velocities, expression.velocity, expression.velocity_log_scale)
    nats = nats + _laplace(offsets, expression.offset, expression.offset_log_scale)
    return (nats * hits).sum(-1).mean()


def _laplace(value: Tensor, location: Tensor, log_scale: Tensor) -> Tensor:
    return (value - location).abs() * (-log_scale).exp() + log_scale + math.log(2)


def _bernoulli(count: int, probability: float, generator: Generator) -> Tensor:
    return (torch.rand(count, generator=generator) < probability).float()
