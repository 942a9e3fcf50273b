"""Training examples of the rhythm network: levels of excerpts, varied, and their targets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiotransfer.atomic import write_bytes
from audiotransfer.errors import AudioTransferError
from audiotransfer.transcription.activations import DRUM_CLASSES
from audiotransfer.transcription.drums import CLASS_OF_KEY
from audiotransfer.transcription.rhythm_features import (
    BANDS,
    FRAME_RATE,
    MEL_BANDS,
    SEMITONES,
    rhythm_features,
)
from audiotransfer.transcription.rhythm_network import OUTPUTS

_STEPS = 255  # of a level in its cached form
_WIDTHS = (1.2, 1.0)  # frames: standard deviations of the targets of beats, of drum hits
_SLOWEST, _FASTEST = 60.0, 250.0  # bpm that stretching does not leave: slower is rarely notated
_GAIN = 15.0 / 90.0  # of a level: 15 dB
_EQUALISER = 9.0 / 90.0  # of a level, at four points over the bands
_NOISE = (0.0, 0.35)  # levels of an added floor
_TRANSPOSED = 5  # semitones


@dataclass(frozen=True)
class Example:
    """An excerpt's file, where its levels are kept, and the times in seconds that it holds.

    ``drums`` are times and numbers of classes ``[N, 2]``; ``beats``, ``downbeats`` or ``drums``
    are ``None`` where they are not known.
    """

    file: Path
    cached: Path
    beats: NDArray[np.float64] | None
    downbeats: NDArray[np.float64] | None
    drums: NDArray[np.float64] | None

    def levels(self) -> Tensor:
        """Its levels ``[BANDS, L]``, in 255 steps: computed once, and read from then on."""
        if not self.cached.is_file():
            with np.load(self.file) as held:
                samples = torch.from_numpy(held["audio"].astype(np.float32) / 32768)
            write_array(
                self.cached, (rhythm_features(samples) * _STEPS).round().to(torch.uint8).numpy()
            )
        return torch.from_numpy(np.load(self.cached)).float() / _STEPS


def read_examples(folder: Path, cache: Path) -> list[Example]:
    """The examples of a folder of excerpts; their levels are kept in ``cache``.

    Raises AudioTransferError where the folder has none.
    """
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise AudioTransferError(f"there are no excerpts (.npz) in {folder}; render them first")
    cache.mkdir(parents=True, exist_ok=True)
    return [_read(file, cache / f"{file.stem}.npy") for file in files]


def _read(file: Path, cached: Path) -> Example:
    with np.load(file) as held:
        known = bool(held["has_beats"])
        drums = held["drums"].astype(np.float64).reshape(-1, 2)
        classes = [CLASS_OF_KEY.get(int(key), -1) for key in drums[:, 1]]
        hits = np.stack([drums[:, 0], np.array(classes, dtype=np.float64)], 1)
        return Example(
            file,
            cached,
            held["beats"].astype(np.float64) if known else None,
            held["downbeats"].astype(np.float64) if known else None,
            hits[hits[:, 1] >= 0] if held["has_drums"] else None,
        )


def write_array(path: Path, array: NDArray[np.generic]) -> None:
    """Writes an array as ``.npy``, whole or not at all."""
    import io

    file = io.BytesIO()
    np.save(file, array)
    write_bytes(path, file.getvalue(), overwrite=True)


class RhythmBatches:
    """Varied examples as batches: a pure function of the step.

    A batch is {"levels": [B, BANDS, L], "targets" and "weights": [B, OUTPUTS, L]}. Excerpts are
    stretched in time, transposed, equalised, made softer or louder, covered by noise and masked in
    bands and time. A share ``scrambled`` has its short pieces in random order: there are no beats.
    """

    def __init__(
        self,
        examples: list[Example],
        batch: int,
        frames: int,
        seed: int,
        stretch: float = 0.25,
        scrambled: float = 0.03,
    ) -> None:
        self.examples, self.size, self.frames, self.seed = examples, batch, frames, seed
        self.stretch, self.scrambled = stretch, scrambled

    def batch(self, step: int) -> dict[str, Tensor]:
        """The tensors of a step."""
        rng = np.random.default_rng((self.seed, step))
        count = len(self.examples)
        found = []
        for place in range(step * self.size, (step + 1) * self.size):
            # Each excerpt once in every pass over them, in another order.
            order = np.random.default_rng((self.seed, 1, place // count)).permutation(count)
            found.append(self._varied(self.examples[order[place % count]], rng))
        levels, targets, weights = zip(*found, strict=True)
        return {
            "levels": torch.stack(levels),
            "targets": torch.stack(targets),
            "weights": torch.stack(weights),
        }

    def _varied(self, example: Example, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        factor = _factor(example, self.stretch, rng)
        levels = example.levels()
        length = round(levels.shape[1] * factor)
        levels = torch.nn.functional.interpolate(levels[None], length, mode="linear")[0]
        targets, known = targets_of(example, length, factor)
        if rng.random() < self.scrambled:
            levels = levels[:, _scrambled(length, rng)]
            targets[:2] = 0
            known = torch.tensor([1.0, 1.0] + [0.0] * len(DRUM_CLASSES))
        first = int(rng.integers(max(length - self.frames, 0) + 1))
        span = slice(first, first + self.frames)
        levels = _masked(_coloured(levels[:, span], rng), rng)
        missing = (0, self.frames - levels.shape[1])
        weights = known[:, None].expand(-1, levels.shape[1])
        pad = torch.nn.functional.pad
        return pad(levels, missing), pad(targets[:, span], missing), pad(weights, missing)


def targets_of(example: Example, length: int, factor: float = 1.0) -> tuple[Tensor, Tensor]:
    """Targets ``[OUTPUTS, L]`` of an example stretched by ``factor``, and which are known."""
    targets = torch.zeros(OUTPUTS, length)
    known = torch.zeros(OUTPUTS)
    drums = example.drums
    lists = [example.beats, example.downbeats]
    for number in range(len(DRUM_CLASSES)):
        lists.append(None if drums is None else drums[drums[:, 1] == number, 0])
    for row, times in enumerate(lists):
        if times is None:
            continue
        known[row] = 1.0
        width = _WIDTHS[row >= 2]
        places = times * factor * FRAME_RATE
        frames = np.rint(places).astype(np.int64)[:, None] + np.arange(-3, 4)
        heights = np.exp(-0.5 * ((frames - places[:, None]) / width) ** 2)
        inside = (frames >= 0) & (frames < length)
        np.maximum.at(targets[row].numpy(), frames[inside], heights[inside].astype(np.float32))
    return targets, known


def _factor(example: Example, stretch: float, rng: np.random.Generator) -> float:
    """The factor of an example's length, within what its tempo allows."""
    factor = float(np.exp(rng.uniform(-1, 1) * np.log1p(stretch)))
    if example.beats is None or len(example.beats) < 2:
        return factor
    tempo = 60 / float(np.median(np.diff(example.beats)))
    low, high = min(1.0, tempo / _FASTEST), max(1.0, tempo / _SLOWEST)
    return float(np.clip(factor, low, high))


