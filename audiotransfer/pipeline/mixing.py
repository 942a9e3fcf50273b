"""From a song to its mix in the new style, block by block: separation, transfer of each stem, sum.

What is added to the song is the *difference* that the transfer makes. A song that nothing was
changed in comes out to the bit, at any rate and with whatever lies beyond the 44.1 kHz that
separators and styles work at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from audiotransfer.audio.channels import to_channels, to_stereo
from audiotransfer.audio.loudness import LoudnessMeter
from audiotransfer.audio.resampling import STEREO_RATE, StreamResampler
from audiotransfer.pipeline.planning import Plan, StemPlan
from audiotransfer.pipeline.progress import Tracker
from audiotransfer.pipeline.sources import PIECE, Measured, Source, folded
from audiotransfer.pipeline.streaming import (
    BLOCK,
    LARGE_BLOCK,
    TimeQueue,
    block_for,
    generator_for,
    in_blocks,
)
from audiotransfer.pipeline.workers import Workers, gather

_ROUNDING = 1e-5  # of the song's peak: what cross-fading a stem with itself may cost


@dataclass
class Mixer:
    """One song on its way through a plan. Its iterators can be used once."""

    plan: Plan
    source: Source
    measured: Measured
    tracker: Tracker
    workers: Workers = field(default_factory=Workers)
    changed: bool = False
    """Whether anything that counts was added to the song so far."""
    _native: TimeQueue | None = None
    """The song as it was, where the mix waits for it: nobody else would take it out again."""

    def __post_init__(self) -> None:
        self.styled = {name: stem for name, stem in self.plan.stems.items() if stem.changes}
        self.loudness = LoudnessMeter(self.source.sample_rate, self.measured.channels)
        """Of the song as it was, at the working level."""
        self.length = -(-self.measured.frames * STEREO_RATE // self.source.sample_rate)
        self.tracker.begin("transfer", self.length * (1 + len(self.styled)))

    def mixed(self, stems: Iterator[tuple[Tensor, Tensor]]) -> Iterator[Tensor]:
        """Dry and wet stems (from :meth:`stems`) to the mix ``[C, t]`` at the song's rate, of its
        exact length.
        """
        native = self._native = TimeQueue()
        channels, rate = self.measured.channels, self.source.sample_rate
        back = StreamResampler(STEREO_RATE, rate, channels)
        differences = TimeQueue()
        remaining = self.measured.frames
        done = 0
        for dry, wet in stems:
            difference = self._difference(dry, wet)
            audible = difference.abs().amax() > _ROUNDING * self.measured.true_peak
            self.changed = self.changed or bool(audible)
            done += difference.shape[-1]
            differences.push(back.push(to_channels(difference, channels), last=done == self.length))
            ready = min(differences.length, native.length, remaining)
            if ready:
                remaining -= ready
                yield native.take(ready) + differences.take(ready)

    def stems(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Dry stems ``[S, 2, t]`` and, of those that go through a style, the wet ones ``[K, 2,
        t]``, at the song's level and 44.1 kHz; a channel without a sound has none in them.
        """
        level = torch.full((2, 1), 1.0 / self.measured.scale)
        if self._one_sided:
            level[1 - self.measured.sounding[0]] = 0.0
        if not self.styled:
            for dry in self._separated():
                yield dry * level, dry.new_zeros(0, *dry.shape[1:])
            return
        waiting = TimeQueue()
        for wet in self._transferred(waiting):
            yield waiting.take(wet.shape[-1]) * level, wet * level

    def _difference(self, dry: Tensor, wet: Tensor) -> Tensor:
        """``[2, t]``: what the plan adds to the song; exactly zero where it changes nothing."""
        total = dry.new_zeros(dry.shape[1:])
        changed = dict(zip(self.styled, wet, strict=True))
        for (name, stem), before in zip(self.plan.stems.items(), dry, strict=True):
            after = changed.get(name, before)
            if stem.gain != 1.0 or after is not before:
                total += stem.gain * after - before
        return total

    def _separated(self) -> Iterator[Tensor]:
        separator = self.plan.separator
        # What takes all cores has none left over for the block after it.
        large = getattr(separator, "large", False)

        def separate(number: int, window: Tensor) -> Tensor:
            # The same for every block: segments that are shifted lie as they would in the whole.
            random = generator_for(self.plan.options.seed, "separator")
            with self.workers.every_core() if large else nullcontext():
                stems = separator(window, random)
            return torch.stack([stems[name] for name in self.plan.stems])

        pieces = in_blocks(
            self._scaled(),
            self.length,
            separate,
            context=separator.context,
            grid=separator.grid,
            block=self._block(separator.grid, LARGE_BLOCK if large else BLOCK),
            ahead=None if large else self.workers,
        )
        for piece in pieces:
            self.tracker.advance(piece.shape[-1])
            yield piece

    def _transferred(self, waiting: TimeQueue) -> Iterator[Tensor]:
        """Wet stems; the dry ones pass by into `waiting`."""
        names = list(self.plan.stems)
        seed = self.plan.options.seed

        def dry() -> Iterator[Tensor]:
            for piece in self._separated():
                waiting.push(piece)
                yield piece

        def transfer(number: int, window: Tensor) -> Tensor:
            shares = dict.fromkeys(self.styled, 0.0)
            drums = window[names.index("drums")] if "drums" in names else None
            begun = []

            def tick() -> None:
                self.tracker.part(sum(shares.values()) * window.shape[-1])

            for name, stem in self.styled.items():
                tick()
                begun.append(
                    self.workers.start(
                        _play,
                        stem,
                        window[names.index(name)],
                        drums,
                        generator_for(seed, number, name),
                        partial(shares.__setitem__, name),
                    )
                )
            return torch.stack(gather(begun, tick))

        grid = math.lcm(*(stem.grid for stem in self.styled.values()))

        pieces = in_blocks(
            dry(),
            self.length,
            transfer,
            context=max(stem.context for stem in self.styled.values()),
            grid=grid,
            block=self._block(grid, BLOCK),
        )
        for piece in pieces:
            self.tracker.advance(piece.shape[-1] * len(self.styled))
            yield piece

    def _block(self, grid: int, wanted: int) -> int:
        return self.plan.options.block or block_for(grid, wanted)

    def _scaled(self) -> Iterator[Tensor]:
        """The song as separators want it, ``[2, t]`` at 44.1 kHz and the working level; the
        original waits.
        """
        rate = self.source.sample_rate
        forth = StreamResampler(rate, STEREO_RATE, 2)
        frames = 0
        for piece in self.source.blocks(PIECE):
            audio = folded(piece, self.source.layout)
            if self._native is not None:
                self._native.push(audio)
            frames += audio.shape[-1]
            scaled = audio * self.measured.scale
            self.loudness.push(scaled)
            # Separators and styles, which know the sides of songs, get one-sided ones in mono.
            heard = scaled[self.measured.sounding] if self._one_sided else scaled
            yield forth.push(to_stereo(heard), last=frames == self.measured.frames)

    @property
    def _one_sided(self) -> bool:
        return self.measured.channels == 2 and len(self.measured.sounding) == 1


def _play(
    stem: StemPlan,
    sound: Tensor,
    drums: Tensor | None,
    generator: torch.Generator,
    progress: Callable[[float], None],
) -> Tensor:
    """A stem's sound in its style and behind its effects; ``drums`` are the song's own."""
    strength = 1.0 if stem.strength is None else stem.strength
    return stem.effects(stem.transfer(sound, strength, generator, progress), drums, strength)
