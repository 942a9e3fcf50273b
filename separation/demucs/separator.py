"""Demucs as a separator: any of its models, in bounded memory, with stems that sum to the mix."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from demucs.apply import BagOfModels, apply_model
from demucs.demucs import Demucs
from demucs.htdemucs import HTDemucs
from torch import Tensor
from torch.nn import functional

from separation.base import GRID, Progress, SeparationError, check_mix, complete
from separation.demucs.checkpoints import load_bag
from separation.demucs.hub import resolve

LONGEST = 20
"""Seconds of the longest segment taken unasked: models trained on 44 s work as well in half of
the memory and let a song be cut into blocks."""
SILENCE = 1e-10
"""RMS below which a block is silence: a network scaled up to hear it would hear rounding."""

log = logging.getLogger(__name__)


def load(
    model: str = "htdemucs",
    *,
    model_folder: str | Path | None = None,
    download: bool = True,
    device: str = "cpu",
    progress: Progress | None = None,
    segment: float | None = None,
    overlap: float | None = None,
    shifts: int = 0,
) -> DemucsSeparator:
    """The Demucs separator called `model`: a name on the hub, `FOLDER/NAME`, or a name in
    `model_folder`. The hub's cache is asked first; `download` allows asking the hub.

    Raises SeparationError where the weights are not to be had, damaged or not Demucs's.
    """
    bag = load_bag(resolve(model, model_folder, download))
    return DemucsSeparator(
        bag, device=device, progress=progress, segment=segment, overlap=overlap, shifts=shifts
    )


class DemucsSeparator:
    """Separates blocks with a bag of Demucs networks (Défossez, "Hybrid spectrogram and waveform
    source separation", 2021; Rouard, Massa and Défossez, "Hybrid transformers for music source
    separation", 2023), by the authors' library.

    `segment` (seconds) is what the networks hear at once, at most what they were trained on;
    `overlap` is the share that neighbouring segments have in common (see `tiles`). Songs are cut
    at whole strides, so that the same segments are heard in blocks as in the whole. With `shifts`
    the block is separated that many times at random offsets of up to half a second, drawn from the
    generator, and averaged: a little cleaner, as many times slower. When the device runs out of
    memory the segment is halved, and stays so.

    Stems are the model's; what they leave of the mix is added to `other`. A mono mix is heard as
    two equal channels.
    """

    large = True

    def __init__(
        self,
        bag: BagOfModels,
        *,
        device: str = "cpu",
        progress: Progress | None = None,
        segment: float | None = None,
        overlap: float | None = None,
        shifts: int = 0,
    ) -> None:
        if shifts < 0:
            raise SeparationError(f"shifts {shifts} is out of range: from 0")
        networks: list[Any] = list(bag.models)
        trained = min(Fraction(network.segment) for network in networks)
        limit = min((Fraction(n.segment) for n in networks if isinstance(n, HTDemucs)), default=0)
        if segment is not None and limit and Fraction(segment) > limit:
            raise SeparationError(
                f"segment {segment:g} s is longer than the model takes: up to {float(limit):g} s"
            )
        unasked = trained if limit else min(trained, Fraction(LONGEST))
        self.stems: tuple[str, ...] = tuple(dict.fromkeys([*bag.sources, "other"]))
        self.sample_rate: int = bag.samplerate
        self.progress = progress
        self._overlap = overlap
        self._shifts = shifts
        self._tiles = tiles(unasked if segment is None else segment, self.sample_rate, overlap)
        try:
            self._device = torch.device(device)
            self._bag = bag.to(self._device)
        except (RuntimeError, AssertionError) as error:
            raise SeparationError(
                f"device '{device}' cannot take the demucs model ({_first_line(error)}): "
                "choose another, '--device cpu' always works"
            ) from error

    @property
    def context(self) -> int:
        """What a segment that begins in the kept part, or ends there, reaches beyond it."""
        # Shifted segments begin before the block, and the oldest networks hear more than those.
        longer = self._shifts or any(isinstance(n, Demucs) for n in self._bag.models)
        return self._tiles.length - (0 if longer else self._tiles.stride)

    @property
    def grid(self) -> int:
        """One stride."""
        return self._tiles.stride

    def __call__(self, mix: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """`[C, T]`, one or two channels, to the model's stems; `generator` seeds the shifts."""
        check_mix(mix)
        channels, length = mix.shape
        if channels > 2:
            raise SeparationError(f"demucs separates one or two channels, not {channels}")
        mix = mix.detach().float()
        level = float(mix.square().mean().sqrt()) if length else 0.0
        if level < SILENCE:
            return complete(mix, {name: torch.zeros_like(mix) for name in self.stems})
        offsets = self._offsets(generator)
        with _randomness_kept():
            estimate = self._separate((mix / level).expand(2, length)[None], offsets)[0] * level
        if not bool(torch.isfinite(estimate).all()):
            raise SeparationError(
                "demucs gave samples that are not finite: its weights are damaged, fetch them again"
            )
        if channels == 1:
            estimate = estimate.mean(1, keepdim=True)
        found = dict(zip(self._bag.sources, estimate.unbind(0), strict=True))
        return {name: stem.contiguous() for name, stem in complete(mix, found).items()}

    def _offsets(self, generator: torch.Generator | None) -> list[int]:
        """How many samples before the block each of the shifted passes begins."""
        most = self.sample_rate // 2
        drawn = torch.randint(most + 1, (self._shifts,), generator=generator or torch.Generator())
        return drawn.tolist() or [0]

    def _separate(self, mix: Tensor, offsets: list[int]) -> Tensor:
        """`[1, 2, T]` to `[1, S, 2, T]`, in shorter segments where memory does not suffice."""
        while True:
            try:
                total = self._apply(mix, offsets, 0)
                for number in range(1, len(offsets)):
                    total += self._apply(mix, offsets, number)
                return total / len(offsets) if len(offsets) > 1 else total
            except RuntimeError as error:
                if not _out_of_memory(error):
                    raise
                reason = _first_line(error)
            # Outside of the handler, whose traceback would keep the tensors alive.
            self._halve(reason)

    def _halve(self, reason: str) -> None:
        half = self._tiles.segment / 2
        if half < SHORTEST:
            raise SeparationError(
                f"device '{self._device}' has too little memory for demucs ({reason}): "
                "take '--device cpu' or '--separator embedded'"
            )
        log.warning(
            "out of memory on %s: separating in segments of %.2f s instead of %.2f s",
            self._device,
            half,
            self._tiles.segment,
        )
        self._tiles = tiles(half, self.sample_rate, self._overlap)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _apply(self, mix: Tensor, offsets: list[int], number: int) -> Tensor:
        """One pass. The library's own shifts depend on how long the block is."""
        offset = offsets[number]
        for network in self._bag.models:
            if isinstance(network, HTDemucs):
                # Otherwise it fills shorter segments up to the length of its training, in vain.
                trained = int(network.segment * self.sample_rate)
                network.use_train_segment = self._tiles.length + 1 >= trained
        estimate: Tensor = apply_model(
            self._bag,
            functional.pad(mix, (offset, 0)),
            shifts=0,
            overlap=self._tiles.overlap,
            segment=self._tiles.segment,
            device=self._device,
            callback=self._report(offset + mix.shape[-1], number) if self.progress else None,
        )
        return estimate[..., offset:]

    def _report(self, length: int, number: int) -> Any:
        """The library's callback (a dict for each segment) as a share of all passes."""
        progress = self.progress
        networks = len(self._bag.models)
        passes = networks * max(1, self._shifts)
        stride = self._tiles.stride

        def report(state: dict[str, Any]) -> None:
            if progress is None or state["state"] != "end":
                return
            done = number * networks + state["model_idx_in_bag"]
            share = min(1.0, (state["segment_offset"] + stride) / length)
            progress((done + share) / passes)

        return report


@contextmanager
def _randomness_kept() -> Iterator[None]:
    """The library draws from Python's global numbers, to no effect."""
    before = random.getstate()
    try:
        yield
    finally:
        random.setstate(before)


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error).lower()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


