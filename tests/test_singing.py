"""Whether and where somebody sings, by the level of separated vocals."""

from __future__ import annotations

import torch
from torch import Tensor

from audiotransfer.leadsheet import Bar, LeadSheet, Note
from audiotransfer.pipeline.singing import VocalLevels, lead_phrases, sung_phrases

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
    assert sung_phrases([(3.0, 4.0), (1.0, 2.0), (2.3, 2.5), (8.0, 8.1)]) == ((1.0, 4.0),)
    assert sung_phrases([]) == ()


def test_phrases_of_the_lead_in_the_register_of_the_singer_are_sung() -> None:
    sung = [Note(0.5 * n, 0.4, 60 + n % 5) for n in range(12)]
    missed, low = Note(10.0, 0.8, 62), Note(12.0, 0.8, 45)
    unsure = Note(14.0, 0.8, 62, confidence=0.3)
    sheet = LeadSheet((0.0, 16.0), (Bar(0, 1),), melody=(*sung, missed, low, unsure))
    assert (10.0, 10.8) in lead_phrases(sheet, ((0.0, 6.0),))
    assert not {(12.0, 12.8), (14.0, 14.8)} & set(lead_phrases(sheet, ((0.0, 6.0),)))
    assert lead_phrases(sheet, ((0.0, 2.0),)) == []  # too few notes to show a register
    assert lead_phrases(sheet, ()) == []
