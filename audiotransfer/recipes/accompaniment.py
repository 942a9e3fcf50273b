"""The recipe of an accompaniment model, trained on chorales: three voices below any melody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from audiotransfer.evaluation.metrics.chorales import deviation, harmonise_chorales, mean_measures
from audiotransfer.recipes.base import Figures, Fit, Run, restore
from audiotransfer.recipes.export import sizes, style_folder, validated, write_style_card
from audiotransfer.symbolic.accompaniment import melody
from audiotransfer.symbolic.accompaniment.animation import animate, save_frame
from audiotransfer.symbolic.accompaniment.chorales import Chorale, ChoraleBatches, read_chorales
from audiotransfer.symbolic.accompaniment.harmonization import (
    Accompanist,
    Harmony,
    harmonise,
    save_accompanist,
)
from audiotransfer.symbolic.accompaniment.masked_voices import (
    MaskedVoiceModel,
    MaskedVoiceModelSettings,
    mask,
    phases_from_beat,
)
from audiotransfer.symbolic.accompaniment.objectives import (
    MaskedVoiceObjective,
    MaskedVoiceSettings,
    Wasserstein,
    WassersteinSettings,
)
from audiotransfer.symbolic.accompaniment.roll_gan import STEPS, RollGenerator, WassersteinCritic
from audiotransfer.training import Objective

_FRAMES = "frames"
_PASSES = 48  # of Gibbs sampling, for the animation


@dataclass
class AccompanimentRecipe:
    """The chorales that an accompaniment model is trained on, and its network.

    ``chorales`` is a file relative to ``data`` (see `read_chorales`). ``method`` "voice-wise"
    trains the network of ``network`` on windows of ``steps`` sixteenths, "roll-gan" a U-Net and a
    critic of ``width`` on two bars. ``look_at`` pieces of the validation split are validated on.
    """

    name: str = "bach"
    description: str = ""
    method: Literal["voice-wise", "roll-gan"] = "voice-wise"
    data: str = "data"
    chorales: str = "midi/jsb_chorales.zip"
    batch: int = 32
    steps: int = 128
    look_at: int = 24
    network: MaskedVoiceModelSettings = field(default_factory=MaskedVoiceModelSettings)
    learning: MaskedVoiceSettings = field(default_factory=MaskedVoiceSettings)
    width: int = 64
    wasserstein: WassersteinSettings = field(default_factory=WassersteinSettings)
    corpora: list[dict[str, Any]] = field(default_factory=list)

    def train(self, run: Run) -> dict[str, float]:
        """Trains the model, and writes it with its card into ``NAME`` in the run's folder.

        ``frames.gif`` beside it shows the accompaniment of one tune at every validation.
        """
        chorales = read_chorales(Path(self.data) / self.chorales)
        objective: MaskedVoiceObjective | Wasserstein
        if self.method == "voice-wise":
            objective = MaskedVoiceObjective(
                MaskedVoiceModel(**asdict(self.network)), self.learning
            )
        else:
            networks = RollGenerator(self.width), WassersteinCritic(self.width)
            objective = Wasserstein(*networks, self.wasserstein)
        gan = self.method == "roll-gan"
        batches = ChoraleBatches(
            chorales["train"],
            batch=self.batch,
            steps=STEPS if gan else self.steps,
            seed=run.seed,
            inside=gan,
        )
        frames = run.folder / _FRAMES
        fit = run.fit(
            objective,
            batches,
            replace(self, description="", corpora=[]),
            validation=_validation(self, chorales["valid"][: self.look_at]),
            on_validation=_frames_in(frames),
            averaged=("accompanist",),
        )
        if fit.exports:
            network = objective.network
            restore(fit.best_by_h, {"accompanist": network})
            export_accompaniment(self, run, fit, network.eval())
            animate(frames, run.folder / f"{_FRAMES}.gif")
        return fit.figures


def _validation(recipe: AccompanimentRecipe, chorales: Sequence[Chorale]) -> Figures:
    """The cross-entropy of a masked voice model, with the same masks every time.

    A GAN has none: its score is minus the deviation of its measures from those of the pieces.
    """
    target = mean_measures(chorales)
    harmony = Harmony(passes=_PASSES)
    generator = torch.Generator().manual_seed(0)
    windows = ChoraleBatches(chorales, batch=16, steps=recipe.steps, seed=0)
    pieces = [windows.batch(step)["voices"] for step in range(8)]
    masks = [mask(voices, generator) for voices in pieces]

    def validate(objective: Objective) -> dict[str, float]:
        device = next(objective.networks["accompanist"].parameters()).device
        if isinstance(objective, MaskedVoiceObjective):
            losses = [
                float(objective.loss(voices.to(device), masked.to(device)))
                for voices, masked in zip(pieces, masks, strict=True)
            ]
            loss = float(np.mean(losses))
            return {"cross_entropy": loss, "score": -loss}
        assert isinstance(objective, Wasserstein)
        made = harmonise_chorales(objective.network, chorales, harmony, seed=0)
        found = mean_measures(made)
        return {**found, "score": -deviation(found, target)}

    return validate


def _frames_in(folder: Path) -> Callable[[Objective, int], None]:
    """Saves one frame of the animation: the accompaniment of a tune by the present network."""
    tune = torch.from_numpy(melody.twinkle_steps())[None]
    harmony = Harmony(passes=_PASSES)

    def save(objective: Objective, step: int) -> None:
        assert isinstance(objective, MaskedVoiceObjective | Wasserstein)
        random = torch.Generator().manual_seed(0)
        phases = phases_from_beat(tune[..., None])
        voices = harmonise(objective.network, tune, phases, harmony, random)
        save_frame(voices[0].numpy(), folder, step)

    return save


def export_accompaniment(
    recipe: AccompanimentRecipe, run: Run, fit: Fit, network: Accompanist
) -> Path:
    """Writes the accompaniment model and its card into ``NAME`` in the run's folder."""
    place = style_folder(run.folder, recipe.name)
    weights = f"{recipe.name}.safetensors"
    save_accompanist(place / weights, network)
    write_style_card(
        recipe,
        run,
        fit,
        place,
        {},
        [weights],
        {"accompanist": sizes(network)},
        validated(fit.best_by_h),
        "symbolic",
    )
    return place
