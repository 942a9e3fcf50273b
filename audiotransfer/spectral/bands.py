"""What note generators learn from: rendered pairs in the bands of several styles at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiotransfer.spectral.features import INAUDIBLE
from audiotransfer.spectral.hits import HitGenerator
from audiotransfer.spectral.notes import NoteGenerator
from audiotransfer.spectral.players import Player
from audiotransfer.training import Group, Preview, Turn

#: Who plays a stem, for every style: drums are hit, all others play notes.
PLAYERS: dict[str, type[Player]] = {
    "drums": HitGenerator,
    "bass": NoteGenerator,
    "other": NoteGenerator,
}
#: Most keys are silent most of the time: how much more a key counts that sounds, or begins.
_RARITY = (4.0, 4.0, 8.0, 8.0)


class BandObjective:
    """Distance of the played pictures to the true ones, and of the heard keys to the score.

    Batches hold ``source`` ``[B, V, L]``, ``target`` ``[B, S, F, L]`` and ``keys``
    ``[B, 4, 88, L / 2]``. Terms: ``audible``, mean absolute difference in log level (nats) above
    the level at which a mix hides everything, over all styles; ``frame``, the root of its mean
    square in each frame, as listeners' distances are taken; ``deep``, the same as ``audible`` down
    to the floor; ``keys``, cross-entropy of what is heard with the score. ``shares`` weights the
    styles in the order of the network's.
    """

    def __init__(
        self,
        generator: nn.Module,
        weights: Mapping[str, float],
        shares: Sequence[float],
        learning_rate: float = 1e-3,
    ) -> None:
        self.generator = generator
        self.weights = dict(weights)
        self.shares = torch.tensor(shares) / sum(shares)
        self.rarity = torch.tensor(_RARITY)[:, None, None]
        self.networks: dict[str, nn.Module] = {"generator": generator}
        self.groups = {"generator": Group(("generator",), learning_rate, (0.9, 0.98))}

    def turns(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator
    ) -> Iterator[Turn]:
        """The one turn."""
        made, heard = self.generator(batch["source"])
        target = batch["target"]
        shares = self.shares.to(made.device)
        audible = made.clamp_min(INAUDIBLE) - target.clamp_min(INAUDIBLE)
        terms = {
            "audible": audible.abs().mean((0, 2, 3)) @ shares,
            "frame": (audible.square().mean(2) + 1e-4).sqrt().mean((0, 2)) @ shares,
            "deep": (made - target).abs().mean((0, 2, 3)) @ shares,
        }
        if "keys" in batch:
            terms["keys"] = functional.binary_cross_entropy_with_logits(
                heard.float(), batch["keys"], pos_weight=self.rarity.to(heard.device)
            )
        yield Turn("generator", terms, self.weights)

    def preview(self, batch: dict[str, Tensor], generator: torch.Generator) -> Preview:
        """Source, output and truth of the first crop in every style."""
        made, _ = self.generator(batch["source"])
        bins = made.shape[2]
        pictures = {"source": batch["source"][0, :bins]}
        for index in range(made.shape[1]):
            pictures[f"{index}/output"] = made[0, index]
            pictures[f"{index}/truth"] = batch["target"][0, index]
        return Preview(pictures)

    def distances(self, batch: dict[str, Tensor], styles: Sequence[str]) -> dict[str, float]:
        """Distance to the truth per style as listeners' are taken (nats), and doing nothing's."""
        made, _ = self.generator(batch["source"])
        target = batch["target"]
        source = batch["source"][:, None, : made.shape[2]].expand_as(made)
        figures = {}
        for index, style in enumerate(styles):
            for name, shown in ((style, made), (f"{style}/nothing", source)):
                gap = shown[:, index].clamp_min(INAUDIBLE) - target[:, index].clamp_min(INAUDIBLE)
                figures[name] = float(gap.square().mean(1).sqrt().mean())
        return figures
