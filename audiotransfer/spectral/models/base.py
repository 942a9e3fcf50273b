"""What every generator is that can be used on a song."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from audiotransfer.errors import AudioTransferError
from audiotransfer.suggest import nearest
from vocoder.spectrogram import SpectrogramSettings, from_unit, to_unit


class SpectrogramModel(nn.Module):
    """A network that looks at a stem and paints the spectrogram that it should have.

    ``kind`` names it in weights files. Songs are painted in tiles of ``core`` frames, 128 or 256,
    that see ``margin`` more on each side and are cross-faded there.
    """

    kind: ClassVar[str]
    core: ClassVar[int] = 128
    margin: ClassVar[int] = 16

    @property
    def reach(self) -> int:
        """Frames on each side that a painted frame depends on: without norms over tiles, fewer than
        a tile has.
        """
        return self.core + 2 * self.margin

    @abstractmethod
    def shape(self) -> dict[str, Any]:
        """The arguments that build the same network again."""

    @staticmethod
    def look(sound: Tensor, spectrogram: SpectrogramSettings) -> Tensor:
        """What it sees of a sound ``[C, T]``: ``[V, L]``, the spectrogram first.

        By default only the one spectrogram ``[F, L]`` of all channels.
        """
        return spectrogram.stereo(sound)

    @staticmethod
    def sees(spectrogram: SpectrogramSettings) -> int:
        """Samples on each side of a frame's centre that `look` shows in it."""
        return spectrogram.reach

    @staticmethod
    def hertz(spectrogram: SpectrogramSettings) -> Tensor:
        """The frequency of each of the values of a frame that it sees, in Hz ``[V]``."""
        return spectrogram.centres()

    @abstractmethod
    def repaint(self, views: Tensor, stem: Tensor) -> Tensor:
        """Views ``[B, V, L]`` and indices of stems ``[B]`` to spectrograms ``[B, F, L]``."""

    def repaint_at(self, views: Tensor, stem: Tensor, strength: float) -> Tensor:
        """The same at a strength 0..1: that share of the change of every cell's level.

        A network that was taught strengths may know better.
        """
        painted = self.repaint(views, stem)
        return torch.lerp(views[:, : painted.shape[1]], painted, strength)

    def only(self, style: str) -> SpectrogramModel:
        """Of a network that knows several styles, what paints one of them.

        Raises AudioTransferError where there is no such style.
        """
        raise AudioTransferError(f"these weights hold no style {style!r}; install the style again")


def place_of(style: str, styles: Sequence[str]) -> int:
    """The index of a style among those of a network. Raises AudioTransferError where it has none
    of that name.
    """
    if style not in styles:
        near = nearest(style, styles) or styles
        raise AudioTransferError(f"no style {style!r} in these weights; {', '.join(near)}?")
    return styles.index(style)


class SpectrogramNetwork(SpectrogramModel):
    """Turns log-level spectrograms ``[B, F, L]`` into new ones, every cell painted afresh.

    A subclass says in `paint` what it does to spectrograms ``[B, 1, F, L]`` in -1..1, before tanh,
    and gives its settings to `__init__`, so that it can be built again from its `shape`.
    """

    def __init__(self, bins: int, **settings: Any) -> None:
        super().__init__()
        self.bins = bins
        self._settings = settings

    def forward(self, spectrogram: Tensor) -> Tensor:
        """``[B, F, L] -> [B, F, L]``, any length that the network takes."""
        painted = torch.tanh(self.paint(to_unit(spectrogram)[:, None]))
        return from_unit(painted[:, 0].float())

    def paint(self, unit: Tensor) -> Tensor:
        """``[B, 1, F, L] -> [B, 1, F, L]``, unbounded."""
        raise NotImplementedError

    def shape(self) -> dict[str, Any]:
        """What builds the same network again."""
        return {"bins": self.bins, **self._settings}

    def repaint(self, views: Tensor, stem: Tensor) -> Tensor:
        """As `forward`: one network for one stem, whichever it is."""
        painted: Tensor = self(views)
        return painted
