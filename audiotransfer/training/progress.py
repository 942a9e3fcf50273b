"""How far a training is, there and back as the plain facts of its checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from audiotransfer.training.log import Window


@dataclass
class Progress:
    """Steps done, how they went, and the best that validation found."""

    step: int = 0
    failed: int = 0
    failed_in_a_row: int = 0
    best: float = -math.inf
    since_best: int = 0  # validations
    window: Window = field(default_factory=Window)
    figures: dict[str, float] = field(default_factory=dict)

    def score(self, headline: float | None) -> bool:
        """Note what a validation found, if anything; say whether it is the best so far."""
        if headline is None:
            return False
        better = headline > self.best
        self.since_best = 0 if better else self.since_best + 1
        if better:
            self.best = headline
        return better

    def facts(self) -> dict[str, Any]:
        """Everything as JSON takes it."""
        return {
            "step": self.step,
            "failed": self.failed,
            "failed_in_a_row": self.failed_in_a_row,
            "best": self.best if math.isfinite(self.best) else None,
            "since_best": self.since_best,
            "window": self.window.sums,
            "figures": {n: v if math.isfinite(v) else None for n, v in self.figures.items()},
        }

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Progress:
        """Undo `facts`, of older checkpoints too."""
        return cls(
            int(facts["step"]),
            int(facts["failed"]),
            int(facts["failed_in_a_row"]),
            -math.inf if facts["best"] is None else float(facts["best"]),
            int(facts.get("since_best", 0)),
            Window(facts["window"]),
            {n: math.nan if v is None else v for n, v in facts["figures"].items()},
        )
