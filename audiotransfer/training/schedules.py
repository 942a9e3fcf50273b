"""Learning-rate schedules, as a factor of the group's learning rate."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["constant", "cosine", "linear"]
Rise = Literal["linear", "exponential"]
_FIRST = 0.01  # where an exponential rise begins


def factor(
    step: int,
    steps: int,
    schedule: Schedule = "constant",
    warmup: int = 0,
    rise: Rise = "linear",
    hold: int = 0,
) -> float:
    """Return the factor of step `step` (from 0) in a run of `steps`.

    It rises over `warmup` steps to 1, along a line or by equal ratios from 0.01, stays there until
    step `hold`, and then stays ("constant") or falls to 0 at `steps`, along half a cosine
    ("cosine") or a line ("linear").
    """
    if step < warmup:
        risen = (step + 1) / warmup
        return risen if rise == "linear" else _FIRST ** (1 - risen)
    begin = max(warmup, hold)
    progress = min(1.0, max(0, step - begin) / max(1, steps - begin))
    if schedule == "constant":
        return 1.0
    if schedule == "linear":
        return 1.0 - progress
    if schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * progress))
    raise ValueError(f"schedule {schedule!r} is unknown; take constant, cosine or linear")
