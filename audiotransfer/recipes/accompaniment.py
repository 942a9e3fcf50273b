"""An accompanist, from chorales: three voices below any melody."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from audiotransfer.evaluation.metrics.chorales import deviation, harmonise_chorales, mean_measures
from audiotransfer.recipes.base import Show, watch
from audiotransfer.recipes.export import chosen, sign, sizes, validated
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
from audiotransfer.training import Objective, Trainer, load_networks

if TYPE_CHECKING:
    from audiotransfer.recipes.base import Training

_FRAMES = "frames"
_PASSES = 48  # of Gibbs, in what is only looked at


@dataclass
class AccompanimentRecipe:
    """What an accompanist learns from, and which network it is.

    ``chorales`` is a file relative to ``data`` (see `read_chorales`); its validation split chooses
    the weights. ``method`` "voice-wise" trains the network of ``network`` on windows of ``steps``
    sixteenths, "roll-gan" a U-Net and a critic of ``width`` on two bars. ``look_at`` pieces of the
    validation split tell how far it is.
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
    game: WassersteinSettings = field(default_factory=WassersteinSettings)
    corpora: list[dict[str, Any]] = field(default_factory=list)


def train_accompaniment(
    recipe: AccompanimentRecipe, config: Training, folder: Path, show: Show | None
) -> dict[str, float]:
    """Leaves the accompanist with its card in ``folder/NAME``, and ``frames.gif`` of what it
    learned.
    """
    chorales = read_chorales(Path(recipe.data) / recipe.chorales)
    objective: MaskedVoiceObjective | Wasserstein
    if recipe.method == "voice-wise":
        objective = MaskedVoiceObjective(
            MaskedVoiceModel(**asdict(recipe.network)), recipe.learning
        )
    else:
        objective = Wasserstein(
            RollGenerator(recipe.width), WassersteinCritic(recipe.width), recipe.game
        )
    gan = recipe.method == "roll-gan"
    batches = ChoraleBatches(
        chorales["train"],
        batch=recipe.batch,
        steps=STEPS if gan else recipe.steps,
        seed=config.seed,
        inside=gan,
    )
    trainer = Trainer(
        objective,
        batches,
        replace(config.trainer, ema=("accompanist",) if config.trainer.ema_decay else ()),
        folder,
        _validation(
            recipe, chorales["valid"][: recipe.look_at], folder / _FRAMES, lambda: trainer.step
        ),
        config=replace(recipe, description="", corpora=[]),
    )
    started = time.monotonic()
    figures = trainer.run(should_stop=watch(trainer, show))
    hours = (time.monotonic() - started) / 3600
    if trainer.first:
        network = objective.network
        network.load_state_dict(load_networks(chosen(folder))["accompanist"])
        export_accompaniment(recipe, config, folder, network.eval(), trainer.step, hours)
        animate(folder / _FRAMES, folder / f"{_FRAMES}.gif")
    return figures


def _validation(
    recipe: AccompanimentRecipe, chorales: Sequence[Chorale], frames: Path, step: Callable[[], int]
) -> Callable[[Objective], dict[str, float]]:
    """Of a voice-wise model its loss on what it never saw, hidden in always the same way; of a
    GAN, which has none, how far the measures of what it makes are from the pieces' own.
    """
    aim = mean_measures(chorales)
    tune = torch.from_numpy(melody.twinkle_steps())[None]
    harmony = Harmony(passes=_PASSES)
    generator = torch.Generator().manual_seed(0)
    windows = ChoraleBatches(chorales, batch=16, steps=recipe.steps, seed=0)
    seen = [windows.batch(step)["voices"] for step in range(8)]
    hidden = [mask(voices, generator) for voices in seen]

    def validate(objective: Objective) -> dict[str, float]:
        device = next(objective.networks["accompanist"].parameters()).device
        if isinstance(objective, MaskedVoiceObjective):
            losses = [
                float(objective.loss(voices.to(device), out.to(device)))
                for voices, out in zip(seen, hidden, strict=True)
            ]
            loss = float(np.mean(losses))
            figures = {"cross_entropy": loss, "score": -loss}
        else:
            assert isinstance(objective, Wasserstein)
            made = harmonise_chorales(objective.network, chorales, harmony, seed=0)
            found = mean_measures(made)
            figures = {**found, "score": -deviation(found, aim)}
        network = objective.network
        random = torch.Generator().manual_seed(0)
        shown = harmonise(network, tune, phases_from_beat(tune[..., None]), harmony, random)
        save_frame(shown[0].numpy(), frames, step())
        return figures

    return validate


def export_accompaniment(
    recipe: AccompanimentRecipe,
    config: Training,
    folder: Path,
    network: Accompanist,
    steps: int,
    hours: float,
) -> Path:
    """Writes the accompanist and its card into ``folder/NAME``."""
    place = folder / recipe.name
    place.mkdir(parents=True, exist_ok=True)
    weights = f"{recipe.name}.safetensors"
    save_accompanist(place / weights, network)
    networks = {"accompanist": sizes(network)}
    figures = validated(chosen(folder))
    sign(recipe, config, place, {}, [weights], networks, steps, hours, figures, "symbolic")
    return place
