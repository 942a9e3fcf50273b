"""The objective of the voice-wise model: any part of the lower voices from any other part.

Source: orderless NADE (Uria, Murray and Larochelle 2014) as in Coconet. The melody is always
known, and what is unknown comes in runs of one step to two bars as well, since a single unknown
sixteenth is nearly always its neighbour again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from torch import Generator, Tensor, nn
from torch.nn import functional

from audiotransfer.symbolic.accompaniment.animation import spectrogram
from audiotransfer.symbolic.accompaniment.chorales import OUTSIDE
from audiotransfer.symbolic.accompaniment.masked_voices import (
    VoiceWise,
    classes_of,
    mask,
    phases_from_beat,
)
from audiotransfer.symbolic.accompaniment.roll_gan import RollCritic, RollGenerator, roll, voices_of
from audiotransfer.symbolic.accompaniment.sampling import GibbsSettings, gibbs
from audiotransfer.training import Group, Preview, Turn
from audiotransfer.training.adversarial import gradient_penalty


@dataclass(frozen=True)
class MaskedVoiceSettings:
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    betas: tuple[float, float] = (0.9, 0.98)


class MaskedVoiceObjective:
    """Cross-entropy of what is hidden, mean over hidden steps, then over the examples.

    A batch is {"voices": int64 [B, T, 4]} that begins on a beat. Networks and groups:
    "accompanist".
    """

    def __init__(self, network: VoiceWise, settings: MaskedVoiceSettings) -> None:
        self.network = network
        self.settings = settings
        self.networks: dict[str, nn.Module] = {"accompanist": network}
        self.groups = {
            "accompanist": Group(
                ("accompanist",), settings.learning_rate, settings.betas, settings.weight_decay
            )
        }

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """One turn: `cross_entropy`, in nats a voice and step."""
        hidden = mask(batch["voices"], generator)
        yield Turn("accompanist", {"cross_entropy": self.loss(batch["voices"], hidden)})

    def loss(self, voices: Tensor, hidden: Tensor) -> Tensor:
        """Cross-entropy of the hidden steps; examples without any count as 0.

        Args:
            voices: [B, T, 4].
            hidden: bool [B, T, 4], False for the melody.
        """
        logits = self.network(voices, ~hidden, phases_from_beat(voices))
        targets = classes_of(voices)[..., 1:]
        surprise = functional.cross_entropy(
            logits.flatten(0, 2), targets.flatten(), reduction="none"
        ).view(targets.shape)
        counted = (hidden & (voices != OUTSIDE))[..., 1:]
        each = (surprise * counted).sum((1, 2)) / counted.sum((1, 2)).clamp(min=1)
        return each.mean()

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """Show a window's melody, and what stands below it then."""
        voices = batch["voices"][:1]
        settings = GibbsSettings(passes=8)
        made = gibbs(self.network, voices, phases_from_beat(voices), settings, generator)
        return Preview({"source": spectrogram(voices[0, :, :1]), "output": spectrogram(made[0])})


@dataclass(frozen=True)
class WassersteinSettings:
    """How often the generator moves, the weight of the critic's slope, and how fast both learn."""

    generator_every: int = 5  # steps; the critic moves at each
    penalty: float = 10.0
    generator_rate: float = 1e-3
    critic_rate: float = 1e-3
    betas: tuple[float, float] = (0.5, 0.9)


class Wasserstein:
    """Teaches a generator to set a melody as chorales do, by a critic that sees both.

    A batch is {"voices": int64 [B, 32, 4]}. Its turns are "critic", at every step, and
    "generator", which learns all four voices; what is used of them are the lower three.
    """

    def __init__(
        self, network: RollGenerator, critic: RollCritic, settings: WassersteinSettings
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
        """Yield the critic's turn, and at every `generator_every`-th step the generator's."""
        real = roll(batch["voices"])
        melody = real[:, :1]
        made = self._make(melody, generator).detach()
        terms = critic_terms(self.critic, real, made, melody, generator)
        yield Turn("critic", terms, {"penalty": self.settings.penalty})
        if (step + 1) % self.settings.generator_every == 0:
            made = self._make(melody, generator)
            yield Turn("generator", {"verdict": -self.critic(made, melody).mean()})

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """Show a window's melody, and what stands below it then."""
        voices = batch["voices"][:1]
        made = voices_of(self._make(roll(voices[..., :1]), generator))
        return Preview(
            {"source": spectrogram(voices[0, :, :1]), "output": spectrogram(made[0, :, 1:])}
        )

    def _make(self, melody: Tensor, generator: Generator) -> Tensor:
        noise = self.network.noise(len(melody), generator).to(melody.device)
        made: Tensor = self.network(melody, noise)
        return made


def critic_terms(
    critic: nn.Module, real: Tensor, made: Tensor, melody: Tensor, generator: Generator
) -> dict[str, Tensor]:
    """Return "distance", the mean verdict on made voices less that on real ones, and "penalty".

    Args:
        critic: (voices [B, 4, T, P], melody [B, 1, T, P]) -> verdicts [B].
        real, made: voices; the critic comes to say more of real ones.
    """
    distance = critic(made, melody).mean() - critic(real, melody).mean()
    judge = partial(critic, melody=melody)
    return {"distance": distance, "penalty": gradient_penalty(judge, real, made, generator)}
