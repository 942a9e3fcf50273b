"""Turning the hub client's progress bar into calls of our own."""

from __future__ import annotations

import io
from typing import Any

from tqdm.std import tqdm

from separation.base import Progress


def progress_bar(report: Progress) -> type[tqdm]:
    """A progress bar class that draws nothing and calls `report` with the share of bytes."""

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "file": io.StringIO(), "disable": False})

        def display(self, *args: Any, **kwargs: Any) -> None:
            if self.total:
                report(min(1.0, self.n / self.total))

    return Bar
