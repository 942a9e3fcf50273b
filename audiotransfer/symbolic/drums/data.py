"""Training data of drum networks: the Groove MIDI Dataset, windows of bars, random batches."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.midi.archives import contents, list_midi
from audiotransfer.midi.percussion import DRUMS
from audiotransfer.midi.score import note_table, parse_score
from audiotransfer.symbolic.drums.beats import BAR, Beat, Cells, beat_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPLITS = ("train", "validation", "test")
_LIST = "info.csv"
_DRUM_GROUPS = (("kick",), ("snare",), ("closed hat", "open hat", "ride"),
          ("low tom", "mid tom", "high tom", "crash"))  # fmt: skip
_GROUPS = tuple([DRUMS.index(drum) for drum in limb] for limb in _DRUM_GROUPS)


@dataclass(frozen=True)
class Groove:
    """A performance: its whole bars of four quarters, name, style and tempo."""

    beat: Beat
    name: str
    style: str
    tempo: float
    """Quarters a minute."""


@dataclass(frozen=True)
class Windows:
    """N windows of beats, each [N, S, 9], with style index and tempo (quarters a minute), [N]."""

    hits: NDArray[np.bool_]
    velocities: NDArray[np.float32]
    offsets: NDArray[np.float32]
    styles: NDArray[np.int64]
    tempi: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.hits)

    def beat(self, index: int) -> Beat:
        """One window."""
        return Beat(self.hits[index], self.velocities[index], self.offsets[index])

    def some(self, count: int) -> Windows:
        """A random subset of at most ``count`` windows, the same at every call."""
        drawn = np.random.default_rng(0).permutation(len(self))[:count]
        return Windows(**{name: values[drawn] for name, values in vars(self).items()})


def read_grooves(place: str | Path, split: str) -> list[Groove]:
    """Reads the performances in 4/4 of an official split from a folder or zip of the dataset.

    Files that `info.csv` lists and the folder lacks are left out, and so is a last bar with notes
    in its first half only. The style is its first word in the list ("jazz" of "jazz/swing").

    Raises AudioTransferError for another folder, or one without such performances.
    """
    names = list_midi(str(place))
    listed = _listed(str(place), names)
    wanted = [name for name in names if listed[name]["split"] == split]
    grooves = []
    for name, data in contents(str(place), wanted):
        facts = listed[name]
        beat = _whole_bars(data, name)
        if facts["time_signature"] == "4-4" and len(beat):
            style = facts["style"].partition("/")[0]
            grooves.append(Groove(beat, name, style, float(facts["bpm"])))
    if not grooves:
        raise AudioTransferError(
            f"{place} holds no groove in 4/4 of the split {split!r}; there are {', '.join(SPLITS)}"
        )
    return grooves


def windows_of(grooves: Sequence[Groove], bars: int, styles: Sequence[str]) -> Windows:
    """All windows of ``bars`` bars, beginning at every bar, that are not silent.

    A style's index is that in ``styles``, or ``len(styles)`` where it is not there. Raises
    AudioTransferError where no performance is long enough.
    """
    steps = bars * BAR
    cut = [
        (groove, groove.beat.section(start, start + steps))
        for groove in grooves
        for start in range(0, len(groove.beat) - steps + 1, BAR)
    ]
    cut = [(groove, beat) for groove, beat in cut if beat.hits.any()]
    if not cut:
        raise AudioTransferError(f"no groove is {bars} bars long; take fewer bars")
    index = {style: number for number, style in enumerate(styles)}
    return Windows(
        np.stack([beat.hits for _, beat in cut]),
        np.stack([beat.velocities for _, beat in cut]),
        np.stack([beat.offsets for _, beat in cut]),
        np.array([index.get(groove.style, len(styles)) for groove, _ in cut], dtype=np.int64),
        np.array([groove.tempo for groove, _ in cut], dtype=np.float32),
    )


def common_styles(grooves: Sequence[Groove], bars: int) -> tuple[str, ...]:
    """Sorted names of the styles with at least ``bars`` bars, from more than one performance."""
    lengths: dict[str, list[int]] = {}
    for groove in grooves:
        lengths.setdefault(groove.style, []).append(len(groove.beat) // BAR)
    return tuple(sorted(s for s, n in lengths.items() if len(n) > 1 and sum(n) >= bars))


class GrooveBatches:
    """Random windows; sets of several lengths alternate.

    A share ``mixed`` of them has the drums of one or two groups (kick; snare; hats and ride; toms
    and crash) from other windows, and ``mixed_style`` as style. A batch depends on seed and step
    alone.
    """

    def __init__(
        self, windows: Sequence[Windows], *, batch_size: int = 128, mixed: float = 0.0,
        mixed_style: int = 0, seed: int = 0,
    ) -> None:  # fmt: skip
        if not windows:
            raise AudioTransferError("no batch of zero windows: name their bars")
        self.windows = tuple(windows)
        self.batch_size = batch_size
        self.mixed = mixed
        self.mixed_style = mixed_style
        self.seed = seed

    def batch(self, step: int) -> dict[str, Tensor]:
        """ "hits", "velocities", "offsets" [B, S, 9] and "styles" [B]."""
        random = np.random.default_rng((self.seed, step))
        windows = self.windows[step % len(self.windows)]
        drawn = random.integers(len(windows), size=self.batch_size)
        styles = windows.styles[drawn]
        sources = np.repeat(drawn[:, None], len(DRUMS), axis=1)
        for row in np.flatnonzero(random.random(self.batch_size) < self.mixed):
            for group in random.permutation(len(_GROUPS))[: random.integers(1, 3)]:
                sources[row, _GROUPS[group]] = random.integers(len(windows))
            styles[row] = self.mixed_style
        drums = np.arange(len(DRUMS))
        found = {
            name: torch.from_numpy(
                getattr(windows, name)[sources, :, drums].swapaxes(1, 2).astype(np.float32)
            )
            for name in ("hits", "velocities", "offsets")
        }
        return found | {"styles": torch.from_numpy(styles)}


def _listed(place: str, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The row of each file in the dataset's list."""
    path = Path(place)
    # A zip of the dataset holds one folder.
    above = "" if path.is_dir() else names[0].split("/")[0] + "/"
    ((_, data),) = contents(place, [above + _LIST])
    rows = csv.DictReader(io.StringIO(data.decode()))
    listed = {above + row["midi_filename"]: row for row in rows}
    for name in names:
        if name not in listed:
            raise AudioTransferError(f"{place}: {name} is not in its {_LIST}; name the dataset")
    return listed


def _whole_bars(data: bytes, name: str) -> Beat:
    """The drums of a performance in whole bars; the first bar begins with the file."""
    score = parse_score(data, name)
    notes = note_table(score, drums=True)
    onsets = notes[:, 0] / (score.tpq / 4)
    bars = round((np.round(onsets).max(initial=-1) + 1) / BAR)
    steps = bars * BAR
    return beat_of(Cells.of(onsets, notes[:, 2], steps), notes[:, 3], steps)
