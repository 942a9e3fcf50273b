"""Universal translation: one encoder of all domains, and the decoder of the wanted one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiotransfer.errors import AudioTransferError
from audiotransfer.waveform.decoders import ConvNeXtDecoder, Decoder, TemplateDecoder
from audiotransfer.waveform.encoders import build_encoder
from audiotransfer.waveform.generators import WaveformGenerator
from audiotransfer.waveform.wavenet_decoder import WaveNetDecoder

DECODERS: dict[str, type[Decoder]] = {
    one.kind: one for one in (TemplateDecoder, ConvNeXtDecoder, WaveNetDecoder)
}


def build_decoder(shape: Mapping[str, Any]) -> Decoder:
    """The decoder of a ``kind`` with its arguments. Raises AudioTransferError for another kind."""
    arguments = dict(shape)
    kind = arguments.pop("kind", None)
    if kind not in DECODERS:
        raise AudioTransferError(f"no decoder {kind!r}; there are {', '.join(DECODERS)}")
    return DECODERS[kind](**arguments)


class Translator(WaveformGenerator):
    """The encoder and one domain's decoder, as a style ships them.

    Args:
        encoder, decoder: what builds them: their ``kind`` and its arguments.
    """

    kind = "translator"

    def __init__(self, encoder: Mapping[str, Any], decoder: Mapping[str, Any]) -> None:
        super().__init__()
        self.encoder, self.decoder = build_encoder(dict(encoder)), build_decoder(decoder)
        self.sample_rate = self.encoder.sample_rate
        self.reach = self.encoder.reach + self.decoder.reach
        self.grid = self.encoder.hop

    @classmethod
    def of(cls, encoder: nn.Module, decoder: nn.Module) -> Translator:
        """A translator of two networks, whose weights it shares."""
        made = cls(encoder.shape(), decoder.shape())  # type: ignore[operator]
        made.encoder, made.decoder = encoder, decoder  # type: ignore[assignment]
        return made

    def shape(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON takes them."""
        return {"encoder": self.encoder.shape(), "decoder": self.decoder.shape()}

    def convert(self, sound: Tensor) -> Tensor:
        """Sound ``[B, T]`` to the decoder's domain."""
        return self.at_strength(sound, 1.0)

    def at_strength(self, sound: Tensor, strength: float) -> Tensor:
        """Levels of source and decoder are mixed in dB, where the decoder has levels."""
        return self.decoder.decode(self.encoder(sound), sound, strength)


class DomainClassifier(nn.Module):
    """Logits of the domains ``[B, D]`` of codes ``[B, size, L]``.

    Three layers over single frames, whose logits are averaged: it sees timbre and not its order in
    time. Source: Mor et al. 2019.

    Args:
        size: of the code. domains: how many. channels: width.
    """

    def __init__(self, size: int, domains: int, channels: int = 100) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(size, channels, 1),
            nn.ELU(),
            nn.Conv1d(channels, channels, 1),
            nn.ELU(),
            nn.Conv1d(channels, domains, 1),
        )

    def forward(self, code: Tensor) -> Tensor:
        """The mean of all frames' logits."""
        logits: Tensor = self.layers(code).mean(-1)
        return logits


def domain_entropy(logits: Tensor, domain: int) -> Tensor:
    """Cross entropy of logits ``[B, D]`` of sounds of one domain."""
    wanted = torch.full((len(logits),), domain, device=logits.device)
    return functional.cross_entropy(logits.float(), wanted)
