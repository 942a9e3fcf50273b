"""What every config of a training says, whatever it trains."""

from __future__ import annotations

from dataclasses import dataclass

from audiotransfer.training.settings import TrainerSettings


@dataclass
class Training:
    """How something is trained; ``seed`` draws its first weights."""

    trainer: TrainerSettings
    seed: int = 0
