"""The objective of the roll GAN: WGAN-GP, the melody given to both sides.

Source: AWS DeepComposer's samples; Gulrajani et al. 2017. The penalty is taken on the four voices,
the melody stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from torch import Generator, Tensor, nn

from audiotransfer.symbolic.bach.pictures import picture
from audiotransfer.symbolic.bach.rolls import RollCritic, RollGenerator, roll, voices_of
from audiotransfer.training import Group, Preview, Turn
from audiotransfer.training.slopes import gradient_penalty


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
        return Preview({"source": picture(voices[0, :, :1]), "output": picture(made[0, :, 1:])})

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
