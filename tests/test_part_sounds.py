"""The sound of a cover's band from the cache: the same samples, and only what changed is played."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from audiotransfer.pipeline import part_sounds
from audiotransfer.pipeline.cache import Cache
from audiotransfer.pipeline.part_sounds import part_blocks
from audiotransfer.synthesis.ensemble import EnsemblePart
from audiotransfer.synthesis.room import DEFAULT_ROOM, RoomFilter

FRAMES = 2 * 44100


def notes(*pitches: int) -> np.ndarray:
    return np.array([[0.4 * n, 0.3, pitch, 80] for n, pitch in enumerate(pitches)])


PARTS = (
    EnsemblePart("drums", "kit_jazz_sticks", notes(36, 38, 36, 38)),
    EnsemblePart("bass", "bass_upright_pizz", notes(40, 43, 45)),
    EnsemblePart(
        "pad",
        "piano_grand",
        notes(60, 64),
        effects=({"effect": "ducking", "depth": 6.0},),
        ducked_by="drums",
    ),
)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many parts each call has played."""
    made: list[int] = []

    def counted(*given: object) -> RoomFilter:
        made.append(1)
        return RoomFilter(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(part_sounds, "RoomFilter", counted)
    return made


def sound(parts: tuple[EnsemblePart, ...], cache: Cache | None) -> torch.Tensor:
    return torch.cat(list(part_blocks(parts, 0.0, DEFAULT_ROOM, FRAMES, cache)), -1)


def test_parts_from_the_cache_have_the_same_samples(tmp_path: Path, played: list[int]) -> None:
    plain, cache = sound(PARTS, None), Cache(tmp_path)
    assert plain.shape == (3, 2, FRAMES) and plain.abs().amax((1, 2)).min() > 0.01
    assert torch.equal(sound(PARTS, cache), plain) and sum(played) == 6
    assert torch.equal(sound(PARTS, cache), plain) and sum(played) == 6


def test_only_a_part_that_changed_is_played_again(tmp_path: Path, played: list[int]) -> None:
    cache = Cache(tmp_path)
    before = sound(PARTS, cache)
    changed = (PARTS[0], replace(PARTS[1], notes=notes(41, 43, 45)), PARTS[2])
    after = sound(changed, cache)
    assert sum(played) == 4
    assert torch.equal(after, sound(changed, None))
    assert torch.equal(after[[0, 2]], before[[0, 2]]) and not torch.equal(after[1], before[1])


def test_a_part_that_drums_duck_changes_with_them(tmp_path: Path, played: list[int]) -> None:
    cache = Cache(tmp_path)
    sound(PARTS, cache)
    changed = (replace(PARTS[0], notes=notes(38, 36)), *PARTS[1:])
    assert torch.equal(sound(changed, cache), sound(changed, None))
    assert sum(played) == 3 + 2 + 3
