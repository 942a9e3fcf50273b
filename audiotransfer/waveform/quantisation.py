"""Sound through the 256 steps of the mu law, with a gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from vocoder.wavenet.outputs import MU, companded, expanded, quantised


def eight_bit(sound: Tensor) -> Tensor:
    """Sound within ±1, companded, quantised to 256 steps and expanded again; any shape.

    Rounding has no gradient: it passes as if there were none (Y. Bengio et al., "Estimating or
    propagating gradients through stochastic neurons", 2013). A discriminator that sees real and
    generated sound so has no cue in what lies below a step.
    """
    value = companded(sound)
    step = quantised(value).to(value.dtype) / MU * 2 - 1
    return expanded(value + (step - value).detach())


def soft_argmax(logits: Tensor) -> Tensor:
    """The mean step of a distribution, expanded: logits ``[B, 256, T]`` to sound ``[B, T]``.

    Where an arg-max would choose one step, the mean has a gradient. Steps are averaged as the mu
    law companded them.
    """
    steps = torch.linspace(-1.0, 1.0, int(MU) + 1, device=logits.device)
    return expanded(torch.einsum("bkt,k->bt", logits.float().softmax(1), steps))
