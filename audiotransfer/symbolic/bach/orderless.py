"""The objective of the voice-wise model: any part of the lower voices from any other part.

Source: orderless NADE (Uria, Murray and Larochelle 2014) as in Coconet. The melody is always
known, and what is unknown comes in runs of one step to two bars as well, since a single unknown
sixteenth is nearly always its neighbour again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Generator, Tensor, nn
from torch.nn import functional

from audiotransfer.symbolic.bach.chorales import OUTSIDE
from audiotransfer.symbolic.bach.hiding import hide, phases_from_beat
from audiotransfer.symbolic.bach.pictures import picture
from audiotransfer.symbolic.bach.sampling import GibbsSettings, gibbs
from audiotransfer.symbolic.bach.voicewise import VoiceWise, classes_of
from audiotransfer.training import Group, Preview, Turn


@dataclass(frozen=True)
class OrderlessSettings:
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    betas: tuple[float, float] = (0.9, 0.98)


class Orderless:
    """Cross-entropy of what is hidden, mean over hidden steps, then over the examples.

    A batch is {"voices": int64 [B, T, 4]} that begins on a beat. Networks and groups:
    "accompanist".
    """

    def __init__(self, network: VoiceWise, settings: OrderlessSettings) -> None:
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
        hidden = hide(batch["voices"], generator)
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
        return Preview({"source": picture(voices[0, :, :1]), "output": picture(made[0])})
