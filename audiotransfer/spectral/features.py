"""What generators and critics see of a stem: log-mel levels, scaled."""

from __future__ import annotations

from torch import Tensor

#: Natural-log mel levels of stems near RMS 0.1 lie about here, and vary about so much.
CENTRE, SPREAD = -5.0, 3.0
#: Below this level (natural log) nothing of a stem is heard in its mix.
INAUDIBLE = -6.0
#: Critics see no deeper than this: what lies below differs by soundfont, not by style.
CRITIC_FLOOR = -9.0


def normalised(picture: Tensor) -> Tensor:
    """Log levels to what networks like: about zero mean and unit variance."""
    return (picture - CENTRE) / SPREAD
