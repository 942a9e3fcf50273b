"""The instrument classifier: the probability that each family of instruments plays in a sound.

Its embedding is a second one, beside the genre classifier's, in which sets of songs are compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional as F

from audiotransfer.audio.reading import probe_audio
from audiotransfer.data.stem_mixes import SAMPLE_RATE, STEMS, StemRecording
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.classifiers.audio_classifier import (
    NETWORK,
    AudioClassifier,
    AudioClassifierObjective,
    AudioClassifierSettings,
    LogMel,
    classifier_input,
)
from audiotransfer.evaluation.classifiers.genre_data import coloured
from audiotransfer.training import Preview, Turn

FAMILIES = (
    "piano", "chromatic percussion", "organ", "guitar", "bass", "strings", "ensemble", "brass",
    "reed", "pipe", "synth lead", "synth pad", "synth effects", "ethnic", "percussive",
    "sound effects", "drums",
)  # fmt: skip
"""The sixteen families of General MIDI, eight programs each, and drums."""

_SHIPPED = Path(__file__).parent / "shipped" / "instruments"
_SIDE = "source"
_SILENT = 3e-3
_GAIN_DB = (-9.0, 3.0)
_STEM_SHARE = 0.75
_PART = re.compile(r"([a-z]+)\d+")


class InstrumentClassifier(AudioClassifier):
    """An audio classifier of instrument families, of which several sound at once."""

    kind = "instrument-classifier"
    old_kind = "tagger"

    def probabilities(self, audio: Tensor, sample_rate: int) -> dict[str, float]:
        """Probability that each family plays in a sound [C, T], mean over its 3 s windows.

        0 for silence.
        """
        shares = self.logits(audio, sample_rate).sigmoid()
        mean = shares.mean(dim=0) if len(shares) else torch.zeros(len(self.classes))
        return dict(zip(self.classes, mean.tolist(), strict=True))


def shipped_instrument_classifier() -> Path | None:
    """Folder of the instrument classifier that ships; None where there is none."""
    return _SHIPPED if _SHIPPED.is_dir() else None


def family(program: int) -> int:
    """Index in ``FAMILIES`` of a General MIDI program, 0..127."""
    return program // 8


class InstrumentObjective(AudioClassifierObjective):
    """Binary cross-entropy of each family in 3 s windows of mixes.

    A batch is {"features": [B, F, L], "labels": [B, families] of 0 and 1}. Networks and groups:
    ``classifier``.
    """

    def turns(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator
    ) -> Iterator[Turn]:
        """One turn: the cross-entropy, mean over windows and families."""
        logits = self.network(batch["features"])
        loss = F.binary_cross_entropy_with_logits(logits, batch["labels"])
        yield Turn(NETWORK, {"cross_entropy": loss})

    def preview(self, batch: dict[str, Tensor], generator: torch.Generator) -> Preview:
        """One window of the batch."""
        return Preview({"window": batch["features"][0]}, {})


def areas_under_curve(
    scores: npt.NDArray[np.float64], labels: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Area under the ROC curve for each class, scores and 0/1 labels [N, classes] -> [classes].

    The probability that a window with the class scores higher than one without: 0.5 by chance, NaN
    where all windows or none have the class.
    """
    ranks = rankdata(scores, axis=0)
    with_it = labels.sum(axis=0)
    without = len(labels) - with_it
    pairs_won = (ranks * labels).sum(axis=0) - with_it * (with_it + 1) / 2
    pairs = with_it * without
    return np.where(pairs > 0, pairs_won / np.maximum(pairs, 1), np.nan)


@dataclass(frozen=True)
class LabelledStem:
    """A rendered stem, the indices in ``FAMILIES`` of its instruments, and its piece of music."""

    recording: StemRecording
    families: tuple[int, ...]
    score: str


def labelled_stems(folders: Sequence[Path]) -> list[LabelledStem]:
    """The source stems of all rendered songs in some folders, labelled by the songs' cards.

    A card (``song.json``) names its ``programs`` by stem and number: ``other3`` is a part of
    ``other``. Raises AudioTransferError where a folder holds no rendered songs.
    """
    found = []
    for folder in folders:
        cards = sorted(folder.glob("**/song.json"))
        if not cards:
            raise AudioTransferError(
                f"{folder} holds no rendered songs; `audiotransfer render` makes them"
            )
        for card in cards:
            about = json.loads(card.read_text())
            playing: dict[str, set[int]] = {}
            for part, program in about["programs"].items():
                if match := _PART.fullmatch(part):
                    stem = match[1]
                    of_part = FAMILIES.index("drums") if stem == "drums" else family(int(program))
                    playing.setdefault(stem, set()).add(of_part)
            for stem, families in sorted(playing.items()):
                path = card.parent / _SIDE / f"{stem}.wav"
                if path.is_file():
                    frames = probe_audio(path).frames
                    recording = StemRecording(path, stem, card.parent.name, frames, real=False)
                    found.append(
                        LabelledStem(recording, tuple(sorted(families)), str(about["score"]))
                    )
    return found


class InstrumentBatches:
    """Random batches of mixed windows: {"features": [B, F, L], "labels": [B, families]}.

    Each window mixes stems of different songs at random gains, some left out, so that instruments
    are not predicted from those that often play with them. A stem that is silent in the window has
    label 0. A random equaliser follows. A batch depends on seed and step alone.
    """

    def __init__(
        self,
        stems: Sequence[LabelledStem],
        settings: AudioClassifierSettings,
        *,
        batch_size: int = 16,
        seed: int = 0,
    ) -> None:
        if not stems:
            raise AudioTransferError(
                "no instrument classifier can be trained on zero stems: render more songs"
            )
        self.settings, self.batch_size, self.seed = settings, batch_size, seed
        self._by_stem = [
            alike
            for name in STEMS
            if (alike := [one for one in stems if one.recording.stem == name])
        ]
        self._front_end = LogMel(settings)
        self._frames = round(settings.seconds * SAMPLE_RATE)

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of one step."""
        random = np.random.default_rng([self.seed, step])
        drawn = [self._window(random) for _ in range(self.batch_size)]
        return {
            "features": torch.from_numpy(np.stack([features for features, _ in drawn])),
            "labels": torch.from_numpy(np.stack([labels for _, labels in drawn])),
        }

    def _window(
        self, random: np.random.Generator
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        mix = np.zeros((2, self._frames), dtype=np.float32)
        labels = np.zeros(len(FAMILIES), dtype=np.float32)
        for stems in self._by_stem:
            if random.random() > _STEM_SHARE:
                continue
            stem = stems[int(random.integers(len(stems)))]
            start = int(random.integers(max(1, stem.recording.frames - self._frames)))
            sound = stem.recording.read(start, self._frames)
            if float(np.sqrt(np.mean(np.square(sound)))) < _SILENT:
                continue
            mix += sound * np.float32(10 ** (random.uniform(*_GAIN_DB) / 20))
            labels[list(stem.families)] = 1
        signal = classifier_input(torch.from_numpy(mix), SAMPLE_RATE, self.settings)
        with torch.no_grad():
            spectrogram = self._front_end(signal[None, : self.settings.window])[0].numpy()
        return coloured(spectrogram, self.settings, random), labels
