"""The training's diary: one JSON line per entry, and TensorBoard where it is installed."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from audiotransfer.training.averages import MovingAverage
from audiotransfer.training.objective import Preview

NAME = "log.jsonl"
logger = logging.getLogger(__name__)


class Window:
    """Means of named figures since the last entry; a plain dict carries it over a resume."""

    def __init__(self, sums: Mapping[str, list[float]] | None = None) -> None:
        self.sums: dict[str, list[float]] = {k: list(v) for k, v in (sums or {}).items()}

    def add(self, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            entry = self.sums.setdefault(name, [0.0, 0])
            entry[0] += value
            entry[1] += 1

    def means(self) -> dict[str, float]:
        return {name: total / count for name, (total, count) in self.sums.items()}


class Log:
    """Appends to `folder/log.jsonl` and to TensorBoard event files in `folder`.

    Entries of steps after `step` belong to a run that was cut off and is now repeated: they go.
    Without a folder nothing is written. A disk that is full costs entries, not the training.
    """

    def __init__(self, folder: Path | None, step: int) -> None:
        self.board: Any = None
        self.path: Path | None = None
        self._complained = False
        if folder is None:
            return
        with self._spared():
            folder.mkdir(parents=True, exist_ok=True)
            self.path = folder / NAME
            if self.path.exists():
                lines = self.path.read_text().splitlines()
                kept = [line for line in lines if _step_of(line) <= step]
                self.path.write_text("".join(f"{line}\n" for line in kept))
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                return
            self.board = SummaryWriter(str(folder), purge_step=step + 1)

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Write numbers that describe the training after `step` steps."""
        finite = {name: v if math.isfinite(v) else None for name, v in figures.items()}
        with self._spared():
            self._write({"step": step, **finite})
            if self.board is not None:
                for name, value in figures.items():
                    self.board.add_scalar(name, value, step)

    def note(self, step: int, text: str) -> None:
        """Write a sentence about the training after `step` steps."""
        with self._spared():
            self._write({"step": step, "note": text})
            if self.board is not None:
                self.board.add_text("diagnosis", text, step)

    def preview(self, step: int, preview: Preview) -> None:
        """Show pictures [F, L], low frequencies at the bottom, and audio folded to mono."""
        if self.board is None:
            return
        with self._spared():
            for name, picture in preview.spectrograms.items():
                self.board.add_image(f"pictures/{name}", _colours(picture), step, dataformats="HWC")
            for name, (audio, rate) in preview.audio.items():
                mono = audio.detach().float().mean(0).clamp(-1, 1).cpu()
                self.board.add_audio(f"audio/{name}", mono, step, sample_rate=rate)

    def close(self) -> None:
        if self.board is not None:
            with self._spared():
                self.board.close()

    def _write(self, entry: dict[str, Any]) -> None:
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(entry, allow_nan=False) + "\n")

    @contextmanager
    def _spared(self) -> Iterator[None]:
        """A log that cannot be written is said once."""
        try:
            yield
        except OSError as error:
            if not self._complained:
                logger.warning("the log cannot be written (%s); training goes on without", error)
            self._complained = True


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # the last line of a killed run may be torn
        return math.inf


def _colours(picture: Tensor) -> np.ndarray:
    from matplotlib import colormaps

    values = picture.detach().float().cpu().numpy()[::-1]
    span = float(values.max() - values.min()) or 1.0
    return np.asarray(colormaps["magma"]((values - values.min()) / span))[..., :3]


@contextmanager
def showing(
    networks: Mapping[str, nn.Module], average: MovingAverage | None, device: torch.device
) -> Iterator[None]:
    """Evaluation mode, averaged weights, no gradients, and no trace in the random numbers."""
    averaged = average.in_place() if average is not None else nullcontext()
    with torch.no_grad(), own_randomness(device), averaged:
        for network in networks.values():
            network.eval()
        try:
            yield
        finally:
            for network in networks.values():
                network.train()


@contextmanager
def own_randomness(device: torch.device) -> Iterator[None]:
    """Leave the caller's global random numbers as they were."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


@contextmanager
def own_threads(count: int | None) -> Iterator[None]:
    """Compute with so many threads, then as the caller did; None: as the caller does."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
