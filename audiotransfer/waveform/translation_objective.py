"""The objective of universal translation: autoencoders that share a domain-independent code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn

from audiotransfer.data.domains import PAIRS
from audiotransfer.training import Group, Preview, Turn
from audiotransfer.waveform.decoders import Decoder
from audiotransfer.waveform.encoders import Encoder
from audiotransfer.waveform.pair_distances import mel_of
from audiotransfer.waveform.translation import DomainClassifier, Translator, domain_entropy

#: Adam moves every weight about as far a step. Templates (nats) have units to go where a layer's
#: weights go hundredths.
_TEMPLATE_RATE = 16.0


@dataclass(frozen=True)
class TranslationSettings:
    """Weights and learning rates.

    ``confusion`` is the weight of the domain classifier's cross entropy, which the encoder raises;
    ``pairs`` that of decoding the source of a rendered pair to its target, 0 for none; ``own`` that
    of decoding every domain to itself, at every ``own_every``-th step (as costs time beside pairs),
    at which the classifier has its turn too; ``terms`` those of a decoder's losses. With
    ``decoders_only`` neither encoder nor classifier is trained: a domain is added to a trained
    model.
    """

    confusion: float = 0.01
    pairs: float = 0.0
    own: float = 1.0
    own_every: int = 1
    terms: dict[str, float] = field(default_factory=dict)
    learning_rate: float = 1e-3
    classifier_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    decoders_only: bool = False


class TranslationObjective:
    """One encoder, a decoder for each domain and a classifier that names the domain of a code.

    Batches hold, for each domain, ``DOMAIN/clean`` and ``DOMAIN/augmented`` ``[B, T]``, and for
    pairs ``pairs/source`` and ``pairs/target`` ``[B, T]``, which the decoder of ``target`` makes of
    them. The classifier's turn comes first, on clean sounds; then encoder and decoders restore the
    clean sounds from augmented ones.

    Args:
        encoder: of all domains.
        decoders: by domain, in the classifier's order.
        target: the domain of the pairs' targets.
        settings: see `TranslationSettings`.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoders: Mapping[str, Decoder],
        target: str,
        settings: TranslationSettings,
    ) -> None:
        self.encoder, self.decoders, self.target = encoder, dict(decoders), target
        self.settings = settings
        self.domains = tuple(decoders)
        self.classifier = DomainClassifier(encoder.size, max(1, len(decoders)))
        named: dict[str, nn.Module] = {f"decoder_{n}": d for n, d in self.decoders.items()}
        self.networks = {"encoder": encoder, **named}
        trained: tuple[str, ...] = tuple(named)
        rates = {"templates": _TEMPLATE_RATE}
        self.groups: dict[str, Group] = {}
        if settings.decoders_only:
            encoder.requires_grad_(False)
        else:
            self.networks["classifier"] = self.classifier
            trained = ("encoder", *trained)
            self.groups["classifier"] = Group(
                ("classifier",), settings.classifier_rate, settings.betas
            )
        self.groups["autoencoder"] = Group(
            trained, settings.learning_rate, settings.betas, rates=rates
        )

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """Yields the classifier's turn, then that of encoder and decoders."""
        settings = self.settings
        owned = step % settings.own_every == 0
        confused = owned and not settings.decoders_only and len(self.domains) > 1
        if confused:
            clean = [batch[f"{name}/clean"] for name in self.domains]
            with torch.no_grad():
                codes = self.encoder(torch.cat(clean)).split([len(one) for one in clean])
            entropy = [
                domain_entropy(self.classifier(code), number) for number, code in enumerate(codes)
            ]
            yield Turn("classifier", {"entropy": torch.stack(entropy).mean()})
        terms: dict[str, Tensor] = {}
        weights: dict[str, float] = {}
        paired = settings.pairs > 0
        encoded = [batch[f"{name}/augmented"] for name in self.domains] if owned else []
        inputs = [*encoded, *([batch[f"{PAIRS}/source"]] if paired else [])]
        codes = self.encoder(torch.cat(inputs)).split([len(one) for one in inputs])
        for name, code, sound in zip(self.domains, codes, encoded, strict=False):
            truth = batch[f"{name}/clean"]
            for term, value in self.decoders[name].losses(code, truth, sound).items():
                terms[f"{name}/{term}"] = value
                weights[f"{name}/{term}"] = settings.own * settings.terms.get(term, 1.0)
        if paired:
            source, truth = batch[f"{PAIRS}/source"], batch[f"{PAIRS}/target"]
            found = self.decoders[self.target].losses(codes[-1], truth, source)
            for term, value in found.items():
                terms[f"{PAIRS}/{term}"] = value
                weights[f"{PAIRS}/{term}"] = settings.pairs * settings.terms.get(term, 1.0)
        if confused:
            entropy = [
                domain_entropy(self.classifier(codes[number]), number)
                for number in range(len(self.domains))
            ]
            terms["confusion"] = torch.stack(entropy).mean()
            weights["confusion"] = -settings.confusion
        yield Turn("autoencoder", terms, weights)

    @torch.no_grad()
    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """Spectrograms and sounds of the first example of each domain, before and after."""
        images, audio = {}, {}
        rate = self.encoder.sample_rate
        settings = mel_of(rate)
        for name in self.domains:
            sound = batch[f"{name}/clean"][:1]
            images[f"{name}/source"] = settings(sound)[0]
            decoder = self.decoders[self.target]
            if decoder.feed_forward:
                made = decoder.decode(self.encoder(sound), sound)
                images[f"{name}/output"] = settings(made)[0]
                audio[f"{name}/output"] = made, rate
        return Preview(images, audio)

    def translator(self) -> Translator:
        """The encoder and the target's decoder, with the present weights."""
        return Translator.of(self.encoder, self.decoders[self.target])
