"""The Demucs separator: any of its models, in bounded memory; stems sum to the mix."""

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
"""Default limit of a segment in seconds: models trained on 44 s separate as well with it, in half
of the memory and in blocks.
"""
SILENCE = 1e-10
"""RMS below which a block is treated as silence: scaling it up would separate rounding errors."""

STEPS = (20, 10, 5, 4, 2, 1)
"""Default strides, in multiples of the grid: 20 multiples hold a whole number of each."""
SHORTEST = 0.25
"""Shortest segment in seconds."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tiles:
    """Segments of `length` samples, one every `stride` samples."""

    length: int
    stride: int
    sample_rate: int

    @property
    def segment(self) -> float:
        """Length in seconds, for which the library computes exactly `length` samples."""
        return (self.length + 0.5) / self.sample_rate

    @property
    def overlap(self) -> float:
        """Overlap as a share of the length, for which the library computes exactly `stride`."""
        return 1 - (self.stride + 0.5) / self.length


def tiles(seconds: float | Fraction, sample_rate: int, overlap: float | None = None) -> Tiles:
    """Segments of `seconds`, overlapping by the share `overlap`.

    By default they overlap by at least a fifth, and the stride divides 20 multiples of the grid.

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
    """Largest default stride that leaves an overlap of a fifth."""
    for stride in (steps * GRID for steps in STEPS):
        if 5 * stride <= 4 * length:
            return stride
    stride = GRID
    while 5 * stride > 4 * length:
        stride //= 2
    return stride


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
    """The Demucs separator for `model`: a hub name, `FOLDER/NAME`, or a name in `model_folder`.

    The hub's local cache is searched first; `download` allows a request to the hub.

    Raises SeparationError where the weights cannot be found, are damaged, or are not Demucs's.
    """
    bag = load_bag(resolve(model, model_folder, download))
    separator = DemucsSeparator(
        bag, device=device, progress=progress, segment=segment, overlap=overlap, shifts=shifts
    )
    if not shifts and model_folder is None:
        separator.identity = f"{model} {segment} {overlap}"
    return separator


class DemucsSeparator:
    """Separates blocks with a bag of Demucs networks, by the authors' library.

    Défossez, "Hybrid spectrogram and waveform source separation" (2021); Rouard, Massa and
    Défossez, "Hybrid transformers for music source separation" (2023).

    `segment` (seconds) is the length of a network's input, at most that of its training; `overlap`
    is the share that neighbouring segments have in common (see `tiles`). Songs are cut at whole
    strides, so that blocks are made of the same segments as the whole song. With `shifts` the block
    is separated that many times at random offsets of up to half a second, drawn from the generator,
    and averaged: slightly better, at as many times the cost. When the device runs out of memory the
    segment is halved for all further blocks.

    The stems are the model's; what they leave of the mix is added to `other`. A mono mix is
    separated as two equal channels.
    """

    large = True
    identity = ""
    """Names the networks, which give the same stems each time; empty for random ones."""

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
        default_segment = trained if limit else min(trained, Fraction(LONGEST))
        self.stems: tuple[str, ...] = tuple(dict.fromkeys([*bag.sources, "other"]))
        self.sample_rate: int = bag.samplerate
        self.progress = progress
        self._overlap = overlap
        self._shifts = shifts
        self._tiles = tiles(
            default_segment if segment is None else segment, self.sample_rate, overlap
        )
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
        """Samples by which a segment that begins or ends in the kept part reaches beyond it."""
        # Shifted segments begin before the block, and the oldest networks pad their input.
        longer = self._shifts or any(isinstance(n, Demucs) for n in self._bag.models)
        return self._tiles.length - (0 if longer else self._tiles.stride)

    @property
    def grid(self) -> int:
        """One stride, in samples."""
        return self._tiles.stride

    def __call__(self, mix: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Mix `[C, T]`, one or two channels, to the model's stems; `generator` draws the shifts."""
        check_mix(mix)
        channels, length = mix.shape
        if channels > 2:
            raise SeparationError(f"demucs separates one or two channels, not {channels}")
        mix = mix.detach().float()
        level = float(mix.square().mean().sqrt()) if length else 0.0
        if level < SILENCE:
            return complete(mix, {name: torch.zeros_like(mix) for name in self.stems})
        offsets = self._offsets(generator)
        with _preserved_random_state():
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
        """Samples by which each of the shifted passes begins before the block."""
        longest = self.sample_rate // 2
        generator = generator or torch.Generator()
        return torch.randint(longest + 1, (self._shifts,), generator=generator).tolist() or [0]

    def _separate(self, mix: Tensor, offsets: list[int]) -> Tensor:
        """Mix `[1, 2, T]` to stems `[1, S, 2, T]`; halves the segment when memory is exhausted."""
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
        """Halve the segment. Raises SeparationError where it would be too short."""
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
        """One pass with a fixed shift. The library's own shifts depend on the block's length."""
        offset = offsets[number]
        for network in self._bag.models:
            if isinstance(network, HTDemucs):
                # Otherwise shorter segments are padded to the training length, at full cost.
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
        """The library's callback for a pass, which reports the share of all passes."""
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
def _preserved_random_state() -> Iterator[None]:
    """Restore Python's global random state, from which the library draws unused numbers."""
    before = random.getstate()
    try:
        yield
    finally:
        random.setstate(before)


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error).lower()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
