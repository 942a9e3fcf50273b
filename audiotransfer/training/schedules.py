"""Learning-rate schedules, as a factor of the group's learning rate."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["constant", "cosine", "linear"]


def factor(step: int, steps: int, schedule: Schedule = "constant", warmup: int = 0) -> float:
    """Return the factor of step `step` (from 0) in a run of `steps`.

    It rises linearly over `warmup` steps to 1, then stays ("constant") or falls to 0 at `steps`,
    along half a cosine ("cosine") or a line ("linear").
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    if schedule == "constant":
        return 1.0
    if schedule == "linear":
        return 1.0 - progress
    if schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * progress))
    raise ValueError(f"schedule {schedule!r} is unknown; take constant, cosine or linear")
