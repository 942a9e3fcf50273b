"""A variational autoencoder of drum patterns with a latent code for each bar.

After MusicVAE (Roberts et al. 2018: bidirectional encoder, conductor, decoder), with a code for
each bar instead of one for all, so that one network works on any number of bars, and a learned
prior: the distribution of a bar's code given those of the bars before it and the style.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from audiotransfer.symbolic.drums.beats import BAR
from audiotransfer.symbolic.drums.steps import COUNT, STEPS

_SMALLEST = -6.0  # log scale


@dataclass(frozen=True)
class Widths:
    """Sizes of the network's parts; ``latent`` is that of a bar's code."""

    latent: int = 64
    encoder: int = 128
    phrase: int = 128
    conductor: int = 128
    decoder: int = 192
    touch: int = 48
    prior: int = 128
    word: int = 24  # features of each sixteenth, in the encoder and the decoder
    step: str = "nade"


@dataclass(frozen=True)
class Gaussian:
    """Independent normal distributions: means and log standard deviations of one shape."""

    mean: Tensor
    log_scale: Tensor

    def draw(self, generator: Generator | None = None, temperature: float = 1.0) -> Tensor:
        """A sample; at temperature 0 the mean."""
        noise = torch.randn(self.mean.shape, generator=generator).to(self.mean.device)
        return self.mean + temperature * self.log_scale.exp() * noise

    def divergence(self, other: Gaussian) -> Tensor:
        """Kullback-Leibler divergence KL(self ‖ other) of each dimension, in nats."""
        distance = (self.mean - other.mean) * (-other.log_scale).exp()
        ratio = (2 * (self.log_scale - other.log_scale)).exp()
        return other.log_scale - self.log_scale + 0.5 * (ratio + distance.square() - 1)


@dataclass(frozen=True)
class Expression:
    """Laplace distributions of velocities and offsets: locations and log scales [.., S, 9]."""

    velocity: Tensor
    velocity_log_scale: Tensor
    offset: Tensor
    offset_log_scale: Tensor


class DrumVae(nn.Module):
    """Encodes beats of whole bars to codes [B, N, latent] and decodes them.

    Hits, velocities and offsets are [B, S, 9], as in `Beat`; S is 16 for each of N bars. Styles are
    indices [B]: those of ``styles``, then one for "any", then one for mixed beats, which is used in
    training only.
    """

    kind = "drum-vae"
    centres: Tensor

    def __init__(self, styles: Sequence[str] = (), **widths: Any) -> None:
        """``widths``: values of `Widths` other than the defaults."""
        super().__init__()
        self.styles = tuple(styles)
        self.widths = w = Widths(**widths)
        # Mean code of the bars of each style, and of all: computed after training.
        centres = torch.zeros(len(self.styles) + 1, w.latent)
        self.register_buffer("centres", centres, persistent=False)
        # Encoder: features of each sixteenth, then of the bar, then of the phrase.
        self.read_steps = nn.GRU(3 * COUNT + 1, w.encoder, batch_first=True, bidirectional=True)
        self.read_words = nn.Linear(2 * w.encoder, w.word)
        self.read_bar = nn.Linear(BAR * w.word, 2 * w.phrase)
        self.read_phrase = nn.GRU(2 * w.phrase, w.phrase, batch_first=True, bidirectional=True)
        self.posterior = nn.Linear(4 * w.phrase, 2 * w.latent)
        # A narrow posterior at first, so that the decoder learns to use codes before they cost.
        nn.init.constant_(self.posterior.bias[w.latent :], -2.0)
        # Prior.
        self.style = nn.Embedding(len(self.styles) + 2, 16)
        self.expect = nn.GRU(w.latent + 16, w.prior, batch_first=True)
        self.expected = nn.Linear(w.prior, 2 * w.latent)
        nn.init.zeros_(self.expected.weight)
        nn.init.zeros_(self.expected.bias)
        # Conductor and decoder.
        self.conduct = nn.GRU(w.latent, w.conductor, batch_first=True, bidirectional=True)
        bar = 2 * w.conductor + w.latent
        self.words = nn.Linear(bar, BAR * w.word)
        self.begin = nn.Linear(bar, w.decoder)
        self.play = nn.GRUCell(w.word + COUNT, w.decoder)
        self.step = STEPS[w.step](w.decoder + w.word)
        self.feel = nn.GRU(w.word + COUNT, w.touch, batch_first=True, bidirectional=True)
        self.touch = nn.Linear(2 * w.touch + w.word + COUNT, 4 * COUNT)

    def shape(self) -> dict[str, Any]:
        """Arguments that build the same network, as plain values."""
        return {"styles": list(self.styles), **asdict(self.widths)}

    @property
    def any_style(self) -> int:
        """The index of "any" style."""
        return len(self.styles)

    def encode(self, hits: Tensor, velocities: Tensor, offsets: Tensor, known: Tensor) -> Gaussian:
        """The posterior of beats; where ``known`` [B] is 0, velocities and offsets are not used."""
        batch, steps, _ = hits.shape
        flag = known.view(-1, 1, 1).to(hits)
        cells = torch.cat([hits, flag * velocities, flag * 2 * offsets], dim=-1)
        cells = torch.cat([cells, flag.expand(batch, steps, 1)], dim=-1)
        states, _ = self.read_steps(cells.reshape(-1, BAR, cells.shape[-1]))
        words = F.relu(self.read_words(states))
        bars = F.relu(self.read_bar(words.flatten(1))).view(batch, steps // BAR, -1)
        phrase, _ = self.read_phrase(bars)
        return _gaussian(self.posterior(torch.cat([phrase, bars], -1)))

    def prior(self, points: Tensor, style: Tensor) -> Gaussian:
        """The prior of each bar's code from the codes before it [B, N, latent] and a style [B]."""
        before = F.pad(points, (0, 0, 1, -1))
        embedded = self.style(style).unsqueeze(1).expand(-1, points.shape[1], -1)
        state, _ = self.expect(torch.cat([before, embedded.to(before)], -1))
        return _gaussian(self.expected(state))

    def imagine(
        self, bars: int, style: Tensor, temperature: float = 1.0, generator: Generator | None = None
    ) -> Tensor:
        """Samples codes [B, bars, latent] from the prior, bar after bar."""
        point = torch.zeros(len(style), 1, self.widths.latent, device=style.device)
        embedded = self.style(style).unsqueeze(1)
        state: Tensor | None = None
        points = []
        for _ in range(bars):
            out, state = self.expect(torch.cat([point, embedded], -1), state)
            point = _gaussian(self.expected(out)).draw(generator, temperature)
            points.append(point)
        return torch.cat(points, dim=1)

    def conducted(self, points: Tensor) -> Tensor:
        """The conductor's output for each bar, [B, N, ..], from all codes."""
        phrase, _ = self.conduct(points)
        return torch.cat([phrase, points.to(phrase)], dim=-1)

    def states(
        self,
        conducted: Tensor,
        hits: Tensor,
        forget: float = 0.0,
        generator: Generator | None = None,
    ) -> Tensor:
        """The decoder's state [B, S, ..] at each sixteenth, given the true hits before it.

        With probability ``forget`` it is given its own samples instead (scheduled sampling).
        """
        truth = hits.reshape(-1, BAR, COUNT)

        def next_input(step: int, state: Tensor) -> Tensor:
            if forget <= 0:
                return truth[:, step]
            with torch.no_grad():
                own = self.step.draw(state, 1.0, generator)
            use_own = torch.rand(len(own), 1, generator=generator).to(own.device) < forget
            return torch.where(use_own, own, truth[:, step])

        return self._play(conducted, next_input).view(*hits.shape[:2], -1)

    def draw(
        self, conducted: Tensor, temperature: float = 1.0, generator: Generator | None = None
    ) -> Tensor:
        """Samples hits [B, S, 9] sixteenth by sixteenth; at temperature 0 the likeliest."""
        drawn: list[Tensor] = []

        def next_input(step: int, state: Tensor) -> Tensor:
            drawn.append(self.step.draw(state, temperature, generator))
            return drawn[-1]

        self._play(conducted, next_input)
        return torch.stack(drawn, dim=1).view(len(conducted), -1, COUNT)

    def _words(self, conducted: Tensor) -> Tensor:
        return F.relu(self.words(conducted)).reshape(-1, BAR, self.widths.word)

    def _play(self, conducted: Tensor, next_input: Callable[[int, Tensor], Tensor]) -> Tensor:
        """States [B · N, 16, ..]; ``next_input(step, state)`` gives the next step's input."""
        words = self._words(conducted)
        state = self.begin(conducted).tanh().flatten(0, 1)
        previous = words.new_zeros(len(words), COUNT)
        states = []
        for step in range(BAR):
            word = words[:, step]
            state = self.play(torch.cat([word, previous], -1), state)
            states.append(torch.cat([state, word], -1))
            previous = next_input(step, states[-1]).to(word)
        return torch.stack(states, dim=1)

    def expression_of(self, conducted: Tensor, hits: Tensor) -> Expression:
        """The expression of the hits [B, S, 9] of conducted bars."""
        cells = torch.cat([self._words(conducted), hits.reshape(-1, BAR, COUNT)], -1)
        hidden, _ = self.feel(cells)
        found = self.touch(torch.cat([hidden, cells.to(hidden)], -1)).float()
        velocity, offset, *scales = found.view(*hits.shape[:2], -1).chunk(4, -1)
        scales = [scale.clamp(_SMALLEST, 0.0) for scale in scales]
        return Expression(velocity.sigmoid(), scales[0], 0.5 * offset.tanh(), scales[1])


def _gaussian(parameters: Tensor) -> Gaussian:
    mean, log_scale = parameters.float().chunk(2, -1)
    return Gaussian(mean, log_scale.clamp(min=_SMALLEST))
