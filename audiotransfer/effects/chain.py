"""Chains of effects, read from a style's card."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from audiotransfer.effects.effects import (
    MEMORY,
    PERIOD,
    TAPS,
    amplify,
    chorus,
    duck,
    equalise,
    saturate,
)
from audiotransfer.errors import AudioTransferError


def _gain(sound: Tensor, db: float) -> Tensor:
    return sound * 10 ** (db / 20)


@dataclass(frozen=True)
class EffectType:
    """An effect's function, its one parameter, and its context and period for block processing."""

    apply: Callable[..., Tensor]
    parameter: str
    reach: int = 0
    """Samples on each side that an output sample depends on."""
    memory: int = 0
    """Samples for which past drums affect the output; above 0 the drums are passed to `apply`."""
    grid: int = 1
    """Period in samples of a time-varying effect."""
    together: bool = False
    """Whether channels are processed differently, and so have to be passed together."""


_SATURATION = 4096
EFFECTS: dict[str, EffectType] = {
    "amplifier": EffectType(amplify, "drive", reach=_SATURATION + TAPS),
    "chorus": EffectType(chorus, "depth", reach=1300, grid=PERIOD, together=True),
    "ducking": EffectType(duck, "depth", memory=MEMORY),
    "equaliser": EffectType(equalise, "points", reach=TAPS // 2),
    "gain": EffectType(_gain, "db"),
    "saturation": EffectType(saturate, "drive", reach=_SATURATION),
}


@dataclass(frozen=True)
class Effect:
    """An effect with the value of its parameter."""

    type: EffectType
    value: Any

    def __call__(self, sound: Tensor, drums: Tensor | None) -> Tensor:
        """``[C, T]`` to ``[C, T]``; ``drums`` ``[C, T]`` are those of the song."""
        setting = {self.type.parameter: self.value}
        if self.type.memory:
            return self.type.apply(sound, drums, **setting)
        if self.type.together:
            return self.type.apply(sound, **setting)
        # Oversampling takes many times the memory of the sound: one channel at a time.
        return torch.cat([self.type.apply(channel, **setting) for channel in sound.split(1)])


@dataclass(frozen=True)
class Chain:
    """Effects in order; blocks that start on a multiple of ``grid`` equal the song in one piece."""

    effects: tuple[Effect, ...] = ()

    def __call__(self, sound: Tensor, drums: Tensor | None = None, strength: float = 1.0) -> Tensor:
        """``[C, T]`` to ``[C, T]``; ``drums`` are the song's. Strength 0 returns the input."""
        processed = sound
        for effect in self.effects:
            processed = effect(processed, drums)
        return processed if strength == 1.0 else torch.lerp(sound, processed, strength)

    @property
    def grid(self) -> int:
        """Least common multiple of the effects' periods, in samples."""
        return math.lcm(*(effect.type.grid for effect in self.effects))

    def context(self, sound: int) -> int:
        """Samples of context that a block needs on each side.

        ``sound`` is the context that the stem itself needs to be right; the drums need none.
        """
        for effect in self.effects:
            sound = max(sound + effect.type.reach, effect.type.memory)
        return sound


NO_EFFECTS = Chain()


def read_chain(settings: Sequence[Mapping[str, Any]]) -> Chain:
    """A chain such as ``[{"effect": "amplifier", "drive": 4.0}, {"effect": "gain", "db": 3.0}]``.

    Raises AudioTransferError for an unknown effect or parameter, and for a value that is no number.
    """
    return Chain(tuple(_read(setting) for setting in settings))


def _read(setting: Mapping[str, Any]) -> Effect:
    settings = dict(setting)
    name = settings.pop("effect", None)
    if name not in EFFECTS:
        raise AudioTransferError(f"effect {name!r} is unknown; there are {', '.join(EFFECTS)}")
    type = EFFECTS[name]
    parameter = type.parameter
    if set(settings) != {parameter}:
        raise AudioTransferError(
            f"effect {name!r} is set by {parameter!r} alone, "
            f"not by {', '.join(settings) or 'nothing'}"
        )
    if not _numeric(settings[parameter]):
        raise AudioTransferError(
            f"effect {name!r}: {parameter} {settings[parameter]!r} is no number"
        )
    return Effect(type, settings[parameter])


def _numeric(value: object) -> bool:
    """Whether a value is a number, or a list of pairs of numbers."""
    if isinstance(value, list | tuple):
        return bool(value) and all(
            isinstance(pair, list | tuple) and len(pair) == 2 and all(map(_numeric, pair))
            for pair in value
        )
    return isinstance(value, int | float) and not isinstance(value, bool)
