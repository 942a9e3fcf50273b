"""Genre transfer of pitched notes: windows of a piano roll through a network, and edits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.midi.piano_rolls import BAR, PHRASE, PITCHES, notes_of, roll_of
from audiotransfer.symbolic.genre.conditional_networks import ConditionalGenerator
from audiotransfer.symbolic.genre.edits import change_notes
from audiotransfer.symbolic.genre.paper_networks import PaperGenerator
from audiotransfer.weights import load_network, save_weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audiotransfer.midi.grid import Grid

Generator = PaperGenerator | ConditionalGenerator
NETWORKS: dict[str, Callable[..., Generator]] = {
    PaperGenerator.kind: PaperGenerator,
    ConditionalGenerator.kind: ConditionalGenerator,
}
_AT_ONCE = 16
_BEAT = 4  # sixteenths
_CLEARLY = 1.5  # times the sound that begins on the beats of the bars
#: Logit of cells outside all windows.
SILENCE = -20.0


class GenreGenerator(Protocol):
    """A generator: ``(roll [B, C, 64, 84], target [B]) -> logits [B, C, 64, 84]``.

    ``channels`` is 2 (onsets, what sounds) or 1 (what sounds).
    """

    channels: int
    genres: tuple[str, ...]

    def __call__(self, roll: Tensor, target: Tensor) -> Tensor: ...


class GenreTransfer:
    """Transfers all pitched tracks of a score, as one piano roll, to a genre; deterministic.

    ``threshold`` is the logit from which a cell sounds: higher gives fewer notes. Raises
    AudioTransferError for a genre that the network does not know.
    """

    def __init__(
        self, network: GenreGenerator, target: str, device: str, threshold: float = 0.0
    ) -> None:
        if target not in network.genres:
            raise AudioTransferError(
                f"the network cannot give the genre {target!r}: {', '.join(network.genres)}"
            )
        self.network, self.target = network, network.genres.index(target)
        self.device, self.threshold = torch.device(device), threshold

    def __call__(
        self,
        notes: NDArray[np.int64],
        grid: Grid,
        strength: float = 1.0,
        generator: torch.Generator | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> NDArray[np.int64]:
        """See `PartTransfer` and `change_notes`."""
        if strength == 0.0 or not len(notes):
            return notes
        roll = roll_of(notes, grid)
        logits = logits_over(self.network, roll, grid.bars, self.target, self.device, progress)
        return change_notes(notes, grid, logits - self.threshold, strength)


def load_part(path: Path, options: Mapping[str, Any], device: str) -> GenreTransfer:
    """Loads the transfer of pitched notes; options: ``target`` (genre), ``threshold`` (logit)."""
    network = load_generator(path).to(device).eval()
    threshold = float(options.get("threshold", 0.0))
    return GenreTransfer(network, str(options["target"]), device, threshold)


def save_generator(path: Path, generator: Generator) -> None:
    """Writes a generator as half-precision safetensors."""
    save_weights(path, generator.state_dict(), {"kind": generator.kind, **generator.shape()})


def load_generator(path: Path) -> Generator:
    """Reads what :func:`save_generator` wrote. Raises AudioTransferError for anything else."""
    return load_network(path, NETWORKS, "MIDI generator", again="the style")


def window_starts(bars: NDArray[np.int64]) -> list[int]:
    """Steps at which windows of 64 begin: on bar lines, at most half a window apart.

    ``bars`` ``[N + 1]`` are the steps of bar lines and the end. In bars longer than half a window
    windows begin between bar lines, too.
    """
    starts, half, end = [0], PHRASE // 2, int(bars[-1])
    while starts[-1] + PHRASE < end:
        reach = int(bars[np.searchsorted(bars, starts[-1] + half, side="right") - 1])
        starts.append(reach if reach > starts[-1] else starts[-1] + half)
    return starts


def beats_late(roll: NDArray[np.bool_], bars: NDArray[np.int64]) -> int:
    """Offset in sixteenths, 0 to 3, of the beats of a roll ``[2, S, 84]`` from its bar lines.

    The bar lines of files made from recordings are arbitrary. Beats are assumed at the offset at
    which most onsets, weighted by length, are; 0 where that is not clear, and where bars are no
    whole number of beats.
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
    """A network's logits ``[C, S, 84]`` for a roll ``[2, S, 84]`` of any length.

    Overlapping windows begin on beats and are cross-faded; silent ones are skipped.
    """
    steps = roll.shape[1]
    lead = -beats_late(roll, bars) % _BEAT  # silence that moves the beats onto those of the bars
    padded = np.pad(roll[-network.channels :], ((0, 0), (lead, PHRASE), (0, 0)))
    lines = np.append(bars[:-1], bars[-1] + lead)
    starts = [s for s in window_starts(lines) if padded[-1, s : s + PHRASE].any()]
    places = torch.arange(PHRASE, device=device)
    fade = torch.minimum(places + 0.5, PHRASE - 0.5 - places)[:, None] / (PHRASE / 2)
    total = torch.zeros(network.channels, padded.shape[1], PITCHES, device=device)
    weight = torch.zeros(padded.shape[1], 1, device=device)
    for first in range(0, len(starts), _AT_ONCE):
        chosen = starts[first : first + _AT_ONCE]
        batch = torch.from_numpy(np.stack([padded[:, s : s + PHRASE] for s in chosen])).to(device)
        given = network(batch.float(), torch.full((len(chosen),), target, device=device))
        for start, window in zip(chosen, given, strict=True):
            total[:, start : start + PHRASE] += window * fade
            weight[start : start + PHRASE] += fade
        if progress is not None:
            progress((first + len(chosen)) / len(starts))
    mean = torch.where(weight > 0, total / weight.clamp_min(1e-6), SILENCE)
    return mean[:, lead : lead + steps].cpu().numpy()
