"""What a training is made of: an objective that yields turns, and batches that answer by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    """What one sees and hears of a training: spectrograms [F, L] and audio ([C, T], rate in Hz).

    The diagnosis compares spectrograms of one size that are named "source" and "output" or
    "converted" (or "NAME/source" and so on), and watches whether `embeddings`, points [B, D] that a
    network gives to different examples, stay apart.
    """

    spectrograms: dict[str, Tensor] = field(default_factory=dict)
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
    def spectrograms(self) -> dict[str, Tensor]: ...
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


@dataclass(frozen=True)
class Share:
    """An objective with its data, taken at every ``every``-th step."""

    name: str
    objective: Objective
    batches: Batches
    every: int = 1


class Mixed:
    """Objectives that take turns; also the batches for all of them.

    A network that two of them own is trained by both and kept once, under the name that the
    first gives it; all other names get the objective's own name in front. Every group keeps its
    own optimiser, so that the moments of one loss never steer another.
    """

    def __init__(self, shares: Sequence[Share]) -> None:
        self.shares = tuple(shares)
        self.networks: dict[str, nn.Module] = {}
        self.groups: dict[str, Group] = {}
        names: dict[int, str] = {}
        for share in self.shares:
            own: dict[str, str] = {}
            for name, network in share.objective.networks.items():
                own[name] = names.setdefault(id(network), f"{share.name}_{name}")
                self.networks[own[name]] = network
            for name, group in share.objective.groups.items():
                self.groups[f"{share.name}_{name}"] = Group(
                    tuple(own[n] for n in group.networks),
                    group.learning_rate,
                    group.betas,
                    group.weight_decay,
                )

    def network(self, share: str, name: str) -> str:
        """Under which name an objective's network is kept."""
        for one in self.shares:
            if one.name == share:
                wanted = one.objective.networks[name]
                return next(n for n, network in self.networks.items() if network is wanted)
        raise KeyError(share)

    def batch(self, step: int) -> dict[str, Tensor]:
        """The tensors of those whose turn it is, as ``NAME/KEY``."""
        found: dict[str, Tensor] = {}
        for share in self.shares:
            if step % share.every == 0:
                own = share.batches.batch(step // share.every)
                found |= {f"{share.name}/{key}": value for key, value in own.items()}
        return found

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """The turns of those whose turn it is, one objective after the other."""
        for share in self.shares:
            if step % share.every == 0:
                own = _of(share.name, batch)
                for turn in share.objective.turns(own, step // share.every, generator):
                    yield Turn(f"{share.name}_{turn.group}", turn.terms, turn.weights)

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """Everything that they show."""
        spectrograms: dict[str, Tensor] = {}
        audio: dict[str, tuple[Tensor, int]] = {}
        embeddings: dict[str, Tensor] = {}
        for share in self.shares:
            if own := _of(share.name, batch):
                shown = share.objective.preview(own, generator)
                spectrograms |= {f"{share.name}/{k}": v for k, v in shown.spectrograms.items()}
                audio |= {f"{share.name}/{k}": v for k, v in shown.audio.items()}
                embeddings |= {f"{share.name}/{k}": v for k, v in shown.embeddings.items()}
        return Preview(spectrograms, audio, embeddings)


def _of(name: str, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = f"{name}/"
    return {k.removeprefix(prefix): v for k, v in batch.items() if k.startswith(prefix)}
