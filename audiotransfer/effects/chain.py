"""Effects one after the other, as a style's card names them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from audiotransfer.effects.chorus import chorus
from audiotransfer.effects.ducking import duck
from audiotransfer.effects.equaliser import equalise
from audiotransfer.effects.saturation import amplify, saturate
from audiotransfer.errors import AudioTransferError

#: Samples on each side that an effect may hear: a kick is forgotten after 0.86 s.
REACH = 40000


def _gain(sound: Tensor, db: float) -> Tensor:
    return sound * 10 ** (db / 20)


#: Name -> the effect and what it is set by.
EFFECTS: dict[str, tuple[Callable[..., Tensor], str]] = {
    "amplifier": (amplify, "drive"),
    "chorus": (chorus, "depth"),
    "ducking": (duck, "depth"),
    "equaliser": (equalise, "points"),
    "gain": (_gain, "db"),
    "saturation": (saturate, "drive"),
}
_HEAR_DRUMS = frozenset({"ducking"})

Effect = Callable[[Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Chain:
    """Effects in order."""

    effects: tuple[Effect, ...] = ()

    def __call__(self, sound: Tensor, drums: Tensor | None = None, strength: float = 1.0) -> Tensor:
        """``[C, T] -> [C, T]``; ``drums`` are the song's own, strength 0 returns the input."""
        finished = sound
        for effect in self.effects:
            finished = effect(finished, drums)
        return finished if strength == 1.0 else torch.lerp(sound, finished, strength)


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
    effect, knob = EFFECTS[name]
    if set(knobs) != {knob}:
        raise AudioTransferError(
            f"effect {name!r} is set by {knob!r} alone, not by {', '.join(knobs) or 'nothing'}"
        )
    if not _numeric(knobs[knob]):
        raise AudioTransferError(f"effect {name!r}: {knob} {knobs[knob]!r} is no number")
    if name in _HEAR_DRUMS:
        return partial(effect, **knobs)
    return lambda sound, drums: effect(sound, **knobs)


def _numeric(value: object) -> bool:
    """A number, or pairs of them."""
    if isinstance(value, list | tuple):
        return bool(value) and all(
            isinstance(pair, list | tuple) and len(pair) == 2 and all(map(_numeric, pair))
            for pair in value
        )
    return isinstance(value, int | float) and not isinstance(value, bool)
