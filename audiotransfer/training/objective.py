"""The protocols of a training: an objective that yields turns, and batches by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Generator, Tensor, nn


@dataclass(frozen=True)
class Group:
    """Networks that one optimiser steps together (Adam; AdamW where `weight_decay` is not 0).

    ``rates`` are factors of the learning rate for parameters by the last part of their names. Such
    parameters are trained as if they were divided by the factor: their gradients count times as
    much in the norm that is logged and clipped, and Adam's epsilon is as much smaller.
    """

    networks: tuple[str, ...]
    learning_rate: float = 3e-4
    betas: tuple[float, float] = (0.5, 0.99)
    weight_decay: float = 0.0
    rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Turn:
    """One optimiser step: a group, and the named scalar terms of its loss.

    The loss is the sum of the terms, each times its weight; a term that is not named in `weights`
    has weight 1, and a term of weight 0 is only logged.
    """

    group: str
    terms: dict[str, Tensor]
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Preview:
    """Images [F, L], spectrograms or piano rolls, and audio ([C, T], rate in Hz), for the log.

    The diagnosis compares images of one size that are named "source" and "output" or "converted"
    (or "NAME/source" and so on), and checks that `embeddings` of different examples, [B, D], stay
    apart.
    """

    images: dict[str, Tensor] = field(default_factory=dict)
    audio: dict[str, tuple[Tensor, int]] = field(default_factory=dict)
    embeddings: dict[str, Tensor] = field(default_factory=dict)


class GroupLike(Protocol):
    """A `Group`, or another package's equivalent: `separation` imports nothing of ours."""

    @property
    def networks(self) -> tuple[str, ...]: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def betas(self) -> tuple[float, float]: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def rates(self) -> Mapping[str, float]: ...


class TurnLike(Protocol):
    """A `Turn`, or another package's equivalent."""

    @property
    def group(self) -> str: ...
    @property
    def terms(self) -> dict[str, Tensor]: ...
    @property
    def weights(self) -> dict[str, float]: ...


class PreviewLike(Protocol):
    """A `Preview`, or another package's equivalent."""

    @property
    def images(self) -> dict[str, Tensor]: ...
    @property
    def audio(self) -> dict[str, tuple[Tensor, int]]: ...
    @property
    def embeddings(self) -> dict[str, Tensor]: ...


class Objective(Protocol):
    """Networks and their losses; independent of optimisers, devices and files."""

    @property
    def networks(self) -> Mapping[str, nn.Module]: ...

    @property
    def groups(self) -> Mapping[str, GroupLike]: ...

    def turns(
        self, batch: dict[str, Tensor], step: int, generator: Generator
    ) -> Iterator[TurnLike]:
        """Yields the turns of one step, lazily: each is stepped before the next is computed.

        Args:
            batch: tensors on the networks' device.
            step: counts from 0.
            generator: on the CPU; the only source of random numbers.
        """
        ...

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> PreviewLike:
        """Returns examples of the present networks' output on a batch; called without gradients."""
        ...


class Batches(Protocol):
    """Training data as a pure function of the step, so that a resumed run is exact."""

    def batch(self, step: int) -> dict[str, Tensor]:
        """Returns the tensors of a step, on the CPU; called in worker processes."""
        ...


@dataclass(frozen=True)
class Share:
    """An objective with its data, trained at every ``every``-th step."""

    name: str
    objective: Objective
    batches: Batches
    every: int = 1


class Mixed:
    """Several objectives and their batches as one objective with its batches.

    Networks and groups are named ``SHARE_NAME``. A network that two objectives have in common is
    trained by both and listed once, under the name of the first. Every group keeps its own
    optimiser, so that the moments of one loss do not affect another's.
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
                    group.rates,
                )

    def network(self, share: str, name: str) -> str:
        """The name in this mixture of an objective's network."""
        for one in self.shares:
            if one.name == share:
                own = one.objective.networks[name]
                return next(n for n, network in self.networks.items() if network is own)
        raise KeyError(share)

    def batch(self, step: int) -> dict[str, Tensor]:
        """The tensors of the objectives due at a step, as ``SHARE/KEY``."""
        found: dict[str, Tensor] = {}
        for share in self.shares:
            if step % share.every == 0:
                own = share.batches.batch(step // share.every)
                found |= {f"{share.name}/{key}": value for key, value in own.items()}
        return found

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """Yields the turns of the objectives due at a step, one objective after the other."""
        for share in self.shares:
            if step % share.every == 0:
                own = _of(share.name, batch)
                for turn in share.objective.turns(own, step // share.every, generator):
                    yield Turn(f"{share.name}_{turn.group}", turn.terms, turn.weights)

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """The previews of all objectives, as ``SHARE/NAME``."""
        images: dict[str, Tensor] = {}
        audio: dict[str, tuple[Tensor, int]] = {}
        embeddings: dict[str, Tensor] = {}
        for share in self.shares:
            if own := _of(share.name, batch):
                preview = share.objective.preview(own, generator)
                images |= {f"{share.name}/{k}": v for k, v in preview.images.items()}
                audio |= {f"{share.name}/{k}": v for k, v in preview.audio.items()}
                embeddings |= {f"{share.name}/{k}": v for k, v in preview.embeddings.items()}
        return Preview(images, audio, embeddings)


def _of(name: str, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One share's entries of a batch, under their own names."""
    prefix = f"{name}/"
    return {k.removeprefix(prefix): v for k, v in batch.items() if k.startswith(prefix)}
