"""MusicVAE as published (Roberts et al. 2018): one point for all bars, LSTMs before and after it.

Flat as its two-bar drum models, or with a conductor as its models of sixteen bars.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from audiotransfer.symbolic.drums.beats import BAR
from audiotransfer.symbolic.drums.network import Spread
from audiotransfer.symbolic.drums.steps import COUNT, STEPS

_HEARD = COUNT + 1  # the last one: nothing is hit
_SMALL = 0.001
State = tuple[Tensor, Tensor]


class MusicVae(nn.Module):
    """Beats of so many bars to one point [B, 1, latent] and back; hits only.

    ``conductor`` 0: the decoder plays all bars in one go. Otherwise a conductor of that width
    unrolls from the point, without input, what the decoder begins each bar with.
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
        self.read = nn.LSTM(_HEARD, encoder, encoder_layers, batch_first=True, bidirectional=True)
        self.mean = nn.Linear(2 * encoder, latent)
        self.scale = nn.Linear(2 * encoder, latent)
        for layer in (self.mean, self.scale):
            nn.init.normal_(layer.weight, std=_SMALL)
        self.conductor: nn.LSTM | None = None
        told = latent
        if conductor:
            self.conductor = nn.LSTM(1, conductor, conductor_layers, batch_first=True)
            self.begin_phrase = nn.Linear(latent, 2 * conductor_layers * conductor)
            told = conductor
        self.begin = nn.Linear(told, 2 * decoder_layers * decoder)
        self.play = nn.LSTM(_HEARD + told, decoder, decoder_layers, batch_first=True)
        self.step = STEPS[step](decoder)

    def shape(self) -> dict[str, Any]:
        """What `MusicVae` is built from."""
        return self.sizes

    def encode(self, hits: Tensor, velocities: Tensor, offsets: Tensor, known: Tensor) -> Spread:
        """Where beats [B, S, 9] lie; only their hits are heeded."""
        _, (last, _) = self.read(_heard(hits))
        both = torch.cat([last[-2], last[-1]], -1)
        log_scale = F.softplus(self.scale(both)).float().clamp_min(1e-6).log()
        return Spread(self.mean(both).float()[:, None], log_scale[:, None])

    def prior(self, points: Tensor, style: Tensor) -> Spread:
        """The standard normal distribution, whatever the style."""
        return Spread(torch.zeros_like(points), torch.zeros_like(points))

    def conducted(self, points: Tensor) -> Tensor:
        """What each run of the decoder is to play: the point [B, 1, ..], or the bars [B, N, ..]."""
        if self.conductor is None:
            return points
        begin = self.begin_phrase(points[:, 0]).tanh()
        silence = points.new_zeros(len(points), self.bars, 1)
        layers = self.sizes["conductor_layers"]
        return self.conductor(silence, _states(begin, layers))[0]

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
            told, state = self._begin(conducted)
            before = F.pad(_heard(runs), (0, 0, 1, -1))
            found, _ = self.play(
                torch.cat([before, told.unsqueeze(1).expand(-1, runs.shape[1], -1)], -1), state
            )
            return found.reshape(*hits.shape[:2], -1)

        def told_hits(step: int, state: Tensor) -> Tensor:
            with torch.no_grad():
                own = self.step.draw(state, 1.0, generator)
            mine = torch.rand(len(own), 1, generator=generator).to(own.device) < forget
            return torch.where(mine, own, runs[:, step])

        return self._play(conducted, runs.shape[1], told_hits).reshape(*hits.shape[:2], -1)

    def draw(
        self, conducted: Tensor, temperature: float = 1.0, generator: Generator | None = None
    ) -> Tensor:
        """As `DrumVae.draw`."""
        drawn: list[Tensor] = []

        def told_hits(step: int, state: Tensor) -> Tensor:
            drawn.append(self.step.draw(state, temperature, generator))
            return drawn[-1]

        self._play(conducted, self.bars * BAR // conducted.shape[1], told_hits)
        return torch.stack(drawn, dim=1).view(len(conducted), -1, COUNT)

    def _begin(self, conducted: Tensor) -> tuple[Tensor, State]:
        told = conducted.flatten(0, 1)
        return told, _states(self.begin(told).tanh(), self.sizes["decoder_layers"])

    def _play(
        self, conducted: Tensor, steps: int, told_hits: Callable[[int, Tensor], Tensor]
    ) -> Tensor:
        told, state = self._begin(conducted)
        before = told.new_zeros(len(told), _HEARD)
        found = []
        for step in range(steps):
            out, state = self.play(torch.cat([before, told], -1).unsqueeze(1), state)
            found.append(out[:, 0])
            before = _heard(told_hits(step, found[-1])).to(told)
        return torch.stack(found, dim=1)


def _heard(hits: Tensor) -> Tensor:
    """Hits with a tenth mark where nothing is hit."""
    return torch.cat([hits, (hits.sum(-1, keepdim=True) == 0).to(hits)], -1)


def _states(values: Tensor, layers: int) -> State:
    """First hidden and cell states [layers, B, H] of an LSTM from values [B, 2 · layers · H]."""
    parts = values.view(len(values), 2 * layers, -1).transpose(0, 1)
    return parts[:layers].contiguous(), parts[layers:].contiguous()
