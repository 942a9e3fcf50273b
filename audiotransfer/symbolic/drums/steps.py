"""Distributions of the hits of nine drums at one sixteenth, given a decoder's state.

Three forms: independent drums, an autoregressive distribution over drums (NADE, Larochelle and
Murray 2011), and one of 512 classes as in MusicVAE (Roberts et al. 2018).
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from audiotransfer.midi.percussion import DRUMS

COUNT = len(DRUMS)


class Step(Protocol):
    """A distribution over the hits of a sixteenth."""

    def log_probability(self, state: Tensor, hits: Tensor) -> Tensor:
        """Log probability (nats) of ``hits`` [.., 9] of 0 and 1, given the state [.., H]: [..]."""
        ...

    def draw(
        self, state: Tensor, temperature: float = 1.0, generator: Generator | None = None
    ) -> Tensor:
        """Samples hits [.., 9] of 0 and 1; at temperature 0 the likeliest, drum by drum."""
        ...


class Independent(nn.Module):
    """Independent Bernoulli distributions of the nine drums."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.logits = nn.Linear(width, COUNT)

    def log_probability(self, state: Tensor, hits: Tensor) -> Tensor:
        return _log_likelihood(self.logits(state), hits)

    def draw(
        self, state: Tensor, temperature: float = 1.0, generator: Generator | None = None
    ) -> Tensor:
        return _sample(self.logits(state), temperature, generator)


class Nade(nn.Module):
    """Bernoulli distributions, each given the drums before it (NADE)."""

    def __init__(self, width: int, hidden: int = 48) -> None:
        super().__init__()
        self.state = nn.Linear(width, hidden + COUNT)
        self.heed = nn.Parameter(torch.randn(COUNT, hidden) * 0.1)
        self.read = nn.Parameter(torch.randn(COUNT, hidden) * hidden**-0.5)

    def log_probability(self, state: Tensor, hits: Tensor) -> Tensor:
        hidden_state, direct = self._of_state(state)
        # Sum over the drums before each one: [.., 9, hidden].
        contributions = hits.unsqueeze(-1) * self.heed
        before = contributions.cumsum(-2) - contributions
        logits = (F.relu(hidden_state.unsqueeze(-2) + before) * self.read).sum(-1) + direct
        return _log_likelihood(logits, hits)

    def draw(
        self, state: Tensor, temperature: float = 1.0, generator: Generator | None = None
    ) -> Tensor:
        hidden_state, direct = self._of_state(state)
        hits: list[Tensor] = []
        for drum in range(COUNT):
            logit = (F.relu(hidden_state) * self.read[drum]).sum(-1) + direct[..., drum]
            hit = _sample(logit, temperature, generator)
            hidden_state = hidden_state + hit.unsqueeze(-1) * self.heed[drum]
            hits.append(hit)
        return torch.stack(hits, dim=-1)

    def _of_state(self, state: Tensor) -> tuple[Tensor, Tensor]:
        both = self.state(state).float()
        return both[..., :-COUNT], both[..., -COUNT:]


class Classes(nn.Module):
    """A categorical distribution over the 512 combinations of hits."""

    weights: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.logits = nn.Linear(width, 2**COUNT)
        self.register_buffer("weights", 2 ** torch.arange(COUNT), persistent=False)

    def log_probability(self, state: Tensor, hits: Tensor) -> Tensor:
        shares: Tensor = self.logits(state).float().log_softmax(-1)
        place = (hits.long() * self.weights).sum(-1, keepdim=True)
        return shares.gather(-1, place).squeeze(-1)

    def draw(
        self, state: Tensor, temperature: float = 1.0, generator: Generator | None = None
    ) -> Tensor:
        logits = self.logits(state).float()
        if temperature > 0:
            # The argmax of logits with Gumbel noise is a sample.
            uniform = torch.rand(logits.shape, generator=generator).to(logits.device)
            logits = logits / temperature - (-uniform.clamp_min(1e-20).log()).log()
        place: Tensor = logits.argmax(-1, keepdim=True)
        return (place.bitwise_and(self.weights) != 0).float()


STEPS: dict[str, type[Independent] | type[Nade] | type[Classes]] = {
    "independent": Independent,
    "nade": Nade,
    "classes": Classes,
}


def _log_likelihood(logits: Tensor, hits: Tensor) -> Tensor:
    return -F.binary_cross_entropy_with_logits(logits.float(), hits, reduction="none").sum(-1)


def _sample(logits: Tensor, temperature: float, generator: Generator | None) -> Tensor:
    if temperature <= 0:
        return (logits > 0).float()
    uniform = torch.rand(logits.shape, generator=generator).to(logits.device)
    return (uniform < (logits.float() / temperature).sigmoid()).float()
