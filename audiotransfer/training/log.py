"""The training's diary: one JSON line per entry, and TensorBoard where it is installed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from audiotransfer.training.turns import Preview


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
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / "log.jsonl"
        if self.path.exists():
            kept = [line for line in self.path.read_text().splitlines() if _step_of(line) <= step]
            self.path.write_text("".join(f"{line}\n" for line in kept))
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.board: Any = None
        else:
            self.board = SummaryWriter(str(folder), purge_step=step + 1)

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Write numbers that describe the training after `step` steps."""
        line = {
            name: value if math.isfinite(value) else None
            for name, value in ({"step": step} | dict(figures)).items()
        }
        with self.path.open("a") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")
        if self.board is not None:
            for name, value in figures.items():
                self.board.add_scalar(name, value, step)

    def preview(self, step: int, preview: Preview) -> None:
        """Show pictures [F, L], low frequencies at the bottom, and audio folded to mono."""
        if self.board is None:
            return
        for name, picture in preview.pictures.items():
            self.board.add_image(f"pictures/{name}", _colours(picture), step, dataformats="HWC")
        for name, (audio, rate) in preview.audio.items():
            mono = audio.detach().float().mean(0).clamp(-1, 1).cpu()
            self.board.add_audio(f"audio/{name}", mono, step, sample_rate=rate)

    def close(self) -> None:
        if self.board is not None:
            self.board.close()


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
