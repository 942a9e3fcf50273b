"""Several objectives in one training, each at its own pace, sharing what networks they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Generator, Tensor, nn

from audiotransfer.training.turns import Batches, Group, Objective, Preview, Turn


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
        pictures: dict[str, Tensor] = {}
        audio: dict[str, tuple[Tensor, int]] = {}
        embeddings: dict[str, Tensor] = {}
        for share in self.shares:
            if own := _of(share.name, batch):
                shown = share.objective.preview(own, generator)
                pictures |= {f"{share.name}/{k}": v for k, v in shown.pictures.items()}
                audio |= {f"{share.name}/{k}": v for k, v in shown.audio.items()}
                embeddings |= {f"{share.name}/{k}": v for k, v in shown.embeddings.items()}
        return Preview(pictures, audio, embeddings)


def _of(name: str, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = f"{name}/"
    return {k.removeprefix(prefix): v for k, v in batch.items() if k.startswith(prefix)}
