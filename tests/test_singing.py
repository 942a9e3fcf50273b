"""Whether and where somebody sings, by the level of separated vocals."""

from __future__ import annotations

import torch
from torch import Tensor

from audiotransfer.pipeline.singing import VocalLevels, joined

RATE = 44100


def levels(spans: list[tuple[float, float]], loud: float, soft: float = 0.02) -> VocalLevels:
    """Of 20 s of noise, whose vocals have a share ``loud`` in spans, and ``soft`` elsewhere."""
    mix = torch.randn(2, 20 * RATE, generator=torch.Generator().manual_seed(0))
    share = torch.full((20 * RATE,), soft)
    for start, end in spans:
        share[round(start * RATE) : round(end * RATE)] = loud
    return pushed(share * mix, mix)


def pushed(vocals: Tensor, mix: Tensor) -> VocalLevels:
    found = VocalLevels()
    for pair in zip(vocals.split(30011, -1), mix.split(30011, -1), strict=True):
        found.push(*pair)
    return found


def test_loud_vocals_are_sung() -> None:
    found = levels([(2.0, 5.0), (5.3, 6.0), (12.0, 14.0), (18.0, 18.2)], 0.4).spans()
    assert found == ((2.0, 6.0), (12.0, 14.0))


def test_soft_vocals_are_what_a_separator_leaves() -> None:
    assert levels([(0.0, 20.0)], 0.2).spans() == ()


def test_few_loud_moments_make_no_singer() -> None:
    assert levels([(3.0, 4.0)], 0.5).spans() == ()
    assert levels([(3.0, 6.0)], 0.5).spans() == ((3.0, 6.0),)


def test_silence_has_no_singer_and_does_not_count() -> None:
    silent = torch.zeros(2, RATE)
    assert pushed(silent, silent).spans() == VocalLevels().spans() == ()
    mix = torch.randn(2, 20 * RATE, generator=torch.Generator().manual_seed(0))
    mix[:, 2 * RATE :] = 0.0
    assert pushed(0.5 * mix, mix).spans() == ((0.0, 2.0),)


def test_spans_are_joined() -> None:
    assert joined([(3.0, 4.0), (1.0, 2.0), (2.3, 2.5), (8.0, 8.1)]) == ((1.0, 4.0),)
    assert joined([]) == ()
