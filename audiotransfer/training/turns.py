"""What a training is made of: an objective that yields turns, and batches that answer by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Generator, Tensor, nn


@dataclass(frozen=True)
class Group:
    """Networks that one optimiser steps together (Adam; AdamW where `weight_decay` is not 0)."""

    networks: tuple[str, ...]
    learning_rate: float = 3e-4
    betas: tuple[float, float] = (0.5, 0.99)
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Turn:
    """One optimiser step: which group moves, and the named scalar terms that it descends.

    The loss is the sum of the terms, each times its weight; a term that is not named in `weights`
    has weight 1, and a term of weight 0 is only logged.
    """

    group: str
    terms: dict[str, Tensor]
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Preview:
    """What one sees and hears of a training: pictures [F, L] and audio ([C, T], rate in Hz).

    The diagnosis compares pictures of one size that are named "source" and "output" or "converted"
    (or "NAME/source" and so on), and watches whether `embeddings`, points [B, D] that a network
    gives to different examples, stay apart.
    """

    pictures: dict[str, Tensor] = field(default_factory=dict)
    audio: dict[str, tuple[Tensor, int]] = field(default_factory=dict)
    embeddings: dict[str, Tensor] = field(default_factory=dict)


class GroupLike(Protocol):
    """A `Group`, or what another package has in its place: `separation` imports nothing of ours."""

    @property
    def networks(self) -> tuple[str, ...]: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def betas(self) -> tuple[float, float]: ...
    @property
    def weight_decay(self) -> float: ...


class TurnLike(Protocol):
    """A `Turn`, or what another package has in its place."""

    @property
    def group(self) -> str: ...
    @property
    def terms(self) -> dict[str, Tensor]: ...
    @property
    def weights(self) -> dict[str, float]: ...


class PreviewLike(Protocol):
    """A `Preview`, or what another package has in its place."""

    @property
    def pictures(self) -> dict[str, Tensor]: ...
    @property
    def audio(self) -> dict[str, tuple[Tensor, int]]: ...
    @property
    def embeddings(self) -> dict[str, Tensor]: ...


class Objective(Protocol):
    """Owns networks and says how they learn; knows nothing of optimisers, devices or files."""

    @property
    def networks(self) -> Mapping[str, nn.Module]: ...

    @property
    def groups(self) -> Mapping[str, GroupLike]: ...

    def turns(
        self, batch: dict[str, Tensor], step: int, generator: Generator
    ) -> Iterator[TurnLike]:
        """Yield the turns of one step, lazily: each is stepped before the next is asked for.

        Args:
            batch: tensors on the networks' device.
            step: counts from 0.
            generator: on the CPU; the only source of random numbers.
        """
        ...

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> PreviewLike:
        """Show the present networks at work on a batch; called without gradients."""
        ...


class Batches(Protocol):
    """Training data as a pure function of the step, which makes every resume exact."""

    def batch(self, step: int) -> dict[str, Tensor]:
        """Return the tensors of a step, on the CPU; called in worker processes."""
        ...
