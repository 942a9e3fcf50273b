"""Self-diagnosis: the ways in which a training of this kind goes wrong, and what helps.

Nothing here knows an objective. It looks at logged figures and at previews of a few fixed batches,
in which spectrograms "source" and "output" belong together (see `Preview`), and takes groups whose
name has "critic" or "discriminator" in it for critics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from audiotransfer.training.objective import Preview
from audiotransfer.training.state import Progress

CHECKS = 3  # in a row, before a finding that may pass is told
COPY = 0.02  # change by the output, as a share of how far two sources are apart
SAME = 0.05  # how far two outputs are apart, as a share of how far two sources are
MUTE = 0.1  # the output's mean level above the sources' lowest, as a share of theirs
POINT = 0.02  # how far embeddings are apart, as a share of their length
ORIGIN = 1e-3  # or as such
WON = 0.03  # a critic's loss; undecided ones stand at 0.25 (least squares) to 1 (hinge)
FAILED = 0.01  # share of the steps since the last check
_OUTPUTS = ("output", "converted")
_CRITICS = ("critic", "discriminator")

_REMEDIES = {
    "not finite": "lower the learning rate, set clip_norm (1 to 5), or take precision=32-true",
    "muted": "lower the adversarial weight or give the paired, cycle or identity term more, and "
    "listen to the sources: they must not be silent themselves",
    "one output for all": "give the term that ties the output to its source (cycle, travel, "
    "contrast, paired) more weight, or lower the critics' learning rate",
    "copies its input": "raise the adversarial weight, lower identity and cycle, or let the "
    "critics start earlier; check that source and target are not the same songs",
    "embeddings collapse": "raise the margin's weight or lower that network's learning rate",
    "critic has won": "lower the critics' learning rate, let the generator step more often, or "
    "let the critics start later; more target songs help too",
}


@dataclass(frozen=True)
class _Sign:
    illness: str
    where: str
    seen: str

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        return f"{self.illness}{place}: {self.seen}; {_REMEDIES[self.illness]}"


class Diagnosis:
    """Looks a training over every so often, and says each thing that is wrong once.

    `present` holds what is wrong now, in a word or two each, for a line of progress.
    """

    def __init__(self) -> None:
        self.present: tuple[str, ...] = ()
        self._streaks: dict[tuple[str, str], int] = {}
        self._told: set[tuple[str, str]] = set()
        self._step = 0
        self._failed = 0

    def check(self, progress: Progress, previews: Sequence[Preview]) -> list[str]:
        """Return what is newly wrong, with a remedy in plain words.

        Args:
            previews: of batches that are the same at every check.
        """
        steps, failed = progress.step - self._step, progress.failed - self._failed
        self._step, self._failed = progress.step, progress.failed
        signs = [*_broken(steps, failed, previews)]
        if not signs:  # of what is not finite nothing else can be said
            signs = [*_transfers(previews), *_embeddings(previews), *_critics(progress.figures)]
        keys = [(sign.illness, sign.where) for sign in signs]
        self._streaks = {key: self._streaks.get(key, 0) + 1 for key in keys}
        lasting = [
            (key, sign)
            for key, sign in zip(keys, signs, strict=True)
            if self._streaks[key] >= CHECKS or sign.illness == "not finite"
        ]
        self.present = tuple(dict.fromkeys(sign.illness for _, sign in lasting))
        new = [str(sign) for key, sign in lasting if key not in self._told]
        self._told |= {key for key, _ in lasting}
        return new


def _broken(steps: int, failed: int, previews: Sequence[Preview]) -> Iterator[_Sign]:
    if failed > max(1.0, FAILED * steps):
        yield _Sign("not finite", "", f"{failed} of the last {steps} steps were skipped")
    for name in dict.fromkeys(name for preview in previews for name in preview.spectrograms):
        shown = [preview.spectrograms[name] for preview in previews if name in preview.spectrograms]
        if not all(bool(torch.isfinite(spectrogram).all()) for spectrogram in shown):
            yield _Sign("not finite", name, "the networks put out what is no number")


def _transfers(previews: Sequence[Preview]) -> Iterator[_Sign]:
    for where, (sources, outputs) in _pairs(previews).items():
        apart, outputs_apart = _spread(sources), _spread(outputs)
        floor = sources.min()
        level = float((sources - floor).mean())
        if level > 0:
            share = float((outputs - floor).clamp_min(0).mean()) / level
            if share < MUTE:
                yield _Sign("muted", where, f"{share:.1%} of the source's level comes out")
                continue
        if apart == 0:
            continue
        if outputs_apart < SAME * apart:
            seen = f"outputs differ by {outputs_apart / apart:.1%} of what their sources do"
            yield _Sign("one output for all", where, seen)
            continue
        changed = float((outputs - sources).abs().mean())
        if changed < COPY * apart:
            seen = f"it changes {changed / apart:.1%} of what sets two sources apart"
            yield _Sign("copies its input", where, seen)


def _embeddings(previews: Sequence[Preview]) -> Iterator[_Sign]:
    for name in dict.fromkeys(name for preview in previews for name in preview.embeddings):
        points = torch.cat([p.embeddings[name] for p in previews if name in p.embeddings]).float()
        spread = float((points - points.mean(0)).square().sum(1).mean().sqrt())
        length = float(points.square().sum(1).mean().sqrt())
        if len(points) > 1 and spread < max(POINT * length, ORIGIN):
            seen = f"{len(points)} examples lie within {spread:.2g} of one point"
            yield _Sign("embeddings collapse", name, seen)


def _critics(figures: dict[str, float]) -> Iterator[_Sign]:
    for name, value in figures.items():
        group, _, term = name.rpartition("/")
        critic = any(word in group.lower() for word in _CRITICS)
        # Below 0 it is no loss of the kind that ends at 0 (a Wasserstein distance, say).
        if critic and term == "loss" and 0 <= value < WON:
            seen = f"a loss of {value:.2g} leaves the generator little to learn from"
            yield _Sign("critic has won", group, seen)


def _pairs(previews: Sequence[Preview]) -> dict[str, tuple[Tensor, Tensor]]:
    """By name, sources and outputs [N, F, L] of all previews, cut to the shortest; two or more."""
    found: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for preview in previews:
        for name, source in preview.spectrograms.items():
            where, slash, last = name.rpartition("/")
            for word in _OUTPUTS if last == "source" else ():
                output = preview.spectrograms.get(f"{where}{slash}{word}")
                if output is not None and output.shape == source.shape:
                    found.setdefault(where, []).append((source.float(), output.float()))
    cut: dict[str, tuple[Tensor, Tensor]] = {}
    for where, pairs in found.items():
        frames = min(source.shape[-1] for source, _ in pairs)
        sources, outputs = ([pair[i][..., :frames] for pair in pairs] for i in (0, 1))
        if len(pairs) > 1 and len({spectrogram.shape for spectrogram in sources}) == 1:
            cut[where] = torch.stack(sources), torch.stack(outputs)
    return cut


def _spread(spectrograms: Tensor) -> float:
    """Mean absolute difference over all pairs of spectrograms [N, F, L]."""
    differences = [(a - b).abs().mean() for a, b in combinations(spectrograms, 2)]
    return float(torch.stack(differences).mean())