def _scrambled(length: int, rng: np.random.Generator) -> Tensor:
    """An order of frames that takes pieces of 0.06 to 0.5 s at random."""
    pieces: list[NDArray[np.int64]] = []
    held = 0
    while held < length:
        size = int(rng.integers(5, 43))
        start = int(rng.integers(max(length - size, 1)))
        pieces.append(np.arange(start, min(start + size, length)))
        held += len(pieces[-1])
    return torch.from_numpy(np.concatenate(pieces)[:length])


def _coloured(levels: Tensor, rng: np.random.Generator) -> Tensor:
    """Levels transposed, at another loudness, with another balance of bands, over noise."""
    shift = int(rng.integers(-_TRANSPOSED, _TRANSPOSED + 1))
    rows = np.clip(np.arange(SEMITONES) - shift, 0, SEMITONES - 1) + MEL_BANDS
    mel = np.clip(np.arange(MEL_BANDS) - int(rng.integers(-2, 3)), 0, MEL_BANDS - 1)
    levels = levels[np.concatenate([mel, rows])]
    points = rng.uniform(-_EQUALISER, _EQUALISER, 4)
    curve = np.concatenate(
        [
            np.interp(np.linspace(0, 3, MEL_BANDS), np.arange(4), points),
            np.interp(np.linspace(0, 1.2, SEMITONES), np.arange(4), points),
        ]
    )
    curve = curve + rng.uniform(-_GAIN, _GAIN)
    sounding = (levels > 0).float()  # what lies below the range stays there
    levels = (levels + torch.from_numpy(curve).float()[:, None] * sounding).clamp(0, 1)
    if rng.random() < 0.3:
        floor = rng.uniform(*_NOISE) + 0.02 * rng.standard_normal(levels.shape)
        levels = torch.maximum(levels, torch.from_numpy(floor).float().clamp(0, 1))
    return levels


def _masked(levels: Tensor, rng: np.random.Generator) -> Tensor:
    """Levels with a span of bands, and a span of up to 0.6 s, left out of some examples."""
    if rng.random() < 0.3:
        first = int(rng.integers(BANDS - 16))
        levels[first : first + int(rng.integers(4, 25))] = 0
    if rng.random() < 0.3:
        first = int(rng.integers(levels.shape[1]))
        levels[:, first : first + int(rng.integers(10, 52))] = 0
    return levels
