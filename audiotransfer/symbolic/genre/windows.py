"""A network that sees phrases, over a score of any length: windows that overlap, cross-faded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from audiotransfer.symbolic.rolls import BAR, PHRASE, PITCHES, notes_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_AT_ONCE = 16
_BEAT = 4  # sixteenths
_CLEARLY = 1.5  # times as much sound as begins on the beats of the bars
#: The logit of cells that no network was asked about.
SILENCE = -20.0


class GenreGenerator(Protocol):
    """Gives phrases a genre: ``(roll [B, C, 64, 84], target [B]) -> logits [B, C, 64, 84]``.

    ``channels`` is 2 (a note begins, a note sounds) or 1 (a note sounds).
    """

    channels: int
    genres: tuple[str, ...]

    def __call__(self, roll: Tensor, target: Tensor) -> Tensor: ...


def window_starts(bars: NDArray[np.int64]) -> list[int]:
    """Steps where windows of 64 begin: on bar lines, each at most half a window after the last.

    ``bars`` ``[N + 1]`` are the steps of bar lines with the end. Bars that are longer than half a
    window are entered in the middle as well.
    """
    starts, half, end = [0], PHRASE // 2, int(bars[-1])
    while starts[-1] + PHRASE < end:
        reach = int(bars[np.searchsorted(bars, starts[-1] + half, side="right") - 1])
        starts.append(reach if reach > starts[-1] else starts[-1] + half)
    return starts


def beats_late(roll: NDArray[np.bool_], bars: NDArray[np.int64]) -> int:
    """How many sixteenths, 0 to 3, the beats of a roll ``[2, S, 84]`` come after those of its bars.

    Files made from recordings put their bars anywhere. Beats are where most of the sound begins,
    by the lengths of notes; where that is not clear, and in bars that are no whole beats, they are
    where the bars say.
    """
    if (np.diff(bars) % _BEAT).any():
        return 0
    notes = notes_of(roll)
    sound = np.bincount(notes[:, 0] % _BEAT, np.minimum(notes[:, 1], BAR), _BEAT)
    most = int(sound.argmax())
    return most if sound[most] > _CLEARLY * sound[0] else 0


@torch.no_grad()
def logits_over(
    network: GenreGenerator,
    roll: NDArray[np.bool_],
    bars: NDArray[np.int64],
    target: int,
    device: torch.device,
    progress: Callable[[float], None] | None = None,
) -> NDArray[np.float32]:
    """What a network makes of a roll ``[2, S, 84]`` of any length: logits ``[C, S, 84]``.

    Windows begin with a beat, and count most in their middle. Those in which nothing sounds are
    passed over.
    """
    steps = roll.shape[1]
    lead = -beats_late(roll, bars) % _BEAT  # silence that moves the beats onto those of the bars
    seen = np.pad(roll[-network.channels :], ((0, 0), (lead, PHRASE), (0, 0)))
    lines = np.append(bars[:-1], bars[-1] + lead)
    starts = [s for s in window_starts(lines) if seen[-1, s : s + PHRASE].any()]
    places = torch.arange(PHRASE, device=device)
    fade = torch.minimum(places + 0.5, PHRASE - 0.5 - places)[:, None] / (PHRASE / 2)
    total = torch.zeros(network.channels, seen.shape[1], PITCHES, device=device)
    weight = torch.zeros(seen.shape[1], 1, device=device)
    for first in range(0, len(starts), _AT_ONCE):
        chosen = starts[first : first + _AT_ONCE]
        batch = torch.from_numpy(np.stack([seen[:, s : s + PHRASE] for s in chosen])).to(device)
        given = network(batch.float(), torch.full((len(chosen),), target, device=device))
        for start, window in zip(chosen, given, strict=True):
            total[:, start : start + PHRASE] += window * fade
            weight[start : start + PHRASE] += fade
        if progress is not None:
            progress((first + len(chosen)) / len(starts))
    mean = torch.where(weight > 0, total / weight.clamp_min(1e-6), SILENCE)
    return mean[:, lead : lead + steps].cpu().numpy()
