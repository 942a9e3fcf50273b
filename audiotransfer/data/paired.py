"""Batches of aligned pairs: stems rendered with random instruments and with a style's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import torch
from scipy import signal
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.renamed import present_folder

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Sound = NDArray[np.float32]

STEMS = ("drums", "bass", "other")
SAMPLE_RATE = 44100


@dataclass
class PairSettings:
    """Sampling of pairs. Gains in dB; shares are probabilities.

    ``style``: the style whose instruments play the target.
    ``separated_share``: use the stem that a separator gave, where there is one
    (``separated/{stem}.wav``); ``bleed_share``: else add bleed of the other stems.
    At every ``songs_every``-th step (0: never) the batch is ``songs`` separated songs, all stems
    of each together with the separated vocals and the true mix.
    """

    style: str = "jazz"
    batch: int = 8
    frames: int = 128
    hop_length: int = 512
    seed: int = 0
    stem_shares: tuple[float, float, float] = (0.25, 0.2, 0.55)
    separated_share: float = 0.6
    bleed_share: float = 0.5
    bleed_db: tuple[float, float] = (-34.0, -14.0)
    gain_db: tuple[float, float] = field(default=(-9.0, 6.0))
    songs_every: int = 0
    songs: int = 3


@dataclass(frozen=True)
class Pair:
    """A rendered song: its folder, its stems, its length in samples, whether it was separated.

    ``bank`` is that of the targets' instruments ("sampled" for the package's own), "" where it is
    unknown.
    """

    folder: Path
    stems: tuple[str, ...]
    frames: int
    separated: bool
    bank: str = ""

    def read(self, side: str, stem: str, start: int, frames: int) -> Sound:
        """Reads a stretch of a stem: ``[2, frames]``."""
        path = self.folder / side / f"{stem}.wav"
        sound, _ = soundfile.read(path, start=start, frames=frames, dtype="float32", always_2d=True)
        return np.ascontiguousarray(sound.T)


def find_pairs(folder: Path, split: str = "train") -> list[Pair]:
    """Finds the rendered pairs of a split. Raises AudioTransferError where there are none."""
    found = []
    folder = present_folder(folder)
    for card in sorted(folder.glob("*/song.json")):
        about = json.loads(card.read_text())
        if about["split"] != split or not about["stems"]:
            continue
        first = card.parent / "source" / f"{about['stems'][0]}.wav"
        frames = soundfile.info(str(first)).frames
        separated = (card.parent / "separated").is_dir()
        bank = about.get("target_bank", "")
        found.append(Pair(card.parent, tuple(about["stems"]), frames, separated, bank))
    if not found:
        raise AudioTransferError(
            f"no rendered pairs of split {split!r} in {folder}; `audiotransfer render` makes them"
        )
    return found


class PairedStems:
    """Batches ``source`` and ``target`` ``[B, 2, T]`` with ``stem`` ``[B]``, by step.

    The stem is an index into drums, bass, other. Source and target get the same gain, so that
    levels are learned as they are; the source alone is filtered and gets bleed of other stems.
    Batches of songs also hold ``kept`` (vocals) and ``mix`` ``[songs, 2, T]``, with the stems of
    one song next to each other.
    """

    def __init__(self, pairs: Sequence[Pair], settings: PairSettings) -> None:
        self.settings = settings
        self._by_stem = [[p for p in pairs if stem in p.stems] for stem in STEMS]
        if not all(self._by_stem):
            raise AudioTransferError("pairs of drums, bass and other are all needed")
        frames = settings.frames * settings.hop_length - 1
        for pair in pairs:
            if pair.frames < frames:
                raise AudioTransferError(
                    f"{pair.folder} has {pair.frames / SAMPLE_RATE:.1f} s, but"
                    f" {frames / SAMPLE_RATE:.1f} s are drawn; set fewer frames"
                )
        self._separated = [p for p in pairs if p.separated]

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step."""
        random = np.random.default_rng((self.settings.seed, step))
        every = self.settings.songs_every
        if every and self._separated and step % every == 0:
            return self._songs(random)
        stems = self._stems(random)
        return _of_stems(stems, [self._draw(int(stem), random) for stem in stems])

    def _stems(self, random: Generator) -> NDArray[np.int64]:
        """The stems of a batch, drawn by their shares: ``[B]``."""
        shares = np.array(self.settings.stem_shares)
        return random.choice(len(STEMS), size=self.settings.batch, p=shares / shares.sum())

    def _draw(self, stem: int, random: Generator) -> tuple[Sound, Sound]:
        settings = self.settings
        name = STEMS[stem]
        # One sample less than the frames' multiple gives exactly that many centred frames.
        frames = settings.frames * settings.hop_length - 1
        for _ in range(20):
            pair = self._by_stem[stem][int(random.integers(len(self._by_stem[stem])))]
            start = int(random.integers(max(1, pair.frames - frames)))
            target = pair.read(f"target/{settings.style}", name, start, frames)
            if np.sqrt((target**2).mean()) > 2e-3:
                break
        if pair.separated and random.random() < settings.separated_share:
            source = pair.read("separated", name, start, frames)
        else:
            source = pair.read("source", name, start, frames)
            if random.random() < settings.bleed_share:
                for other in pair.stems:
                    if other != name:
                        leak = 10 ** (random.uniform(*settings.bleed_db) / 20)
                        source = source + leak * pair.read("source", other, start, frames)
        if random.random() < 0.4:
            level = np.sqrt((source**2).mean()) + 1e-9
            tilt = random.uniform(-0.6, 0.6)
            source = signal.lfilter([1.0, tilt], [1.0], source, axis=1)
            source *= level / (np.sqrt((source**2).mean()) + 1e-9)
        gain = 10 ** (random.uniform(*settings.gain_db) / 20)
        return (source * gain).astype(np.float32), (target * gain).astype(np.float32)

    def _songs(self, random: Generator) -> dict[str, Tensor]:
        """Separated songs: all stems of each, its vocals and its true mix."""
        frames = self.settings.frames * self.settings.hop_length - 1
        side = f"target/{self.settings.style}"
        found: dict[str, list[Sound]] = {"source": [], "target": [], "kept": [], "mix": []}
        for _ in range(self.settings.songs):
            pair = self._separated[int(random.integers(len(self._separated)))]
            start = int(random.integers(max(1, pair.frames - frames)))
            gain = np.float32(10 ** (random.uniform(*self.settings.gain_db) / 20))
            silence = np.zeros((2, frames), dtype=np.float32)
            targets = [
                gain * pair.read(side, stem, start, frames) if stem in pair.stems else silence
                for stem in STEMS
            ]
            found["source"] += [gain * pair.read("separated", s, start, frames) for s in STEMS]
            found["target"] += targets
            found["kept"].append(gain * pair.read("separated", "vocals", start, frames))
            found["mix"].append(np.sum(targets, axis=0))
        stems = torch.arange(len(STEMS)).repeat(self.settings.songs)
        return {name: torch.from_numpy(np.stack(v)) for name, v in found.items()} | {"stem": stems}


class ShuffledStems(PairedStems):
    """`PairedStems` whose source and target are of songs drawn apart, at places drawn apart.

    What they have in common is the stem. Batches of whole songs are not drawn.
    """

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step."""
        random = np.random.default_rng((self.settings.seed, step))
        stems = self._stems(random)
        drawn = [
            (self._draw(int(stem), random)[0], self._draw(int(stem), random)[1]) for stem in stems
        ]
        return _of_stems(stems, drawn)


def _of_stems(stems: NDArray[np.int64], drawn: Sequence[tuple[Sound, Sound]]) -> dict[str, Tensor]:
    """Sources and targets, each ``[2, T]``, as a batch."""
    return {
        "source": torch.from_numpy(np.stack([source for source, _ in drawn])),
        "target": torch.from_numpy(np.stack([target for _, target in drawn])),
        "stem": torch.from_numpy(stems),
    }
