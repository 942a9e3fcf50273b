"""The protocol of a MIDI style's transfer of pitched parts or drums, and its loading."""

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
#: Stem -> module with ``load_part(path, options, device) -> PartTransfer``.
_MODULES = {
    PITCHED: "audiotransfer.symbolic.genre.transfer",
    DRUMS: "audiotransfer.symbolic.drums.transfer",
}


class PartTransfer(Protocol):
    """Transfers the pitched notes of a score, or those of its drums, to a style."""

    def __call__(
        self,
        notes: NDArray[np.int64],
        grid: Grid,
        strength: float = 1.0,
        generator: torch.Generator | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> NDArray[np.int64]:
        """Tables ``[N, 5] -> [M, 5]`` (see `note_table`) of the same bars; strength 0 returns the
        input.
        """
        ...


def load(
    folder: Path, entry: Mapping[str, Any], stem: str, device: str, vocoder: str
) -> PartTransfer:
    """The transfer of a stem, ``pitched`` or ``drums``, by its entry in a style's card.

    ``vocoder`` is ignored. Raises AudioTransferError for another stem.
    """
    if stem not in _MODULES:
        raise AudioTransferError(
            f"a style for MIDI has the stem {stem!r}; there are {', '.join(_MODULES)}"
        )
    module = importlib.import_module(_MODULES[stem])
    part: PartTransfer = module.load_part(
        Path(folder) / str(entry["weights"]), dict(entry["options"]), device
    )
    return part
