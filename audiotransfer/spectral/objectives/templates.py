"""The objective of template models: rendered pairs of several stems in several styles at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiotransfer.spectral.models.drum_templates import DrumTemplateModel
from audiotransfer.spectral.models.note_templates import NoteTemplateModel
from audiotransfer.spectral.models.templates import TemplateModel
from audiotransfer.spectral.objectives.losses import power_sum
from audiotransfer.training import Group, Preview, Turn
from audiotransfer.training.distances import audible_difference, frame_distance

#: The template model of each stem.
TEMPLATE_MODELS: dict[str, type[TemplateModel]] = {
    "drums": DrumTemplateModel,
    "bass": NoteTemplateModel,
    "other": NoteTemplateModel,
}
#: Weights of the positive class of note logits: most keys are silent most of the time.
_POSITIVE_WEIGHTS = (4.0, 4.0, 8.0, 8.0)
#: Adam moves every weight about as far a step, whatever its gradient. Templates (nats) have units
#: to go where a layer's weights go hundredths: their learning rate is so many times the others'.
_TEMPLATE_RATE = 16.0
#: All stems at once, among the terms and distances of each.
TOGETHER = "together"


class TemplateObjective:
    """Distance of predicted spectrograms to the true ones, and of note logits to the score.

    Batches hold for each stem ``STEM/source`` ``[B, V, L]``, ``STEM/target`` ``[B, S, F, L]`` and,
    for models that learn keys, ``STEM/keys`` ``[B, 4, 88, L / 2]``. Terms of every stem:
    ``audible``, mean absolute audible difference in log level (nats), over all styles; ``frame``,
    its root mean square in each frame, which is the distance that figures report; ``deep``, the
    mean absolute difference down to the floor; ``keys``, cross-entropy of the note logits with the
    score. Of all stems: ``together``, ``frame`` of their sum, in which louder stems mask others.

    Args:
        models: by stem, all of the same styles.
        weights: of the terms, by their names without stems.
        shares: weights of the styles, in the models' order.
        learning_rate: of all weights but the templates, whose rate is 16 times as large.
    """

    def __init__(
        self,
        models: Mapping[str, nn.Module],
        weights: Mapping[str, float],
        shares: Sequence[float],
        learning_rate: float = 1e-3,
    ) -> None:
        self.models = dict(models)
        self.weights = {
            f"{stem}/{name}": weight
            for name, weight in weights.items()
            for stem in models
            if name != TOGETHER
        } | {name: weight for name, weight in weights.items() if name == TOGETHER}
        self.shares = torch.tensor(shares) / sum(shares)
        self.positive_weights = torch.tensor(_POSITIVE_WEIGHTS)[:, None, None]
        self.networks: dict[str, nn.Module] = self.models
        self.groups = {
            "generator": Group(
                tuple(models), learning_rate, (0.9, 0.98), rates={"templates": _TEMPLATE_RATE}
            )
        }

    def turns(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator
    ) -> Iterator[Turn]:
        """Yields the one turn, of all models."""
        terms: dict[str, Tensor] = {}
        predicted = {}
        for stem, model in self.models.items():
            made, note_logits = model(batch[f"{stem}/source"])
            target = batch[f"{stem}/target"]
            shares = self.shares.to(made.device)
            terms |= {
                f"{stem}/audible": audible_difference(made, target).abs().mean((0, 2, 3)) @ shares,
                f"{stem}/frame": _mean_frame_distance(made, target) @ shares,
                f"{stem}/deep": (made - target).abs().mean((0, 2, 3)) @ shares,
            }
            if f"{stem}/keys" in batch:
                terms[f"{stem}/keys"] = functional.binary_cross_entropy_with_logits(
                    note_logits.float(),
                    batch[f"{stem}/keys"],
                    pos_weight=self.positive_weights.to(note_logits.device),
                )
            predicted[stem] = made
        if len(predicted) > 1:
            target = power_sum([batch[f"{stem}/target"] for stem in predicted])
            terms[TOGETHER] = (
                _mean_frame_distance(power_sum(list(predicted.values())), target) @ shares
            )
        yield Turn("generator", terms, self.weights)

    def preview(self, batch: dict[str, Tensor], generator: torch.Generator) -> Preview:
        """Source, output and truth of the first crop, of every stem in every style."""
        images = {}
        for stem, model in self.models.items():
            made, _ = model(batch[f"{stem}/source"])
            images[f"{stem}/source"] = batch[f"{stem}/source"][0, : made.shape[2]]
            for index in range(made.shape[1]):
                images[f"{stem}/{index}/output"] = made[0, index]
                images[f"{stem}/{index}/truth"] = batch[f"{stem}/target"][0, index]
        return Preview(images)

    def distances(self, batch: dict[str, Tensor], styles: Sequence[str]) -> dict[str, float]:
        """Mean frame distance (nats) of output and of source to the truth.

        ``STEM/STYLE`` and ``STEM/STYLE/nothing``; of more than one stem also of all ``together``.
        """
        compared = {}
        for stem, model in self.models.items():
            made, _ = model(batch[f"{stem}/source"])
            source = batch[f"{stem}/source"][:, None, : made.shape[2]].expand_as(made)
            compared[stem] = made, source, batch[f"{stem}/target"]
        if len(compared) > 1:
            made, source, target = (
                power_sum(list(stems)) for stems in zip(*compared.values(), strict=True)
            )
            compared[TOGETHER] = made, source, target
        figures = {}
        for stem, (made, source, target) in compared.items():
            for style, distance, of_source in zip(
                styles,
                _mean_frame_distance(made, target),
                _mean_frame_distance(source, target),
                strict=True,
            ):
                figures[f"{stem}/{style}"] = float(distance)
                figures[f"{stem}/{style}/nothing"] = float(of_source)
        return figures


def _mean_frame_distance(made: Tensor, target: Tensor) -> Tensor:
    """Root mean square over bands, mean over frames: ``[B, S, F, L]`` to ``[S]``."""
    return frame_distance(made, target).mean((0, 2))
