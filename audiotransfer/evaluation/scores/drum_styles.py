"""An ear for the styles of beats that taught no drummer, and what it hears of one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from audiotransfer.symbolic.drums.beats import BAR
from audiotransfer.symbolic.drums.drummer import Drummer
from audiotransfer.symbolic.drums.grooves import Windows
from audiotransfer.symbolic.drums.kit import DRUMS

Hits = NDArray[np.bool_]
_RIDGE = 1e-3
_STEPS = 200


class StyleEar:
    """Logistic regression on how often each drum is hit at each sixteenth of the bar.

    It learns from windows of hits with the index of their style, of which the last (no style in
    particular) is left out; styles count alike, however many beats they have.
    """

    def __init__(self, windows: Windows, styles: Sequence[str]) -> None:
        self.styles = tuple(styles)
        known = windows.styles < len(self.styles)
        counts, labels = _counts(windows.hits[known]), torch.from_numpy(windows.styles[known])
        shares = torch.bincount(labels, minlength=len(self.styles)).float()
        weight = shares.sum() / shares.clamp(min=1)
        self.layer = nn.Linear(counts.shape[1], len(self.styles))
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)
        optimiser = torch.optim.LBFGS(
            self.layer.parameters(), max_iter=_STEPS, line_search_fn="strong_wolfe"
        )

        def loss() -> Tensor:
            optimiser.zero_grad()
            value = F.cross_entropy(self.layer(counts), labels, weight=weight)
            value = value + _RIDGE * self.layer.weight.square().sum()
            value.backward()
            return value

        optimiser.step(loss)

    @torch.no_grad()
    def probabilities(self, hits: Hits) -> NDArray[np.float32]:
        """The probability of each style for beats [N, S, 9]: [N, styles]."""
        found: NDArray[np.float32] = self.layer(_counts(hits)).softmax(-1).numpy()
        return found

    def accuracy(self, windows: Windows) -> float:
        """Share of windows heard right, mean over the styles that there are."""
        heard = self.probabilities(windows.hits).argmax(-1)
        present = [s for s in range(len(self.styles)) if (windows.styles == s).any()]
        return float(np.mean([(heard == s)[windows.styles == s].mean() for s in present]))


def style_figures(
    drummer: Drummer, ear: StyleEar, windows: Windows, style: str, strength: float = 1.0
) -> dict[str, float]:
    """What becomes of windows of other styles, moved toward one.

    "before", "after": mean probability of the style; "moved": share that has a higher one after;
    "kept": F1 of the hits after, against those before; "density": hits after, as a share.
    """
    index = ear.styles.index(style)
    others = np.flatnonzero(windows.styles != index)
    beats = [windows.beat(int(number)) for number in others]
    generator = torch.Generator().manual_seed(0)
    made = np.stack([drummer.restyle(b, style, strength, generator).hits for b in beats])
    source = windows.hits[others]
    before, after = (ear.probabilities(hits)[:, index] for hits in (source, made))
    return {
        "before": float(before.mean()),
        "after": float(after.mean()),
        "moved": float((after > before).mean()),
        "kept": 2 * float((made & source).sum()) / float(made.sum() + source.sum()),
        "density": float(made.sum() / source.sum()),
    }


def _counts(hits: Hits) -> Tensor:
    bars = hits.reshape(len(hits), -1, BAR, len(DRUMS)).mean(1).astype(np.float32)
    whole = bars.mean(1) * BAR / 4
    return torch.from_numpy(np.concatenate([bars.reshape(len(bars), -1), whole], axis=1))
