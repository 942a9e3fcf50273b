"""Drum patterns of any number of bars: a backbone of two bars that repeats with variations, and
fills at the ends of four or eight bars.

A prior over bars alone keeps too little of the last bar (a third of its hits; drummers keep more
than half) and lets the noise outweigh the style. Here a backbone is chosen among many samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from audiotransfer.midi.percussion import DRUMS
from audiotransfer.symbolic.drums.beats import BAR, Beat
from audiotransfer.symbolic.drums.drummer import Drummer, with_expression

_SNARE, _KICK, _CRASH = (DRUMS.index(drum) for drum in ("snare", "kick", "crash"))
_TOMS = [DRUMS.index(drum) for drum in ("low tom", "mid tom", "high tom")]
_BACKBEATS = [4, 12]

# Mean similarity (intersection over union of hits) of neighbouring bars, counted on the
# performances of four bars or more in the Groove MIDI Dataset's training split (292 performances;
# pop 7, reggae 3). _ANY: over all.
SIMILARITY = {
    "afrobeat": 0.66, "afrocuban": 0.63, "dance": 0.64, "funk": 0.54, "hiphop": 0.54,
    "jazz": 0.42, "latin": 0.60, "neworleans": 0.67, "pop": 0.41, "reggae": 0.59, "rock": 0.56,
    "soul": 0.47,
}  # fmt: skip
_ANY = 0.55
# Styles in which half of those performances have at least 0.72 of their snares on 2 and 4.
BACKBEAT = ("dance", "funk", "hiphop", "neworleans", "pop", "rock", "soul")
# Bars without a fill are more alike than the mean over all pairs of bars, which a fill lowers.
_WITHOUT_FILLS, _SPREAD = 0.16, 0.10

_BACKBONES, _VARIATIONS, _FILLS = 96, 16, 48  # candidates
_CALM = 0.5  # of the temperature, in the backbone and its variations
_FARTHEST = 0.7  # share of another sample's code in the farthest variation
_STYLE, _STEADY, _ON_BACKBEAT = 0.5, 8.0, 10.0  # weights of a backbone's scores
_MISSED = 2.0  # cost of a lost backbeat in a variation
_IN_TOMS, _IN_SNARES = 2.0, 1.0  # weights of a fill's scores
_CRASHES = 0.3  # probability of a crash after a fill
_GROUPS = (4, 8)  # bars


@dataclass(frozen=True)
class _Backbone:
    """Codes [2, latent] and hits [2, 16, 9] of a backbone, and codes of other samples."""

    codes: Tensor
    hits: Tensor
    others: Tensor


@torch.no_grad()
def compose(
    drummer: Drummer, bars: int, style: str | None, temperature: float, generator: Generator
) -> Beat:
    """Samples a beat of exactly ``bars`` bars in a style, or in any.

    A backbone of two bars is sampled among candidates by how probable the style is given their
    codes, how alike their bars are, and by snares on 2 and 4 where the style has them (`BACKBEAT`).
    It repeats in variations decoded from codes between its own and others of the style, as similar
    to the bar before as counted (`SIMILARITY`). Each fourth or each eighth bar ends with a fill.
    """
    network = drummer.network
    index = drummer.style(style)
    backbone = _backbone(drummer, index, temperature, generator)
    codes, hits = _variations(drummer, backbone, index, bars, temperature, generator)
    group = _GROUPS[int(torch.randint(len(_GROUPS), (), generator=generator))] if bars >= 8 else 4
    for bar in range(group - 1, bars, group):
        _fill(drummer, hits, bar, index, temperature, generator)
    conducted = network.conducted(codes[None])
    flat = hits.reshape(1, bars * BAR, len(DRUMS))
    return with_expression(network.expression_of(conducted, flat), flat, temperature, generator)


def similarity(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of the hits [.., 16, 9] of bars, [..]; 1 where both are silent."""
    both = (first * second).sum((-2, -1))
    either = torch.maximum(first, second).sum((-2, -1))
    return torch.where(either > 0, both / either.clamp(min=1), 1.0)


