"""Toy songs and settings with which the waveform route is trained in tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile
import torch
from torch import Tensor
from toy_training import VALIDATED

RATE = 44100
TRAINER = [*VALIDATED, "trainer.precision=32-true"]


def music(seconds: float, seed: int = 0, hertz: float = 220.0) -> Tensor:
    """A decaying chord with overtones, ``[T]``."""
    random = torch.Generator().manual_seed(seed)
    time = torch.arange(int(seconds * RATE)) / RATE
    sound = torch.zeros_like(time)
    for ratio in (1.0, 1.25, 1.5):
        for order in range(1, 6):
            phase = float(torch.rand((), generator=random)) * 6.28
            sound += torch.sin(6.2832 * hertz * ratio * order * time + phase) / order
    return 0.05 * sound * (0.3 + torch.exp(-3 * (time % 0.5)))


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    """Three rendered songs with a piano's version of ``other``, and drums and bass."""
    for number in range(3):
        place = tmp_path / "ensembles-jazz" / f"train-51-{number:04}"
        for side in ("source", "target/jazz", "separated"):
            for stem in ("drums", "bass", "other"):
                path = place / side / f"{stem}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                sound = torch.stack([music(2.5, number, 200.0 + 20 * number)] * 2).T
                soundfile.write(path, sound.numpy(), RATE)
        card = {"id": place.name, "stems": ["bass", "drums", "other"], "split": "train"}
        card["target_bank"] = "sampled"
        (place / "song.json").write_text(json.dumps(card))
    real = tmp_path / "audio" / "stems" / "song"
    real.mkdir(parents=True)
    soundfile.write(real / "other.wav", music(2.5).numpy(), RATE)
    return tmp_path
