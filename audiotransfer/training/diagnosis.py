"""Diagnosis of typical training failures, from logged figures and previews, with remedies.

It is independent of the objective. It compares images "source" and "output" of previews of a few
fixed batches (see `Preview`), and takes groups whose name contains "critic" or "discriminator" for
discriminators.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from audiotransfer.training.log import Progress
from audiotransfer.training.objective import Preview

CHECKS = 3  # in a row with a finding, before it is reported
COPY = 0.02  # change by the output, as a share of the distance of two sources
SAME = 0.05  # distance of two outputs, as a share of that of their sources
MUTE = 0.1  # the outputs' mean level above the sources' lowest, as a share of the sources'
POINT = 0.02  # spread of embeddings, as a share of their length
ORIGIN = 1e-3  # or their spread itself
WON = 0.03  # a discriminator's loss; undecided ones are at 0.25 (least squares) to 1 (hinge)
FAILED = 0.01  # share of the steps since the last check
_OUTPUTS = ("output", "converted")
_DISCRIMINATORS = ("critic", "discriminator")

_REMEDIES = {
    "not finite": "lower the learning rate, set clip_norm (1 to 5), or take precision=32-true",
    "muted": "lower the adversarial weight or give the paired, cycle or identity term more, and "
    "listen to the sources: they must not be silent themselves",
    "one output for all": "give the term that ties the output to its source (cycle, travel, "
    "contrast, paired) more weight, or lower the discriminators' learning rate",
    "copies its input": "raise the adversarial weight, lower identity and cycle, or let the "
    "discriminators start earlier; check that source and target are not the same songs",
    "embeddings collapse": "raise the margin's weight or lower that network's learning rate",
    "discriminator has won": "lower the discriminators' learning rate, let the generator step more "
    "often, or let the discriminators start later; more target songs help too",
}


@dataclass(frozen=True)
class _Finding:
    """A problem, where it was found (a preview, a group) and the figure that shows it."""

    problem: str
    where: str
    figure: str

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        return f"{self.problem}{place}: {self.figure}; {_REMEDIES[self.problem]}"


class Diagnosis:
    """Checks a training at intervals, and reports each problem once.

    `present` names the problems of the last check, for a progress line.
    """

    def __init__(self) -> None:
        self.present: tuple[str, ...] = ()
        self._streaks: dict[tuple[str, str], int] = {}
        self._reported: set[tuple[str, str]] = set()
        self._step = 0
        self._failed = 0

    def check(self, progress: Progress, previews: Sequence[Preview]) -> list[str]:
        """Returns new problems as sentences, each with a remedy.

        Args:
            progress: of the training.
            previews: of batches that are the same at every check.
        """
        steps, failed = progress.step - self._step, progress.failed - self._failed
        self._step, self._failed = progress.step, progress.failed
        findings = [*_not_finite(steps, failed, previews)]
        if not findings:  # values that are not finite cannot be compared
            findings = [
                *_outputs(previews),
                *_embeddings(previews),
                *_discriminators(progress.figures),
            ]
        keys = [(finding.problem, finding.where) for finding in findings]
        self._streaks = {key: self._streaks.get(key, 0) + 1 for key in keys}
        lasting = [
            (key, finding)
            for key, finding in zip(keys, findings, strict=True)
            if self._streaks[key] >= CHECKS or finding.problem == "not finite"
        ]
        self.present = tuple(dict.fromkeys(finding.problem for _, finding in lasting))
        new = [str(finding) for key, finding in lasting if key not in self._reported]
        self._reported |= {key for key, _ in lasting}
        return new


def _not_finite(steps: int, failed: int, previews: Sequence[Preview]) -> Iterator[_Finding]:
    """Skipped steps, and images that are not finite."""
    if failed > max(1.0, FAILED * steps):
        yield _Finding("not finite", "", f"{failed} of the last {steps} steps were skipped")
    for name in dict.fromkeys(name for preview in previews for name in preview.images):
        images = [preview.images[name] for preview in previews if name in preview.images]
        if not all(bool(torch.isfinite(image).all()) for image in images):
            yield _Finding("not finite", name, "the networks put out what is no number")


def _outputs(previews: Sequence[Preview]) -> Iterator[_Finding]:
    """Outputs that are silent, all alike, or copies of their sources."""
    for where, (sources, outputs) in _pairs(previews).items():
        apart, outputs_apart = _mean_distance(sources), _mean_distance(outputs)
        floor = sources.min()
        level = float((sources - floor).mean())
        if level > 0:
            share = float((outputs - floor).clamp_min(0).mean()) / level
            if share < MUTE:
                yield _Finding("muted", where, f"{share:.1%} of the source's level comes out")
                continue
        if apart == 0:
            continue
        if outputs_apart < SAME * apart:
            figure = f"outputs differ by {outputs_apart / apart:.1%} of what their sources do"
            yield _Finding("one output for all", where, figure)
            continue
        changed = float((outputs - sources).abs().mean())
        if changed < COPY * apart:
            figure = f"it changes {changed / apart:.1%} of what sets two sources apart"
            yield _Finding("copies its input", where, figure)


def _embeddings(previews: Sequence[Preview]) -> Iterator[_Finding]:
    """Collapsed embeddings: those of different examples are almost equal."""
    for name in dict.fromkeys(name for preview in previews for name in preview.embeddings):
        points = torch.cat([p.embeddings[name] for p in previews if name in p.embeddings]).float()
        spread = float((points - points.mean(0)).square().sum(1).mean().sqrt())
        length = float(points.square().sum(1).mean().sqrt())
        if len(points) > 1 and spread < max(POINT * length, ORIGIN):
            figure = f"{len(points)} examples lie within {spread:.2g} of one point"
            yield _Finding("embeddings collapse", name, figure)


def _discriminators(figures: dict[str, float]) -> Iterator[_Finding]:
    """Discriminators whose loss is nearly 0."""
    for name, value in figures.items():
        group, _, term = name.rpartition("/")
        adversarial = any(word in group.lower() for word in _DISCRIMINATORS)
        # Below 0 it is no loss of the kind that ends at 0 (a Wasserstein distance, say).
        if adversarial and term == "loss" and 0 <= value < WON:
            figure = f"a loss of {value:.2g} leaves the generator little to learn from"
            yield _Finding("discriminator has won", group, figure)


def _pairs(previews: Sequence[Preview]) -> dict[str, tuple[Tensor, Tensor]]:
    """Sources and outputs [N, F, L] of all previews by name, cut to the shortest; two or more."""
    found: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for preview in previews:
        for name, source in preview.images.items():
            where, slash, last = name.rpartition("/")
            for word in _OUTPUTS if last == "source" else ():
                output = preview.images.get(f"{where}{slash}{word}")
                if output is not None and output.shape == source.shape:
                    found.setdefault(where, []).append((source.float(), output.float()))
    cut: dict[str, tuple[Tensor, Tensor]] = {}
    for where, pairs in found.items():
        frames = min(source.shape[-1] for source, _ in pairs)
        sources, outputs = ([pair[i][..., :frames] for pair in pairs] for i in (0, 1))
        if len(pairs) > 1 and len({source.shape for source in sources}) == 1:
            cut[where] = torch.stack(sources), torch.stack(outputs)
    return cut


def _mean_distance(images: Tensor) -> float:
    """Mean absolute difference over all pairs of images [N, F, L]."""
    differences = [(a - b).abs().mean() for a, b in combinations(images, 2)]
    return float(torch.stack(differences).mean())
