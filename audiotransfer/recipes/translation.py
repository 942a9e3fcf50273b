"""The recipe of universal translation: an encoder, and a decoder for each domain of sounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiotransfer.data.domains import DomainBatches, PitchAugmentation
from audiotransfer.data.paired import Pair, PairSettings
from audiotransfer.errors import AudioTransferError
from audiotransfer.recipes.base import Figures, Run, Sounds, restore, start_from
from audiotransfer.recipes.style_models import stem_model
from audiotransfer.recipes.translation_start import start_from_notes
from audiotransfer.recipes.waveform_styles import (
    DomainRecipe,
    crop_frames,
    drawn,
    export_generator,
    held_out_and_trained,
    recordings_of,
    transferred_samples,
    validation_batches,
)
from audiotransfer.spectral.models.base import STEMS
from audiotransfer.spectral.models.note_templates import NoteTemplateModel
from audiotransfer.styles.card import Card
from audiotransfer.training import Objective
from audiotransfer.waveform.decoders import Decoder, TemplateDecoder
from audiotransfer.waveform.encoders import Encoder, PitchEncoder, build_encoder
from audiotransfer.waveform.pair_distances import pair_distances
from audiotransfer.waveform.translation import build_decoder
from audiotransfer.waveform.translation_objective import TranslationObjective, TranslationSettings


@dataclass
class TranslationRecipe:
    """Domains and their data, the networks, and the style that ``target``'s decoder becomes.

    ``encoder`` and ``decoder`` name a ``kind`` and its settings; every domain has a decoder of its
    own. Crops have ``seconds``, ``batch`` of them a domain. ``pairs`` is a folder of rendered songs
    whose sources, played by any instruments, are decoded to what the instruments of
    ``drawing.style`` play: their first ``validation_songs`` are left out of all training and
    measure the distance that chooses the weights; the others are trained on where
    ``settings.pairs`` is a weight. With a ``bank`` only songs whose targets it plays are used: one
    piano, where otherwise a mean of several is learned. ``start`` is a checkpoint whose encoder,
    and decoders unless they alone are trained, are the first ones; or the name of a style whose
    network of notes gives the first weights (see `translation_start`).
    """

    name: str = "translation"
    description: str = ""
    data: str = "data"
    stem: str = "other"
    domains: dict[str, DomainRecipe] = field(default_factory=dict)
    target: str = ""
    pairs: str | None = None
    bank: str = ""
    validation_songs: int = 12
    start: str | None = None
    encoder: dict[str, Any] = field(default_factory=lambda: {"kind": "pitch"})
    decoder: dict[str, Any] = field(default_factory=lambda: {"kind": "templates"})
    seconds: float = 1.5
    batch: int = 4
    seed: int = 0
    augmentation: PitchAugmentation = field(default_factory=PitchAugmentation)
    settings: TranslationSettings = field(default_factory=TranslationSettings)
    drawing: PairSettings = field(default_factory=PairSettings)
    corpora: list[dict[str, Any]] = field(default_factory=list)

    def train(self, run: Run) -> dict[str, float]:
        """Trains encoder and decoders, and writes the style ``NAME`` into the run's folder."""
        self._check()
        held_out, trained = self._pairs()
        domains = recordings_of(
            self.domains, Path(self.data), self.stem, run.folder / "decoded", held_out
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            objective = self._objective()
        rate = objective.encoder.sample_rate
        of_pairs = None
        if self.settings.pairs:
            of_pairs = drawn(trained, self.drawing, self.stem, self.seconds)
        batches = DomainBatches(
            domains,
            frames=crop_frames(self.drawing, self.seconds) * self.drawing.hop_length - 1,
            batch=self.batch,
            seed=self.seed,
            sample_rate=rate,
            augmentation=self.augmentation,
            pairs=of_pairs,
        )
        if self.start is not None:
            self._start(objective, self.start, batches)
        fit = run.fit(
            objective,
            batches,
            replace(self, description="", corpora=[]),
            validation=self._validation(objective, held_out) if held_out else None,
            samples=self._samples(objective, held_out),
            averaged=("encoder", *(f"decoder_{name}" for name in self.domains)),
        )
        if fit.exports:
            decoder = objective.decoders[self.target]
            restore(fit.best, {"encoder": objective.encoder, f"decoder_{self.target}": decoder})
            export_generator(self, self.stem, run, fit, objective.translator().eval())
        return fit.figures

    def _check(self) -> None:
        """Raises AudioTransferError, before the work, for invalid settings."""
        Card(self.name, self.description, {}, {})
        if self.stem not in STEMS:
            raise AudioTransferError(f"no style changes {self.stem!r}; take {', '.join(STEMS)}")
        if self.target not in self.domains:
            raise AudioTransferError(
                f"translation.target is {self.target!r}; name one of {', '.join(self.domains)}"
            )
        if self.settings.pairs and self.pairs is None:
            raise AudioTransferError(
                "translation.settings.pairs has a weight, but translation.pairs names no folder"
            )
        if self.settings.decoders_only and self.start is None:
            raise AudioTransferError(
                "translation.settings.decoders_only needs a trained encoder: set translation.start"
            )

    def _objective(self) -> TranslationObjective:
        encoder: Encoder = build_encoder(self.encoder)
        decoders: dict[str, Decoder] = {}
        for name in self.domains:
            decoder = build_decoder(self.decoder)
            if isinstance(decoder, TemplateDecoder):
                decoder.initialise()
            decoders[name] = decoder
        return TranslationObjective(encoder, decoders, self.target, self.settings)

    def _start(self, objective: TranslationObjective, start: str, batches: DomainBatches) -> None:
        """Sets the first weights from a checkpoint or a style."""
        if Path(start).name != start:
            start_from(objective.encoder, Path(start), "translation.encoder", "encoder")
            if not self.settings.decoders_only:
                for name, decoder in objective.decoders.items():
                    further = "blocks." if isinstance(decoder, TemplateDecoder) else ""
                    start_from(
                        decoder, Path(start), "translation.decoder", f"decoder_{name}", further
                    )
            return
        encoder, decoders = objective.encoder, list(objective.decoders.values())
        if not isinstance(encoder, PitchEncoder) or not all(
            isinstance(decoder, TemplateDecoder) for decoder in decoders
        ):
            raise AudioTransferError(
                f"a style, {start!r}, starts an encoder of the kind pitch and decoders of templates"
            )
        sounds = torch.cat(list(batches.batch(0).values()))
        model = stem_model(start, self.stem, NoteTemplateModel)
        start_from_notes(encoder, decoders, model, sounds)  # type: ignore[arg-type]

    def _pairs(self) -> tuple[list[Pair], list[Pair]]:
        if self.pairs is None:
            return [], []
        folder = Path(self.data) / self.pairs
        return held_out_and_trained(folder, self.stem, self.validation_songs, self.bank)

    def _validation(self, objective: TranslationObjective, held_out: Sequence[Pair]) -> Figures:
        """Distances on separated stems of the songs that are held out."""
        rate = objective.encoder.sample_rate
        batches = validation_batches(held_out, self.drawing, self.stem, self.seconds, rate)

        def validate(of: Objective) -> dict[str, float]:
            if not objective.decoders[self.target].feed_forward:
                return _nats(objective, self.target, batches)
            return pair_distances(objective.translator(), batches)

        return validate

    def _samples(self, objective: TranslationObjective, held_out: Sequence[Pair]) -> Sounds | None:
        """Sounds for the log, where the decoder is fast enough to make some."""
        if not held_out or not objective.decoders[self.target].feed_forward:
            return None
        return transferred_samples(held_out, self.stem, self.name, objective.translator)


def _nats(
    objective: TranslationObjective, target: str, batches: Sequence[dict[str, Tensor]]
) -> dict[str, float]:
    """The likelihood of true targets under their own codes; ``score`` is minus it."""
    decoder = objective.decoders[target]
    truths = [batch["pairs/target"] for batch in batches]
    found = [decoder.losses(objective.encoder(t), t, t)["nats"] for t in truths]
    nats = float(torch.stack(found).mean())
    return {"nats": nats, "score": -nats}
