"""Metrics of drum networks: reconstruction, expression, novelty, and style transfer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from audiotransfer.midi.percussion import DRUMS
from audiotransfer.symbolic.drums.beats import BAR
from audiotransfer.symbolic.drums.data import Groove, Windows
from audiotransfer.symbolic.drums.drummer import Drummer, Network
from audiotransfer.symbolic.drums.network import DrumVae, Expression, Gaussian

Hits = NDArray[np.bool_]
_BATCH = 256
_ACTIVE = 0.01  # variance of a mean over the data (Burda et al. 2016)
_RIDGE = 1e-3
_STEPS = 200
_SNARE = DRUMS.index("snare")
_TOMS = [DRUMS.index(drum) for drum in ("low tom", "mid tom", "high tom")]
_PERCENTILES = (2, 25, 50, 75, 98)


def exact(drawn: Tensor, true: Tensor) -> float:
    """Accuracy of hits [B, S, 9]: share of sixteenths at which all nine drums are right."""
    return float((drawn == true).all(-1).float().mean())


def hit_scores(drawn: Tensor, true: Tensor) -> dict[str, float]:
    """F1 of each drum over hits [B, S, 9]; NaN where it is never hit."""
    both = (drawn * true).sum((0, 1))
    found, wanted = drawn.sum((0, 1)), true.sum((0, 1))
    f1 = 2 * both / (found + wanted)
    return {drum: float(value) for drum, value in zip(DRUMS, f1, strict=True)}


def expression_errors(played: Expression, windows: Windows) -> dict[str, float]:
    """Mean absolute errors at the hits: velocity (of 127) and onset (ms, at each beat's tempo)."""
    hits = torch.from_numpy(windows.hits)
    velocity = (played.velocity - torch.from_numpy(windows.velocities)).abs()[hits]
    sixteenth = 15_000 / torch.from_numpy(windows.tempi)
    offset = (played.offset - torch.from_numpy(windows.offsets)).abs() * sixteenth[:, None, None]
    return {
        "velocity MAE": 127 * float(velocity.mean()),
        "timing MAE ms": float(offset[hits].mean()),
    }


def as_batch(windows: Windows) -> dict[str, Tensor]:
    """Windows as a training batch."""
    names = ("hits", "velocities", "offsets")
    found = {name: torch.from_numpy(getattr(windows, name)).float() for name in names}
    return found | {"styles": torch.from_numpy(windows.styles)}


@torch.no_grad()
def reconstruction(network: Network, windows: Windows, seed: int = 0) -> dict[str, float]:
    """Reconstruction of held-out windows by a network in evaluation mode, as shares (`exact`).

    "sampled": decoded from the posterior's mean at temperature 1; "from a draw": the same from a
    sample of the posterior; "likeliest": from the mean at temperature 0; "teacher-forced": the
    same, each sixteenth after the true ones; "shuffled": sampled from another window's mean.
    "bits" is the divergence of a window's latent codes from the prior; "active units" counts
    latent dimensions whose mean varies (Burda et al. 2016).
    """
    generator = torch.Generator().manual_seed(seed)
    batch = as_batch(windows)
    posterior, prior = _posterior(network, batch, generator)
    true = batch["hits"]
    sampled = _draw(network, posterior.mean, 1.0, generator)
    other = posterior.mean[torch.randperm(len(true), generator=generator)]
    divergence = posterior.divergence(prior)
    return {
        "sampled": exact(sampled, true),
        "from a draw": exact(_draw(network, posterior.draw(generator), 1.0, generator), true),
        "likeliest": exact(_draw(network, posterior.mean, 0.0, generator), true),
        "teacher-forced": exact(_forced(network, posterior.mean, true), true),
        "shuffled": exact(_draw(network, other, 1.0, generator), true),
        "bits": float(divergence.sum((1, 2)).mean()) / math.log(2),
        "active units": int((posterior.mean.flatten(0, 1).var(0) > _ACTIVE).sum()),
        **{f"F1 {drum}": f1 for drum, f1 in hit_scores(sampled, true).items()},
    }


@torch.no_grad()
def expression(network: DrumVae, windows: Windows, *, given: bool) -> dict[str, float]:
    """`expression_errors` at the true hits; ``given``: the encoder gets velocities and offsets.

    Without them it predicts the expression from the hits alone, as in humanising.
    """
    batch = as_batch(windows)
    known = torch.full((len(windows),), float(given))
    posterior = network.encode(batch["hits"], batch["velocities"], batch["offsets"], known)
    played = network.expression_of(network.conducted(posterior.mean), batch["hits"])
    return expression_errors(played, windows)


def humanised_snares(
    drummer: Drummer, grooves: Sequence[Groove], temperature: float = 1.0, seed: int = 0
) -> dict[str, float]:
    """Snare velocities (of 127) of performances humanised from their hits alone: quartiles, range
    (2nd to 98th percentile), and error beside the performances' own; "true" ones beside them.
    """
    generator = torch.Generator().manual_seed(seed)
    made, true = [], []
    for groove in grooves:
        struck = groove.beat.hits[:, _SNARE]
        if struck.any():
            felt = drummer.humanise(groove.beat, temperature, generator)
            made.append(127 * felt.velocities[struck, _SNARE])
            true.append(127 * groove.beat.velocities[struck, _SNARE])
    own, given = np.concatenate(made), np.concatenate(true)
    found = {"MAE": float(np.abs(own - given).mean())}
    for name, values in (("", own), ("true ", given)):
        cuts = np.percentile(values, _PERCENTILES)
        found |= {f"{name}p{p}": float(c) for p, c in zip(_PERCENTILES, cuts, strict=True)}
    return found


def pattern_figures(
    beats: Mapping[str, Sequence[Hits]], bars: int = 8
) -> dict[str, dict[str, float]]:
    """Figures of beats [S, 9] by style: "alike" (mean similarity of neighbouring bars, hits in
    common over hits in either), "backbeat" (share of snares on 2 and 4), "toms" and "toms before"
    (per second half of each ``bars``-th bar, and of the one before it).

    Under "all": share of beats nearest to the mean bar of their own style, itself left out ("style
    accuracy"), and mean distances of the mean bars of two beats of one style ("same style") and of
    beats at the same place in two styles ("same place").
    """
    rows: dict[str, dict[str, float]] = {}
    grids: dict[str, NDArray[np.float64]] = {}
    for style, hits in beats.items():
        cut = [beat[: len(beat) // BAR * BAR].reshape(-1, BAR, len(DRUMS)) for beat in hits]
        pairs = np.concatenate([_alike(bar) for bar in cut])
        late = [bar[:, BAR // 2 :, _TOMS].sum((1, 2)) for bar in cut]
        rows[style] = {
            "alike": float(np.nanmean(pairs)),
            "backbeat": float(np.mean([bar[:, [4, 12], _SNARE].mean() for bar in cut])),
            "toms": float(np.concatenate([toms[bars - 1 :: bars] for toms in late]).mean()),
            "toms before": float(np.concatenate([toms[bars - 2 :: bars] for toms in late]).mean()),
        }
        grids[style] = np.stack([bar.mean(0).ravel() for bar in cut])
    rows["all"] = _styles_apart(list(grids.values()))
    return rows


def _alike(bars: Hits) -> NDArray[np.float64]:
    both = (bars[1:] & bars[:-1]).sum((1, 2))
    either = (bars[1:] | bars[:-1]).sum((1, 2))
    return np.where(either > 0, both / np.maximum(1, either), np.nan)


def _styles_apart(grids: Sequence[NDArray[np.float64]]) -> dict[str, float]:
    right = count = 0
    centres = np.stack([grid.mean(0) for grid in grids])
    for style, grid in enumerate(grids):
        for own in grid:
            others = centres.copy()
            others[style] = (grid.sum(0) - own) / max(1, len(grid) - 1)
            right += int(((others - own) ** 2).sum(1).argmin() == style)
            count += 1
    same = [np.linalg.norm(a - b) for grid in grids for a, b in combinations(grid, 2)]
    places = [
        np.linalg.norm(a - b)
        for first, second in combinations(grids, 2)
        for a, b in zip(first, second, strict=False)
    ]
    return {
        "style accuracy": right / count,
        "same style": float(np.mean(same)),
        "same place": float(np.mean(places)),
    }


def nearest_of(beats: Hits, among: Hits) -> NDArray[np.int64]:
    """Index of the nearest beat by Hamming distance: [N, S, 9] among [M, S, 9] -> [N]."""
    queries, references = (torch.from_numpy(b.reshape(len(b), -1)).float() for b in (beats, among))
    sums = references.sum(-1)
    parts = [(sums - 2 * part @ references.T).argmin(-1) for part in queries.split(_BATCH)]
    return torch.cat(parts).numpy()


def novelty(made: Hits, known: Hits) -> dict[str, float]:
    """Hamming distances of generated beats [N, S, 9] to known ones [M, S, 9] and to each other.

    "nearest": median distance to the nearest known beat, in cells; "copies": share at distance 0;
    "pairwise": mean distance of two generated beats; "density": share of cells that are hit.
    """
    away = (made != known[nearest_of(made, known)]).sum((1, 2))
    flat = made.reshape(len(made), -1).astype(np.float64)
    share = flat.mean(0)
    pairwise = 2 * (share * (1 - share)).sum() * len(made) / max(1, len(made) - 1)
    return {
        "nearest": float(np.median(away)),
        "copies": float((away == 0).mean()),
        "pairwise": float(pairwise),
        "density": float(flat.mean()),
    }


def _posterior(
    network: Network, batch: Mapping[str, Tensor], generator: Generator
) -> tuple[Gaussian, Gaussian]:
    hits = batch["hits"]
    known = torch.ones(len(hits))
    posterior = network.encode(hits, batch["velocities"], batch["offsets"], known)
    prior = network.prior(posterior.draw(generator), batch["styles"])
    return posterior, prior


def _draw(network: Network, points: Tensor, temperature: float, generator: Generator) -> Tensor:
    parts = [
        network.draw(network.conducted(part), temperature, generator)
        for part in points.split(_BATCH)
    ]
    return torch.cat(parts)


def _forced(network: Network, points: Tensor, true: Tensor) -> Tensor:
    parts = [
        network.step.draw(network.states(network.conducted(own), hits), 0.0)
        for own, hits in zip(points.split(_BATCH), true.split(_BATCH), strict=True)
    ]
    return torch.cat(parts)


class DrumStyleClassifier:
    """Logistic regression on how often each drum is hit at each sixteenth of the bar.

    Trained on windows with a style index; windows of no known style (the last index) are left out,
    and styles are weighted alike.
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
        """Balanced accuracy over the styles that the windows have."""
        predicted = self.probabilities(windows.hits).argmax(-1)
        present = [s for s in range(len(self.styles)) if (windows.styles == s).any()]
        return float(np.mean([(predicted == s)[windows.styles == s].mean() for s in present]))


def style_figures(
    drummer: Drummer,
    classifier: DrumStyleClassifier,
    windows: Windows,
    style: str,
    strength: float = 1.0,
) -> dict[str, float]:
    """Metrics of windows of other styles, transferred to one.

    "before", "after": mean probability of the style; "moved": share of windows where it rises;
    "kept": F1 of the hits after transfer against those before; "density": ratio of their numbers.
    """
    index = classifier.styles.index(style)
    others = np.flatnonzero(windows.styles != index)
    beats = [windows.beat(int(number)) for number in others]
    generator = torch.Generator().manual_seed(0)
    made = np.stack([drummer.restyle(b, style, strength, generator).hits for b in beats])
    source = windows.hits[others]
    before, after = (classifier.probabilities(hits)[:, index] for hits in (source, made))
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
