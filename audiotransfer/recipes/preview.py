"""Files to watch a training by in its folder: panel.txt, preview.png, preview.wav."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from audiotransfer.audio.writing import write_audio
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation import save_comparison
from audiotransfer.training import Trainer
from audiotransfer.training.panel import write_panel

PLOT, SOUND = "preview.png", "preview.wav"
_SECONDS = 5.0  # of the sample before, and after
_FADE = 441  # samples
_PANEL_SECONDS = 15.0  # between two panels
logger = logging.getLogger(__name__)


class Previews:
    """Writes a preview of the present networks every so many ``minutes``, and one soon; and the
    panel of the log's figures when there are new ones.

    ``preview.png`` shows the spectrograms of the first sample before and after, ``preview.wav`` has
    5 s of it before, then the same 5 s after. A training without samples has none. What cannot be
    written is a warning.
    """

    def __init__(
        self,
        folder: Path,
        trainer: Trainer,
        minutes: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._trainer, self._seconds = folder, trainer, 60 * minutes
        self._clock = clock
        self._due = clock() + self._seconds / 5
        self._panel_due = clock()

    def update(self) -> None:
        """Writes panel and preview if they are due."""
        if not self._trainer.first:
            return
        settings = self._trainer.settings
        if self._trainer.step % settings.log_every == 0 and self._clock() >= self._panel_due:
            self._panel_due = self._clock() + _PANEL_SECONDS
            write_panel(self._folder, settings.steps)
        if self._clock() < self._due:
            return
        try:
            self.write()
        except (AudioTransferError, OSError) as error:
            logger.warning("no preview: %s", error)
        self._due = self._clock() + self._seconds

    def write(self) -> None:
        """Writes the preview of the first sample; nothing where there is none."""
        pairs = _first_pair(self._trainer.sounds())
        if pairs is None:
            return
        (before, after), rate = pairs
        length = round(_SECONDS * rate)
        before, after = before[:, :length], after[:, :length]
        title = f"step {self._trainer.step}"
        plot = self._folder / f".{PLOT}"
        save_comparison(plot, {"before": before, "after": after}, rate, title=title)
        plot.replace(self._folder / PLOT)
        both = torch.cat([_faded(before), _faded(after)], -1)
        both = both / max(1.0, float(both.abs().max()))
        write_audio(self._folder / SOUND, both, rate, overwrite=True)


def _first_pair(sounds: dict[str, tuple[Tensor, int]]) -> tuple[tuple[Tensor, Tensor], int] | None:
    """The first sample's sound before and in the first style after, and their rate."""
    sources = [name for name in sounds if name.endswith("/source")]
    if not sources:
        return None
    stem = sources[0].removesuffix("/source")
    others = [name for name in sounds if name.startswith(f"{stem}/") and name != sources[0]]
    if not others:
        return None
    before, rate = sounds[sources[0]]
    return (before, sounds[others[0]][0]), rate


def _faded(sound: Tensor) -> Tensor:
    """A sound with 10 ms of fade at both ends."""
    faded = sound.clone()
    count = min(_FADE, sound.shape[-1] // 2)
    ramp = torch.linspace(0, 1, max(count, 1))[:count]
    faded[:, :count] *= ramp
    faded[:, sound.shape[-1] - count :] *= ramp.flip(0)
    return faded
