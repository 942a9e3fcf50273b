"""MusicVAE as published (Roberts et al. 2018): one latent code for all bars, LSTMs.

Flat as its two-bar drum models, or with a conductor as its models of sixteen bars.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from audiotransfer.symbolic.drums.beats import BAR
from audiotransfer.symbolic.drums.network import Gaussian
from audiotransfer.symbolic.drums.steps import COUNT, STEPS

_INPUTS = COUNT + 1  # the last is 1 where nothing is hit
_SMALL = 0.001
State = tuple[Tensor, Tensor]


class MusicVae(nn.Module):
    """Encodes hits of a fixed number of bars to one code [B, 1, latent] and decodes them.

    With ``conductor`` 0 the decoder runs over all bars. Otherwise a conductor of that width gives
    the decoder's initial state for each bar.
    """

    kind = "music-vae"
    any_style = 0

    def __init__(
        self,
        bars: int = 2,
        latent: int = 512,
        encoder: int = 2048,
        encoder_layers: int = 1,
        conductor: int = 0,
        conductor_layers: int = 2,
        decoder: int = 2048,
        decoder_layers: int = 3,
        step: str = "classes",
    ) -> None:
        super().__init__()
        self.sizes: dict[str, Any] = {
            "bars": bars, "latent": latent, "encoder": encoder, "encoder_layers": encoder_layers,
            "conductor": conductor, "conductor_layers": conductor_layers, "decoder": decoder,
            "decoder_layers": decoder_layers, "step": step,
        }  # fmt: skip
        self.bars = bars
        self.read = nn.LSTM(_INPUTS, encoder, encoder_layers, batch_first=True, bidirectional=True)
        self.mean = nn.Linear(2 * encoder, latent)
        self.scale = nn.Linear(2 * encoder, latent)
        for layer in (self.mean, self.scale):
            nn.init.normal_(layer.weight, std=_SMALL)
        self.conductor: nn.LSTM | None = None
        condition = latent
        if conductor:
            self.conductor = nn.LSTM(1, conductor, conductor_layers, batch_first=True)
            self.begin_phrase = nn.Linear(latent, 2 * conductor_layers * conductor)
            condition = conductor
        self.begin = nn.Linear(condition, 2 * decoder_layers * decoder)
        self.play = nn.LSTM(_INPUTS + condition, decoder, decoder_layers, batch_first=True)
        self.step = STEPS[step](decoder)

    def shape(self) -> dict[str, Any]:
        """Arguments that build the same network."""
        return self.sizes

    def encode(self, hits: Tensor, velocities: Tensor, offsets: Tensor, known: Tensor) -> Gaussian:
        """The posterior of beats [B, S, 9]; only their hits are used."""
        _, (last, _) = self.read(_with_silence(hits))
        both = torch.cat([last[-2], last[-1]], -1)
        log_scale = F.softplus(self.scale(both)).float().clamp_min(1e-6).log()
        return Gaussian(self.mean(both).float()[:, None], log_scale[:, None])

    def prior(self, points: Tensor, style: Tensor) -> Gaussian:
        """The standard normal distribution, whatever the style."""
        return Gaussian(torch.zeros_like(points), torch.zeros_like(points))

    def conducted(self, points: Tensor) -> Tensor:
        """Input of each run of the decoder: the code [B, 1, ..], or a bar's state [B, N, ..]."""
        if self.conductor is None:
            return points
        begin = self.begin_phrase(points[:, 0]).tanh()
        silence = points.new_zeros(len(points), self.bars, 1)
        layers = self.sizes["conductor_layers"]
        states: Tensor = self.conductor(silence, _states(begin, layers))[0]
        return states

    def states(
        self,
        conducted: Tensor,
        hits: Tensor,
        forget: float = 0.0,
        generator: Generator | None = None,
    ) -> Tensor:
        """As `DrumVae.states`."""
        runs = hits.reshape(conducted.shape[0] * conducted.shape[1], -1, COUNT)
        if forget <= 0:
            condition, state = self._begin(conducted)
            before = F.pad(_with_silence(runs), (0, 0, 1, -1))
            condition = condition.unsqueeze(1).expand(-1, runs.shape[1], -1)
            found: Tensor = self.play(torch.cat([before, condition], -1), state)[0]
            return found.reshape(*hits.shape[:2], -1)

        def next_input(step: int, state: Tensor) -> Tensor:
            with torch.no_grad():
                own = self.step.draw(state, 1.0, generator)
            use_own = torch.rand(len(own), 1, generator=generator).to(own.device) < forget
            return torch.where(use_own, own, runs[:, step])

        return self._play(conducted, runs.shape[1], next_input).reshape(*hits.shape[:2], -1)

    def draw(
        self, conducted: Tensor, temperature: float = 1.0, generator: Generator | None = None
    ) -> Tensor:
        """As `DrumVae.draw`."""
        drawn: list[Tensor] = []

        def next_input(step: int, state: Tensor) -> Tensor:
            drawn.append(self.step.draw(state, temperature, generator))
            return drawn[-1]

        self._play(conducted, self.bars * BAR // conducted.shape[1], next_input)
        return torch.stack(drawn, dim=1).view(len(conducted), -1, COUNT)

    def _begin(self, conducted: Tensor) -> tuple[Tensor, State]:
        condition = conducted.flatten(0, 1)
        return condition, _states(self.begin(condition).tanh(), self.sizes["decoder_layers"])

    def _play(
        self, conducted: Tensor, steps: int, next_input: Callable[[int, Tensor], Tensor]
    ) -> Tensor:
        condition, state = self._begin(conducted)
        before = condition.new_zeros(len(condition), _INPUTS)
        found = []
        for step in range(steps):
            out, state = self.play(torch.cat([before, condition], -1).unsqueeze(1), state)
            found.append(out[:, 0])
            before = _with_silence(next_input(step, found[-1])).to(condition)
        return torch.stack(found, dim=1)


def _with_silence(hits: Tensor) -> Tensor:
    """Hits [.., 9] with a tenth entry that is 1 where nothing is hit."""
    return torch.cat([hits, (hits.sum(-1, keepdim=True) == 0).to(hits)], -1)


def _states(values: Tensor, layers: int) -> State:
    """Initial hidden and cell states [layers, B, H] of an LSTM from values [B, 2 · layers · H]."""
    parts = values.view(len(values), 2 * layers, -1).transpose(0, 1)
    return parts[:layers].contiguous(), parts[layers:].contiguous()
