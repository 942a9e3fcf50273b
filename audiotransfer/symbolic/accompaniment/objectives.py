"""Objectives of accompaniment models: masked prediction, and a Wasserstein GAN on piano rolls.

Masked prediction is orderless NADE (Uria, Murray and Larochelle 2014) as in Coconet. The melody is
never masked, and masks are runs of one step to two bars, since a single masked sixteenth nearly
always has its neighbour's pitch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from torch import Generator, Tensor, nn
from torch.nn import functional

from audiotransfer.symbolic.accompaniment.animation import piano_roll
from audiotransfer.symbolic.accompaniment.chorales import OUTSIDE
from audiotransfer.symbolic.accompaniment.masked_voices import (
    MaskedVoiceModel,
    classes_of,
    mask,
    phases_from_beat,
)
from audiotransfer.symbolic.accompaniment.roll_gan import (
    RollGenerator,
    WassersteinCritic,
    roll,
    voices_of,
)
from audiotransfer.symbolic.accompaniment.sampling import GibbsSettings, gibbs
from audiotransfer.training import Group, Preview, Turn
from audiotransfer.training.adversarial import gradient_penalty


@dataclass(frozen=True)
class MaskedVoiceSettings:
    """Settings of AdamW."""

    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    betas: tuple[float, float] = (0.9, 0.98)


class MaskedVoiceObjective:
    """Cross-entropy of masked steps, mean over the steps of each example, then over examples.

    A batch is {"voices": int64 [B, T, 4]} that begins on a beat. Networks and groups:
    "accompanist".
    """

    def __init__(self, network: MaskedVoiceModel, settings: MaskedVoiceSettings) -> None:
        self.network = network
        self.settings = settings
        self.networks: dict[str, nn.Module] = {"accompanist": network}
        self.groups = {
            "accompanist": Group(
                ("accompanist",), settings.learning_rate, settings.betas, settings.weight_decay
            )
        }

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """One turn: `cross_entropy`, in nats per voice and step."""
        masked = mask(batch["voices"], generator)
        yield Turn("accompanist", {"cross_entropy": self.loss(batch["voices"], masked)})

    def loss(self, voices: Tensor, masked: Tensor) -> Tensor:
        """Cross-entropy of the masked steps; examples without any count as 0.

        Args:
            voices: [B, T, 4].
            masked: bool [B, T, 4], False for the melody.
        """
        logits = self.network(voices, ~masked, phases_from_beat(voices))
        targets = classes_of(voices)[..., 1:]
        entropy = functional.cross_entropy(
            logits.flatten(0, 2), targets.flatten(), reduction="none"
        ).view(targets.shape)
        counted = (masked & (voices != OUTSIDE))[..., 1:]
        each = (entropy * counted).sum((1, 2)) / counted.sum((1, 2)).clamp(min=1)
        return each.mean()

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """The melody of a window, and the lower voices that the present network adds."""
        voices = batch["voices"][:1]
        settings = GibbsSettings(passes=8)
        made = gibbs(self.network, voices, phases_from_beat(voices), settings, generator)
        return Preview({"source": piano_roll(voices[0, :, :1]), "output": piano_roll(made[0])})


@dataclass(frozen=True)
class WassersteinSettings:
    """Steps for each step of the generator, weight of the gradient penalty, optimisers."""

    generator_every: int = 5  # steps; the critic is trained at each
    penalty: float = 10.0
    generator_rate: float = 1e-3
    critic_rate: float = 1e-3
    betas: tuple[float, float] = (0.5, 0.9)


class Wasserstein:
    """A conditional Wasserstein GAN: the critic gets the melody and the four voices' rolls.

    A batch is {"voices": int64 [B, 32, 4]}. Its turns are "critic", at every step, and
    "generator", which learns all four voices; the lower three are used.
    """

    def __init__(
        self, network: RollGenerator, critic: WassersteinCritic, settings: WassersteinSettings
    ) -> None:
        self.network = network
        self.critic = critic
        self.settings = settings
        self.networks: dict[str, nn.Module] = {"accompanist": network, "critic": critic}
        self.groups = {
            "critic": Group(("critic",), settings.critic_rate, settings.betas),
            "generator": Group(("accompanist",), settings.generator_rate, settings.betas),
        }

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """Yields the critic's turn, and at every `generator_every`-th step the generator's."""
        real = roll(batch["voices"])
        melody = real[:, :1]
        made = self._make(melody, generator).detach()
        terms = wasserstein_terms(self.critic, real, made, melody, generator)
        yield Turn("critic", terms, {"penalty": self.settings.penalty})
        if (step + 1) % self.settings.generator_every == 0:
            made = self._make(melody, generator)
            yield Turn("generator", {"verdict": -self.critic(made, melody).mean()})

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """The melody of a window, and the lower voices that the present network adds."""
        voices = batch["voices"][:1]
        made = voices_of(self._make(roll(voices[..., :1]), generator))
        return Preview(
            {"source": piano_roll(voices[0, :, :1]), "output": piano_roll(made[0, :, 1:])}
        )

    def _make(self, melody: Tensor, generator: Generator) -> Tensor:
        noise = self.network.noise(len(melody), generator).to(melody.device)
        made: Tensor = self.network(melody, noise)
        return made


def wasserstein_terms(
    critic: nn.Module, real: Tensor, made: Tensor, melody: Tensor, generator: Generator
) -> dict[str, Tensor]:
    """The critic's terms: "distance", its mean on generated less real voices, and "penalty".

    Args:
        critic: (voices [B, 4, T, P], melody [B, 1, T, P]) -> scores [B].
        real, made: real and generated voices.
    """
    distance = critic(made, melody).mean() - critic(real, melody).mean()
    of_voices = partial(critic, melody=melody)
    return {"distance": distance, "penalty": gradient_penalty(of_voices, real, made, generator)}