STEPS = (20, 10, 5, 4, 2, 1)
"""Strides that are taken unasked, in steps of the grid: half a minute holds a whole number."""
SHORTEST = 0.25
"""Seconds below which a segment is no longer worth separating."""


@dataclass(frozen=True)
class Tiles:
    """Segments of `length` samples, one every `stride` samples."""

    length: int
    stride: int
    sample_rate: int

    @property
    def segment(self) -> float:
        """The seconds that the library turns into this very length when it rounds down."""
        return (self.length + 0.5) / self.sample_rate

    @property
    def overlap(self) -> float:
        """The share that the library turns into this very stride when it rounds down."""
        return 1 - (self.stride + 0.5) / self.length


def tiles(seconds: float | Fraction, sample_rate: int, overlap: float | None = None) -> Tiles:
    """Segments of `seconds`, overlapping by the share `overlap`.

    Without `overlap` it is at least a fifth, and the stride is one that divides 20 steps of the
    grid.

    Raises SeparationError for a segment under a quarter of a second or an overlap outside 0 to
    0.95.
    """
    if not seconds >= SHORTEST:
        raise SeparationError(f"a segment of {float(seconds):g} s is too short: from {SHORTEST} s")
    length = int(seconds * sample_rate)
    if overlap is None:
        return Tiles(length, _aligned_stride(length), sample_rate)
    if not 0 <= overlap <= 0.95:
        raise SeparationError(f"overlap {overlap:g} is out of range: from 0 to 0.95")
    return Tiles(length, int((1 - overlap) * length), sample_rate)


def _aligned_stride(length: int) -> int:
    for stride in (steps * GRID for steps in STEPS):
        if 5 * stride <= 4 * length:
            return stride
    stride = GRID
    while 5 * stride > 4 * length:
        stride //= 2
    return stride
