"""What every generator is that can be used on a song."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from vocoder.pictures import Picture


class Repainter(nn.Module):
    """A network that looks at a stem and paints the picture that it should have.

    ``kind`` names it in weights files. Songs are painted in tiles of ``core`` frames, 128 or 256,
    that see ``margin`` more on each side and are cross-faded there.
    """

    kind: ClassVar[str]
    core: ClassVar[int] = 128
    margin: ClassVar[int] = 16

    @abstractmethod
    def shape(self) -> dict[str, Any]:
        """The arguments that build the same network again."""

    @staticmethod
    def look(sound: Tensor, picture: Picture) -> Tensor:
        """What it sees of a sound ``[C, T]``: ``[V, L]``, the picture first.

        By default only the one picture ``[F, L]`` of all channels.
        """
        return picture.stereo(sound)

    @staticmethod
    def hertz(picture: Picture) -> Tensor:
        """The frequency of each of the values of a frame that it sees, in Hz ``[V]``."""
        return picture.centres()

    @abstractmethod
    def repaint(self, views: Tensor, stem: Tensor) -> Tensor:
        """Views ``[B, V, L]`` and indices of stems ``[B]`` to pictures ``[B, F, L]``."""
