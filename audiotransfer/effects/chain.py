"""Effects one after the other, as a style's card names them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from audiotransfer.effects.chorus import PERIOD, chorus
from audiotransfer.effects.ducking import MEMORY, duck
from audiotransfer.effects.equaliser import TAPS, equalise
from audiotransfer.effects.saturation import amplify, saturate
from audiotransfer.errors import AudioTransferError


def _gain(sound: Tensor, db: float) -> Tensor:
    return sound * 10 ** (db / 20)


@dataclass(frozen=True)
class Kind:
    """What there is to know of an effect."""

    apply: Callable[..., Tensor]
    knob: str
    """What it is set by."""
    reach: int = 0
    """Samples on each side that a sample depends on."""
    memory: int = 0
    """Samples for which it remembers the song's drums; one that does is given them."""
    grid: int = 1
    """Samples after which it is where it began."""
    together: bool = False
    """Whether channels are treated differently."""


_SATURATION = 4096
EFFECTS: dict[str, Kind] = {
    "amplifier": Kind(amplify, "drive", reach=_SATURATION + TAPS),
    "chorus": Kind(chorus, "depth", reach=1300, grid=PERIOD, together=True),
    "ducking": Kind(duck, "depth", memory=MEMORY),
    "equaliser": Kind(equalise, "points", reach=TAPS // 2),
    "gain": Kind(_gain, "db"),
    "saturation": Kind(saturate, "drive", reach=_SATURATION),
}


@dataclass(frozen=True)
class Effect:
    """An effect as it is set."""

    kind: Kind
    value: Any

    def __call__(self, sound: Tensor, drums: Tensor | None) -> Tensor:
        setting = {self.kind.knob: self.value}
        if self.kind.memory:
            return self.kind.apply(sound, drums, **setting)
        if self.kind.together:
            return self.kind.apply(sound, **setting)
        # Oversampling takes many times the memory of the sound: one channel at a time.
        return torch.cat([self.kind.apply(channel, **setting) for channel in sound.split(1)])


@dataclass(frozen=True)
class Chain:
    """Effects in order.

    A block that starts on a multiple of ``grid`` sounds as it does in the song.
    """

    effects: tuple[Effect, ...] = ()

    def __call__(self, sound: Tensor, drums: Tensor | None = None, strength: float = 1.0) -> Tensor:
        """``[C, T] -> [C, T]``; ``drums`` are the song's own, strength 0 returns the input."""
        finished = sound
        for effect in self.effects:
            finished = effect(finished, drums)
        return finished if strength == 1.0 else torch.lerp(sound, finished, strength)

    @property
    def grid(self) -> int:
        """Samples."""
        return math.lcm(*(effect.kind.grid for effect in self.effects))

    def context(self, sound: int) -> int:
        """Samples that a block wants on each side, where its sound is right from ``sound`` samples
        on, and its drums from the first.
        """
        for effect in self.effects:
            sound = max(sound + effect.kind.reach, effect.kind.memory)
        return sound


NO_EFFECTS = Chain()


def read_chain(settings: Sequence[Mapping[str, Any]]) -> Chain:
    """A chain such as ``[{"effect": "amplifier", "drive": 4.0}, {"effect": "gain", "db": 3.0}]``.

    Raises AudioTransferError for an effect or a setting that there is not, or that is no number.
    """
    return Chain(tuple(_read(setting) for setting in settings))


def _read(setting: Mapping[str, Any]) -> Effect:
    knobs = dict(setting)
    name = knobs.pop("effect", None)
    if name not in EFFECTS:
        raise AudioTransferError(f"effect {name!r} is unknown; there are {', '.join(EFFECTS)}")
    kind = EFFECTS[name]
    knob = kind.knob
    if set(knobs) != {knob}:
        raise AudioTransferError(
            f"effect {name!r} is set by {knob!r} alone, not by {', '.join(knobs) or 'nothing'}"
        )
    if not _numeric(knobs[knob]):
        raise AudioTransferError(f"effect {name!r}: {knob} {knobs[knob]!r} is no number")
    return Effect(kind, knobs[knob])


def _numeric(value: object) -> bool:
    """A number, or pairs of them."""
    if isinstance(value, list | tuple):
        return bool(value) and all(
            isinstance(pair, list | tuple) and len(pair) == 2 and all(map(_numeric, pair))
            for pair in value
        )
    return isinstance(value, int | float) and not isinstance(value, bool)
