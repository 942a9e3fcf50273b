"""Block-wise processing equals processing the song in one piece, for everything that ships."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from audiotransfer.pipeline import Song, TransferOptions, prepare, transfer
from audiotransfer.pipeline.blocks import FADE
from audiotransfer.styles import available
from separation import GRID, Separator, create

RATE = 44100
STYLES = sorted(card.name for card in available() if card.route == "spectral")
SEPARATORS = ("demucs", "embedded", "hpss", "none")
EVERY = [(style, separator) for style in STYLES for separator in SEPARATORS]
#: Of the default run: every style and every separator at least once.
SHARE = [
    (style, SEPARATORS[index % len(SEPARATORS)])
    for index, style in enumerate([*STYLES, *STYLES[: max(0, len(SEPARATORS) - len(STYLES))]])
]


@cache
def song() -> Tensor:
    """18 s of kicks, hats, a bass line, chords from the sides and a lead: ``[2, T]``, uneven in
    level and not a whole number of anything.
    """
    random = torch.Generator().manual_seed(1)
    time = torch.arange(12 * GRID + 12345) / RATE
    beat = time % 0.53
    kick = 0.5 * torch.sin(2 * math.pi * 52 * beat) * torch.exp(-beat / 0.06)
    hats = 0.1 * torch.randn(len(time), generator=random) * torch.exp(-(time % 0.265) / 0.02)
    bass = _notes(time, 1.06, (55.0, 61.7, 41.2, 49.0), 0.5)
    left = _notes(time, 2.12, (220.0, 246.9, 164.8, 196.0), 1.2)
    right = _notes(time, 2.12, (329.6, 370.0, 246.9, 293.7), 1.2)
    lead = _notes(time, 0.53, (659.3, 587.3, 740.0, 493.9, 880.0), 0.3)
    mix = torch.stack([left + 0.3 * right, right + 0.3 * left])
    mix = 0.12 * mix + 0.25 * bass + kick + hats + 0.1 * lead
    return mix * (0.25 + 0.2 * torch.sin(2 * math.pi * time / 11))


def _notes(time: Tensor, seconds: float, pitches: tuple[float, ...], decay: float) -> Tensor:
    """Notes of eight partials, one after the other."""
    hertz = torch.tensor(pitches)[(time / seconds).long() % len(pitches)]
    since = time % seconds
    tones = [torch.sin(2 * math.pi * n * hertz * since) / n for n in range(1, 9)]
    return torch.stack(tones).sum(0) * torch.exp(-since / decay) * (1 - torch.exp(-since / 0.004))


@pytest.fixture(scope="module")
def separators(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Separator]:
    """All that are installed; Demucs as a small network with the segments of the published one."""
    from demucs.htdemucs import HTDemucs

    from separation.demucs.checkpoints import save_bag

    torch.manual_seed(0)
    network = HTDemucs(
        ["drums", "bass", "other", "vocals"],
        channels=8,
        dconv_depth=1,
        t_layers=1,
        t_heads=2,
        segment=Fraction(39, 5),
    )
    small: Path = save_bag(tmp_path_factory.mktemp("demucs"), "small", [network])
    return {name: create(f"demucs:{small}" if name == "demucs" else name) for name in SEPARATORS}


def difference(style: str, separator: Separator) -> tuple[float, int]:
    """Of the shortest blocks from the whole, dB of the song; and how many blocks there were.

    Six blocks, so that none sees the whole song in its context; three of the longest.
    """
    wanted = TransferOptions(style=style, separator=separator, device="cpu")
    block = max(prepare(wanted).grid, GRID)
    part = song()[:, : max(3 * block, 6 * GRID) + 12345]
    whole, chunked = (
        transfer(
            Song(part, RATE), style, separator=separator, device="cpu", block=length
        ).audio.double()
        for length in (20 * block, block)
    )
    assert float((whole - part).abs().max()) > 0.01, "the style did nothing"
    error = (chunked - whole).square().mean() / whole.square().mean()
    return 10 * math.log10(float(error) + 1e-30), part.shape[1] // block


@pytest.mark.parametrize(
    ("style", "separator"),
    [
        pytest.param(*pair, marks=[] if pair in SHARE else pytest.mark.slow, id="-".join(pair))
        for pair in EVERY
    ],
)
def test_blocks_equal_the_whole(
    separators: dict[str, Separator], style: str, separator: str
) -> None:
    error, blocks = difference(style, separators[separator])
    assert blocks >= 3
    # At its 16 kHz no block starts on a whole sample: it is the same but for where frames begin.
    assert error < (-20 if style == "jazz-piano-cycle" else -80)


def test_all_separators_and_styles_share_short_blocks(
    separators: dict[str, Separator],
) -> None:
    for style, separator in EVERY:
        options = TransferOptions(style=style, separator=separators[separator], device="cpu")
        plan = prepare(options)
        assert plan.grid <= 4 * GRID
        for stem in plan.stems.values():
            # jazz-piano sees the 3 s before and after.
            assert stem.context + FADE <= (2.5 if style == "jazz-piano" else 2) * GRID
