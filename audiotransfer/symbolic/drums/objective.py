"""The evidence bound of the drum network: what is hit, how it is played, and what a point costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor, nn

from audiotransfer.errors import AudioTransferError
from audiotransfer.symbolic.drums.beats import BAR
from audiotransfer.symbolic.drums.music_vae import MusicVae
from audiotransfer.symbolic.drums.network import DrumVae, Touch
from audiotransfer.training import Group, Preview, Turn
from audiotransfer.weights import load_weights, save_weights

_NETWORK = "drums"


@dataclass(frozen=True)
class DrumSettings:
    """What the points cost, and what the decoder is told.

    ``beta`` weighs nats beyond ``free_bits`` a point (of a bar, or of MusicVAE's whole phrase). It
    is reached over ``beta_steps`` as 1 - exp(-step / beta_steps) (0: at once). The decoder is told
    its own draws with a probability that rises as 1 - k / (k + exp(step / k)),
    k = ``sampling_steps`` (0: never), up to ``most_sampled``. ``touch`` weighs velocities and
    offsets; ``blind`` is the share of beats whose velocities and offsets the encoder is not told,
    ``no_style`` of those whose style the prior is not told.
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
        """The probability at a step that the decoder is told its own draw."""
        k = self.sampling_steps
        if not k:
            return 0.0
        # exp(x) / (k + exp(x)) without its overflow.
        return min(self.most_sampled, 1 / (1 + k * math.exp(-step / k)))


class DrumObjective:
    """Teaches the drum network. A batch is {"hits", "velocities", "offsets": [B, S, 9],
    "styles": [B]}. Networks and groups: ``drums``.

    All terms are in nats a sixteenth.
    """

    def __init__(self, network: Network, settings: DrumSettings) -> None:
        self.network = network
        self.settings = settings
        self.networks: Mapping[str, nn.Module] = {_NETWORK: network}
        self.groups: Mapping[str, Group] = {
            _NETWORK: Group((_NETWORK,), settings.learning_rate, (0.9, 0.99))
        }

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """One turn: the bound, and the bits of a bar as a figure that is only logged."""
        network, settings = self.network, self.settings
        hits, velocities, offsets = (batch[name] for name in ("hits", "velocities", "offsets"))
        known = _coin(len(hits), 1 - settings.blind, generator).to(hits)
        nameless = _coin(len(hits), settings.no_style, generator).to(hits).bool()
        nameless &= batch["styles"] < network.any_style
        style = torch.where(nameless, network.any_style, batch["styles"])
        posterior = network.encode(hits, velocities, offsets, known)
        points = posterior.draw(generator)
        divergence = posterior.divergence(network.prior(points, style)).sum(-1)
        conducted = network.conducted(points)
        states = network.states(conducted, hits, settings.sampled_at(step), generator)
        steps = BAR if isinstance(network, DrumVae) else hits.shape[1]  # of each point
        terms = {
            "hits": -network.step.log_probability(states, hits).mean(),
            "divergence": paid(divergence, settings.free_bits).mean() / steps,
            "bits": divergence.mean() / math.log(2),
        }
        if isinstance(network, DrumVae):
            felt = network.feel_of(conducted, hits)
            terms["touch"] = unlikely(felt, hits, velocities, offsets)
        weights = {"touch": settings.touch, "divergence": settings.beta_at(step), "bits": 0.0}
        yield Turn(_NETWORK, terms, weights)

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """A beat and its reconstruction as spectrograms [9, S], and where first bars lie."""
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


def paid(divergence: Tensor, free_bits: float) -> Tensor:
    """Of divergences (nats) what lies beyond the free bits."""
    return (divergence - free_bits * math.log(2)).clamp(min=0)


def unlikely(felt: Touch, hits: Tensor, velocities: Tensor, offsets: Tensor) -> Tensor:
    """Minus the log likelihood of how the hits are played, in nats a sixteenth."""
    surprise = _laplace(velocities, felt.velocity, felt.velocity_log_scale)
    surprise = surprise + _laplace(offsets, felt.offset, felt.offset_log_scale)
    return (surprise * hits).sum(-1).mean()


def _laplace(value: Tensor, location: Tensor, log_scale: Tensor) -> Tensor:
    return (value - location).abs() * (-log_scale).exp() + log_scale + math.log(2)


def _coin(count: int, probability: float, generator: Generator) -> Tensor:
    return (torch.rand(count, generator=generator) < probability).float()


Network = DrumVae | MusicVae
KINDS: dict[str, type[DrumVae] | type[MusicVae]] = {k.kind: k for k in (DrumVae, MusicVae)}
SHIPPED = Path(__file__).parent.parent / "shipped" / "drums"
"""The drummer that comes with the package: weights and card."""

_METADATA = "drums"
_CENTRES = "centres"


def save_drums(path: Path, network: Network) -> None:
    """Writes a network as half-precision safetensors."""
    state = network.state_dict()
    if isinstance(network, DrumVae):
        state[_CENTRES] = network.centres
    save_weights(path, state, {"kind": network.kind, **network.shape()}, _METADATA)


def load_drums(path: Path) -> Network:
    """Reads what :func:`save_drums` wrote. Raises AudioTransferError for anything else."""
    shape, state = load_weights(path, _METADATA)
    try:
        network = KINDS[shape.pop("kind")](**shape)
        if isinstance(network, DrumVae):
            network.centres.copy_(state.pop(_CENTRES))
        network.load_state_dict(state)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise AudioTransferError(
            f"{path} holds no drum network that this version knows; install it again"
        ) from error
    return network.eval()
