"""What the tagger learns from: stems of rendered songs, thrown together anew for each window."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from audiotransfer import files
from audiotransfer.corpora.stems import SAMPLE_RATE, STEMS, Take
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.judge_data import coloured
from audiotransfer.evaluation.listener import ListenerSettings, LogMel, heard
from audiotransfer.evaluation.tagger import FAMILIES, family

_SIDE = "source"
_SILENT = 3e-3
_GAIN_DB = (-9.0, 3.0)
_STEM_SHARE = 0.75
_PART = re.compile(r"([a-z]+)\d+")


@dataclass(frozen=True)
class LabelledStem:
    """A rendered stem, the places in ``FAMILIES`` of those who play in it, and its score."""

    take: Take
    families: tuple[int, ...]
    score: str


def labelled_stems(folders: Sequence[Path]) -> list[LabelledStem]:
    """The source stems of all rendered songs in some folders, and what their cards say plays there.

    A card (``song.json``) names its ``programs`` by stem and place: ``other3`` is a part of
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
                    frames = files.probe(path).frames
                    take = Take(path, stem, card.parent.name, frames, real=False)
                    found.append(LabelledStem(take, tuple(sorted(families)), str(about["score"])))
    return found


class TaggerBatches:
    """Batches of mixed windows: {"features": [B, F, L], "labels": [B, families]}.

    Each window draws a stem of every kind, each from a song of its own, leaves some out, and adds
    them at random gains, so that no instrument is told by the company it keeps. What is silent in
    the window does not count as playing. A random equaliser follows. A pure function of seed and
    step.
    """

    def __init__(
        self,
        stems: Sequence[LabelledStem],
        settings: ListenerSettings,
        *,
        batch_size: int = 16,
        seed: int = 0,
    ) -> None:
        if not stems:
            raise AudioTransferError("no tagger learns from zero stems: render more songs")
        self.settings, self.batch_size, self.seed = settings, batch_size, seed
        self._kinds = [
            kind for name in STEMS if (kind := [one for one in stems if one.take.stem == name])
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
        for kind in self._kinds:
            if random.random() > _STEM_SHARE:
                continue
            stem = kind[int(random.integers(len(kind)))]
            start = int(random.integers(max(1, stem.take.frames - self._frames)))
            sound = stem.take.read(start, self._frames)
            if float(np.sqrt(np.mean(np.square(sound)))) < _SILENT:
                continue
            mix += sound * np.float32(10 ** (random.uniform(*_GAIN_DB) / 20))
            labels[list(stem.families)] = 1
        signal = heard(torch.from_numpy(mix), SAMPLE_RATE, self.settings)
        with torch.no_grad():
            picture = self._front_end(signal[None, : self.settings.window])[0].numpy()
        return coloured(picture, self.settings, random), labels
