"""What a style does with the notes of a score: pitched parts and drums, each by their own way."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from audiotransfer.midi.grid import Grid

#: Stems of a symbolic style.
PITCHED, DRUMS = "pitched", "drums"
#: Who plays each of them: a module with ``load_part(path, options, device) -> PartTransfer``.
_PLAYERS = {
    PITCHED: "audiotransfer.symbolic.genre.transfer",
    DRUMS: "audiotransfer.symbolic.drums.transfer",
}


class PartTransfer(Protocol):
    """Turns the pitched notes of a score, or those of its drums, into a style's version of them."""

    def __call__(
        self,
        notes: NDArray[np.int64],
        grid: Grid,
        strength: float = 1.0,
        generator: torch.Generator | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> NDArray[np.int64]:
        """Tables ``[N, 5] -> [M, 5]`` (see `note_table`); the same bars, whatever their metre;
        strength 0 returns the input.
        """
        ...


def load(
    folder: Path, entry: Mapping[str, Any], stem: str, device: str, vocoder: str
) -> PartTransfer:
    """The transfer of one stem, ``pitched`` or ``drums``, as a style's card describes it.

    ``vocoder`` means nothing to notes. Raises AudioTransferError for another stem.
    """
    if stem not in _PLAYERS:
        raise AudioTransferError(
            f"a style for scores has the stem {stem!r}; there are {', '.join(_PLAYERS)}"
        )
    player = importlib.import_module(_PLAYERS[stem])
    part: PartTransfer = player.load_part(
        Path(folder) / str(entry["weights"]), dict(entry["options"]), device
    )
    return part
