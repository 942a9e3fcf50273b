"""The recipe of universal translation: an encoder, and a decoder for each domain of sounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiotransfer.audio.resampling import STEREO_RATE
from audiotransfer.data.domains import DomainBatches, PitchAugmentation, pairs_of
from audiotransfer.data.paired import Pair, PairedStems, PairSettings, find_pairs
from audiotransfer.data.stem_mixes import (
    StemRecording,
    folder_stems,
    rendered_stems,
    song_stems,
)
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.validation_samples import rendered_samples
from audiotransfer.recipes.base import Figures, Run, Sounds, restore, start_from
from audiotransfer.recipes.export import About, style_folder, validated, write_spectral_card
from audiotransfer.recipes.translation_start import note_model, start_from_notes
from audiotransfer.spectral.models.base import STEMS
from audiotransfer.styles.card import Card, StemEntry
from audiotransfer.training import Objective
from audiotransfer.waveform.decoders import Decoder, TemplateDecoder
from audiotransfer.waveform.encoders import Encoder, PitchEncoder, build_encoder
from audiotransfer.waveform.transfer import WaveformTransfer, save_generator
from audiotransfer.waveform.translation import Translator, build_decoder
from audiotransfer.waveform.translation_objective import (
    TranslationObjective,
    TranslationSettings,
    pair_distances,
)

_VALIDATION_BATCHES = 3
_SAMPLES = 2  # songs, for the log


@dataclass
class DomainRecipe:
    """Recordings of one domain: folders of one stem alone, of recorded songs' stems, and one
    ``side`` of rendered songs.

    A side is ``source``, of any instruments, or a style's name, of its own. Recorded songs with a
    word of ``without`` in their names are left out.
    """

    folders: list[str] = field(default_factory=list)
    recorded: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    rendered: list[str] = field(default_factory=list)
    side: str = "source"


@dataclass
class TranslationRecipe:
    """Domains and their data, the networks, and the style that ``target``'s decoder becomes.

    ``encoder`` and ``decoder`` name a ``kind`` and its settings; every domain has a decoder of its
    own. Crops have ``seconds``, ``batch`` of them a domain. ``pairs`` is a folder of rendered songs
    whose sources, played by any instruments, are decoded to what the instruments of
    ``drawing.style`` play: their first ``validation_songs`` are left out of all training and
    measure the distance that chooses the weights; the others are trained on where
    ``settings.pairs`` is a weight. ``start`` is a checkpoint whose encoder, and decoders unless
    they alone are trained, are the first ones; or the name of a style whose network of notes gives
    the first weights (see `translation_start`).
    """

    name: str = "translation"
    description: str = ""
    data: str = "data"
    stem: str = "other"
    domains: dict[str, DomainRecipe] = field(default_factory=dict)
    target: str = ""
    pairs: str | None = None
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
        pairs = self._pairs()
        held_out, trained = pairs[: self.validation_songs], pairs[self.validation_songs :]
        domains = self._recordings(run.folder / "decoded", {p.folder.name for p in held_out})
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            objective = self._objective()
        rate = objective.encoder.sample_rate
        batches = DomainBatches(
            domains,
            frames=self._frames() * self.drawing.hop_length - 1,
            batch=self.batch,
            seed=self.seed,
            sample_rate=rate,
            augmentation=self.augmentation,
            pairs=self._drawn(trained) if self.settings.pairs else None,
        )
        if self.start is not None:
            self._start(objective, self.start, batches)
        fit = run.fit(
            objective,
            batches,
            replace(self, description="", corpora=[]),
            validation=self._validation(objective, held_out) if held_out else None,
            samples=self._samples(objective, held_out) if held_out else None,
            averaged=("encoder", *(f"decoder_{name}" for name in self.domains)),
        )
        if fit.exports:
            decoder = objective.decoders[self.target]
            restore(fit.best, {"encoder": objective.encoder, f"decoder_{self.target}": decoder})
            self._export(run, fit, objective.translator().eval())
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
                    start_from(decoder, Path(start), "translation.decoder", f"decoder_{name}")
            return
        encoder, decoders = objective.encoder, list(objective.decoders.values())
        if not isinstance(encoder, PitchEncoder) or not all(
            isinstance(decoder, TemplateDecoder) for decoder in decoders
        ):
            raise AudioTransferError(
                f"a style, {start!r}, starts an encoder of the kind pitch and decoders of templates"
            )
        sounds = torch.cat(list(batches.batch(0).values()))
        start_from_notes(encoder, decoders, note_model(start, self.stem), sounds)  # type: ignore[arg-type]

    def _pairs(self) -> list[Pair]:
        if self.pairs is None:
            return []
        return [p for p in find_pairs(Path(self.data) / self.pairs) if self.stem in p.stems]

    def _frames(self) -> int:
        """Hops in a crop; one sample less than so many gives exactly that many centred frames."""
        return round(self.seconds * STEREO_RATE / self.drawing.hop_length)

    def _drawn(self, pairs: Sequence[Pair], **changes: Any) -> PairedStems:
        """Crops of pairs, of the one stem."""
        shares = tuple(float(stem == self.stem) for stem in STEMS)
        settings = replace(self.drawing, stem_shares=shares, frames=self._frames(), **changes)
        return PairedStems(pairs, settings)

    def _recordings(self, cache: Path, held_out: set[str]) -> dict[str, list[StemRecording]]:
        """The recordings of each domain, without the songs that are held out."""
        found: dict[str, list[StemRecording]] = {}
        for name, domain in self.domains.items():
            recordings: list[StemRecording] = []
            for folder in domain.folders:
                recordings += folder_stems(Path(self.data) / folder, self.stem, cache)
            for folder in domain.recorded:
                songs = song_stems(Path(self.data) / folder, cache, domain.without)
                recordings += [one for one in songs if one.stem == self.stem]
            for folder in domain.rendered:
                recordings += [
                    one
                    for one in rendered_stems(Path(self.data) / folder)
                    if one.stem == self.stem and one.song.split("/")[1] == domain.side
                ]
            found[name] = [r for r in recordings if not held_out & set(_names(r))]
            if not found[name]:
                raise AudioTransferError(
                    f"domain {name!r} has no recordings of {self.stem}; name folders that hold some"
                )
        return found

    def _validation(self, objective: TranslationObjective, held_out: Sequence[Pair]) -> Figures:
        """Distances on separated stems of the songs that are held out."""
        drawn = self._drawn(held_out, separated_share=1.0, batch=8, seed=self.drawing.seed + 98)
        rate = objective.encoder.sample_rate
        batches = [pairs_of(drawn, step, rate) for step in range(_VALIDATION_BATCHES)]

        def validate(of: Objective) -> dict[str, float]:
            if not objective.decoders[self.target].feed_forward:
                return _nats(objective, self.target, batches)
            return pair_distances(objective.translator(), batches)

        return validate

    def _samples(self, objective: TranslationObjective, held_out: Sequence[Pair]) -> Sounds:
        """Stems of songs that are held out, as they are and transferred."""
        songs = [pair.folder for pair in held_out]
        samples = rendered_samples(songs, ("separated", "source"), self.stem, _SAMPLES)

        def sounds(of: Objective) -> dict[str, tuple[Tensor, int]]:
            if not objective.decoders[self.target].feed_forward:
                return {}
            transfer = WaveformTransfer(objective.translator())
            made: dict[str, tuple[Tensor, int]] = {}
            for sample in samples:
                made[f"{sample.name}/source"] = sample.sound, STEREO_RATE
                made[f"{sample.name}/{self.name}"] = transfer(sample.sound), STEREO_RATE
            return made

        return sounds

    def _export(self, run: Run, fit: Any, translator: Translator) -> None:
        """Writes the style: the encoder and the target's decoder."""
        place = style_folder(fit.best.parent, self.name)
        weights = f"{self.name}.safetensors"
        save_generator(place / weights, translator)
        count = sum(p.numel() for p in translator.parameters())
        networks = {
            "translator": {**translator.shape(), "kind": translator.kind, "parameters": count}
        }
        entry = StemEntry("waveform", weights, self.stem)
        found = validated(fit.best)
        write_spectral_card(
            About(self.name, self.description, self.corpora),
            run,
            fit,
            place,
            {self.stem: entry},
            networks,
            {"validation": found} if found else {},
        )


def _nats(
    objective: TranslationObjective, target: str, batches: Sequence[dict[str, Tensor]]
) -> dict[str, float]:
    """The likelihood of true targets under their own codes; ``score`` is minus it."""
    decoder = objective.decoders[target]
    truths = [batch["pairs/target"] for batch in batches]
    found = [decoder.losses(objective.encoder(t), t, t)["nats"] for t in truths]
    nats = float(torch.stack(found).mean())
    return {"nats": nats, "score": -nats}


def _names(recording: StemRecording) -> tuple[str, str]:
    """The names that a rendered song, or a stem of it in a folder of stems, may be held out by."""
    return recording.song.split("/")[0], recording.path.stem.rsplit("-", 1)[0]
