"""What note generators learn from: rendered pairs in the bands of several styles at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiotransfer.spectral.models.drum_templates import DrumTemplateModel
from audiotransfer.spectral.models.note_templates import NoteTemplateModel
from audiotransfer.spectral.models.templates import TemplateModel
from audiotransfer.spectral.objectives.losses import audible, per_frame
from audiotransfer.training import Group, Preview, Turn

#: Who plays a stem, for every style: drums are hit, all others play notes.
PLAYERS: dict[str, type[TemplateModel]] = {
    "drums": DrumTemplateModel,
    "bass": NoteTemplateModel,
    "other": NoteTemplateModel,
}
#: Most keys are silent most of the time: how much more a key counts that sounds, or begins.
_RARITY = (4.0, 4.0, 8.0, 8.0)
#: All stems at once, among the terms and distances of each.
TOGETHER = "together"


class TemplateObjective:
    """Distance of the played spectrograms to the true ones, and of the heard keys to the score.

    ``players`` play a stem each, all in the same styles. Batches hold for each stem
    ``STEM/source`` ``[B, V, L]``, ``STEM/target`` ``[B, S, F, L]`` and, for who is told them,
    ``STEM/keys`` ``[B, 4, 88, L / 2]``. Terms of every stem: ``audible``, mean absolute difference
    in log level (nats) above the level at which a mix hides everything, over all styles;
    ``frame``, the root of its mean square in each frame, as listeners' distances are taken;
    ``deep``, the same as ``audible`` down to the floor; ``keys``, cross-entropy of what is heard
    with the score. Of all stems: ``together``, ``frame`` of their sum, in which the louder stem
    hides the other. ``shares`` weights the styles in the order of the networks'.
    """

    def __init__(
        self,
        players: Mapping[str, nn.Module],
        weights: Mapping[str, float],
        shares: Sequence[float],
        learning_rate: float = 1e-3,
    ) -> None:
        self.players = dict(players)
        self.weights = {
            f"{stem}/{name}": weight
            for name, weight in weights.items()
            for stem in players
            if name != TOGETHER
        } | {name: weight for name, weight in weights.items() if name == TOGETHER}
        self.shares = torch.tensor(shares) / sum(shares)
        self.rarity = torch.tensor(_RARITY)[:, None, None]
        self.networks: dict[str, nn.Module] = self.players
        self.groups = {"generator": Group(tuple(players), learning_rate, (0.9, 0.98))}

    def turns(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator
    ) -> Iterator[Turn]:
        """The one turn."""
        terms: dict[str, Tensor] = {}
        played = {}
        for stem, player in self.players.items():
            made, heard = player(batch[f"{stem}/source"])
            target = batch[f"{stem}/target"]
            shares = self.shares.to(made.device)
            terms |= {
                f"{stem}/audible": audible(made, target).abs().mean((0, 2, 3)) @ shares,
                f"{stem}/frame": _frames(made, target) @ shares,
                f"{stem}/deep": (made - target).abs().mean((0, 2, 3)) @ shares,
            }
            if f"{stem}/keys" in batch:
                terms[f"{stem}/keys"] = functional.binary_cross_entropy_with_logits(
                    heard.float(),
                    batch[f"{stem}/keys"],
                    pos_weight=self.rarity.to(heard.device),
                )
            played[stem] = made
        if len(played) > 1:
            target = _summed([batch[f"{stem}/target"] for stem in played])
            terms[TOGETHER] = _frames(_summed(list(played.values())), target) @ shares
        yield Turn("generator", terms, self.weights)

    def preview(self, batch: dict[str, Tensor], generator: torch.Generator) -> Preview:
        """Source, output and truth of the first crop, of every stem in every style."""
        spectrograms = {}
        for stem, player in self.players.items():
            made, _ = player(batch[f"{stem}/source"])
            spectrograms[f"{stem}/source"] = batch[f"{stem}/source"][0, : made.shape[2]]
            for index in range(made.shape[1]):
                spectrograms[f"{stem}/{index}/output"] = made[0, index]
                spectrograms[f"{stem}/{index}/truth"] = batch[f"{stem}/target"][0, index]
        return Preview(spectrograms)

    def distances(self, batch: dict[str, Tensor], styles: Sequence[str]) -> dict[str, float]:
        """Distance to the truth as listeners' are taken (nats), and doing nothing's.

        ``STEM/STYLE`` and ``STEM/STYLE/nothing``; of more than one stem also of all ``together``.
        """
        shown = {}
        for stem, player in self.players.items():
            made, _ = player(batch[f"{stem}/source"])
            source = batch[f"{stem}/source"][:, None, : made.shape[2]].expand_as(made)
            shown[stem] = made, source, batch[f"{stem}/target"]
        if len(shown) > 1:
            made, source, target = (_summed(list(of)) for of in zip(*shown.values(), strict=True))
            shown[TOGETHER] = made, source, target
        figures = {}
        for stem, (made, source, target) in shown.items():
            for style, with_it, without in zip(
                styles, _frames(made, target), _frames(source, target), strict=True
            ):
                figures[f"{stem}/{style}"] = float(with_it)
                figures[f"{stem}/{style}/nothing"] = float(without)
        return figures


def _frames(made: Tensor, target: Tensor) -> Tensor:
    """Root mean square over bands, mean over frames: ``[B, S, F, L]`` to ``[S]``."""
    return per_frame(made, target).mean((0, 2))


def _summed(spectrograms: Sequence[Tensor]) -> Tensor:
    """The spectrogram of sounds that know nothing of each other: their powers add up."""
    return (
        torch.logsumexp(2 * torch.stack([spectrogram.float() for spectrogram in spectrograms]), 0)
        / 2
    )
