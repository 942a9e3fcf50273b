"""Log of a training: a JSON line per entry, TensorBoard if installed; and the run's progress."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from audiotransfer.training.objective import Preview

NAME = "log.jsonl"
logger = logging.getLogger(__name__)


class Window:
    """Running means of named figures since the last log entry; `sums` restores one."""

    def __init__(self, sums: Mapping[str, list[float]] | None = None) -> None:
        self.sums: dict[str, list[float]] = {k: list(v) for k, v in (sums or {}).items()}

    def add(self, figures: Mapping[str, float]) -> None:
        """Adds one step's figures."""
        for name, value in figures.items():
            entry = self.sums.setdefault(name, [0.0, 0])
            entry[0] += value
            entry[1] += 1

    def means(self) -> dict[str, float]:
        """The mean of each figure."""
        return {name: total / count for name, (total, count) in self.sums.items()}


@dataclass
class Progress:
    """Steps done and failed, figures, and the best validation score."""

    step: int = 0
    failed: int = 0
    failed_in_a_row: int = 0
    best: float = -math.inf
    since_best: int = 0  # validations
    window: Window = field(default_factory=Window)
    figures: dict[str, float] = field(default_factory=dict)

    def record_score(self, score: float | None) -> bool:
        """Records a validation's score, if it has one; returns whether it is the best so far."""
        if score is None:
            return False
        better = score > self.best
        self.since_best = 0 if better else self.since_best + 1
        if better:
            self.best = score
        return better

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON takes them."""
        return {
            "step": self.step,
            "failed": self.failed,
            "failed_in_a_row": self.failed_in_a_row,
            "best": self.best if math.isfinite(self.best) else None,
            "since_best": self.since_best,
            "window": self.window.sums,
            "figures": {n: v if math.isfinite(v) else None for n, v in self.figures.items()},
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Progress:
        """The inverse of `to_json`, for older checkpoints too."""
        return cls(
            int(facts["step"]),
            int(facts["failed"]),
            int(facts["failed_in_a_row"]),
            -math.inf if facts["best"] is None else float(facts["best"]),
            int(facts.get("since_best", 0)),
            Window(facts["window"]),
            {n: math.nan if v is None else v for n, v in facts["figures"].items()},
        )


class Log:
    """Appends to `folder/log.jsonl` and to TensorBoard event files in `folder`.

    Entries of steps after `step`, from an interrupted run that is now resumed, are removed. Without
    a folder nothing is written. If the disk is full entries are lost, but the training goes on.
    """

    def __init__(self, folder: Path | None, step: int) -> None:
        self.board: Any = None
        self.path: Path | None = None
        self._warned = False
        if folder is None:
            return
        with self._tolerant():
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
        """Writes figures of the training after `step` steps."""
        finite = {name: v if math.isfinite(v) else None for name, v in figures.items()}
        with self._tolerant():
            self._write({"step": step, **finite})
            if self.board is not None:
                for name, value in figures.items():
                    self.board.add_scalar(name, value, step)

    def note(self, step: int, text: str) -> None:
        """Writes a sentence about the training after `step` steps."""
        with self._tolerant():
            self._write({"step": step, "note": text})
            if self.board is not None:
                self.board.add_text("diagnosis", text, step)

    def preview(self, step: int, preview: Preview) -> None:
        """Writes images [F, L], low frequencies at the bottom, and audio mixed to mono."""
        if self.board is None:
            return
        with self._tolerant():
            for name, image in preview.images.items():
                self.board.add_image(f"images/{name}", _colours(image), step, dataformats="HWC")
            for name, (audio, rate) in preview.audio.items():
                mono = audio.detach().float().mean(0).clamp(-1, 1).cpu()
                self.board.add_audio(f"audio/{name}", mono, step, sample_rate=rate)

    def close(self) -> None:
        """Closes the event files."""
        if self.board is not None:
            with self._tolerant():
                self.board.close()

    def _write(self, entry: dict[str, Any]) -> None:
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(entry, allow_nan=False) + "\n")

    @contextmanager
    def _tolerant(self) -> Iterator[None]:
        """Logs a warning instead of the first OSError, and ignores further ones."""
        try:
            yield
        except OSError as error:
            if not self._warned:
                logger.warning("the log cannot be written (%s); training goes on without", error)
            self._warned = True


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # the last line of a killed run may be torn
        return math.inf


def _colours(image: Tensor) -> np.ndarray:
    """RGB values 0..1 ``[F, L, 3]``, upside down, scaled to the image's own range."""
    from matplotlib import colormaps

    values = image.detach().float().cpu().numpy()[::-1]
    span = float(values.max() - values.min()) or 1.0
    return np.asarray(colormaps["magma"]((values - values.min()) / span))[..., :3]