def _backbone(drummer: Drummer, index: int, temperature: float, generator: Generator) -> _Backbone:
    network = drummer.network
    styles = torch.full((_BACKBONES,), index)
    codes = network.imagine(2, styles, temperature, generator)
    drawn = network.draw(network.conducted(codes), _CALM * temperature, generator)
    hits = drawn.view(_BACKBONES, 2, BAR, -1)
    alike = similarity(hits[:, 0], hits[:, 1])
    scores = -_STEADY * (alike - _target(drummer, index)).abs()
    if index != network.any_style:
        scores = scores + _STYLE * _log_posterior(drummer, codes)[:, index]
        if drummer.styles[index] in BACKBEAT:
            scores = scores + _ON_BACKBEAT * hits[:, :, _BACKBEATS, _SNARE].mean((1, 2))
    scores = torch.where(hits.sum((1, 2, 3)) > 0, scores, -torch.inf)
    best = _sampled_index(scores, temperature, generator)
    return _Backbone(codes[best], hits[best], codes)


def _target(drummer: Drummer, index: int) -> float:
    """Mean similarity of neighbouring bars without fills in a style."""
    known = index != drummer.network.any_style
    return (SIMILARITY.get(drummer.styles[index], _ANY) if known else _ANY) + _WITHOUT_FILLS


def _log_posterior(drummer: Drummer, codes: Tensor) -> Tensor:
    """Log probabilities [B, styles] of the styles given codes [B, N, latent], all equally likely
    before.
    """
    scores = []
    for style in range(len(drummer.styles)):
        prior = drummer.network.prior(codes, torch.full((len(codes),), style))
        distance = (codes - prior.mean) * (-prior.log_scale).exp()
        scores.append(-(0.5 * distance.square() + prior.log_scale).sum((1, 2)))
    return torch.stack(scores, 1).log_softmax(1)


def _variations(
    drummer: Drummer,
    backbone: _Backbone,
    index: int,
    bars: int,
    temperature: float,
    generator: Generator,
) -> tuple[Tensor, Tensor]:
    """Codes [bars, latent] and hits [bars, 16, 9] of the backbone and its variations."""
    network = drummer.network
    mean = _target(drummer, index)
    pairs = -(-bars // 2)
    others = torch.randint(len(backbone.others), (pairs, _VARIATIONS), generator=generator)
    share = torch.linspace(0, _FARTHEST, _VARIATIONS)[:, None, None]
    codes = torch.lerp(backbone.codes, backbone.others[others], share * min(1.0, temperature))
    flat = codes.flatten(0, 1)
    drawn = network.draw(network.conducted(flat), _CALM * temperature, generator)
    hits = drawn.view(pairs, _VARIATIONS, 2, BAR, -1)
    targets = (mean + _SPREAD * temperature * torch.randn(bars, generator=generator)).clamp(0, 1)
    chosen_codes, chosen_hits = [backbone.codes[0]], [backbone.hits[0]]
    for bar in range(1, bars):
        tried = hits[bar // 2, :, bar % 2]
        cost = (similarity(tried, chosen_hits[-1]) - targets[bar]).abs()
        lost = (backbone.hits[bar % 2] - tried)[:, _BACKBEATS, _SNARE].clamp(min=0).sum(1)
        best = int((cost + _MISSED * lost).argmin())
        chosen_codes.append(codes[bar // 2, best, bar % 2])
        chosen_hits.append(tried[best])
    return torch.stack(chosen_codes), torch.stack(chosen_hits)


def _fill(
    drummer: Drummer,
    hits: Tensor,
    bar: int,
    index: int,
    temperature: float,
    generator: Generator,
) -> None:
    """Changes the second half or the last quarter of a bar in ``hits`` to a fill."""
    network = drummer.network
    codes = network.imagine(1, torch.full((_FILLS,), index), temperature, generator)
    tried = network.draw(network.conducted(codes), temperature, generator)
    begin = BAR // 2 if torch.rand((), generator=generator) < 0.5 else 3 * BAR // 4
    part = tried[:, begin:]
    scores = _IN_TOMS * part[..., _TOMS].sum((1, 2)).log1p()
    scores = scores + _IN_SNARES * part[..., _SNARE].sum(1).log1p()
    hits[bar, begin:] = part[_sampled_index(3 * scores, temperature, generator)]
    if bar + 1 < len(hits) and torch.rand((), generator=generator) < _CRASHES:
        hits[bar + 1, 0, [_KICK, _CRASH]] = 1.0


def _sampled_index(scores: Tensor, temperature: float, generator: Generator) -> int:
    """Samples an index by log probabilities; the largest at temperature 0."""
    if temperature <= 0:
        return int(scores.argmax())
    return int((scores / temperature).softmax(0).multinomial(1, generator=generator))
