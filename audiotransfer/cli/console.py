"""What a person reads: results on stdout, notices and one line of progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

#: A job that ends sooner shows no progress.
_PATIENCE_SECONDS = 1.0
_REDRAW_SECONDS = 0.2
#: Where stderr is a file and lines cannot be redrawn, one is written this often.
_LOG_SECONDS = 10.0


class ProgressLine:
    """Stage, share and time left of one song after the other, in one line that is redrawn."""

    def __init__(self, titles: Sequence[str], quiet: bool) -> None:
        self._titles = list(titles)
        self._number = 0
        self._quiet = quiet
        self._bar: tqdm | None = None

    def show(self, stage: str, share: float) -> None:
        """``share`` (0..1) of the present song is done, and this is being done."""
        if self._bar is None:
            self._bar = self._draw()
        self._bar.set_description_str(f"{self._title()}: {stage}", refresh=False)
        self._bar.update(100 * min(max(share, 0.0), 1.0) - self._bar.n)

    def next(self) -> None:
        """The present song is over: its line is wiped away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._number += 1

    def _title(self) -> str:
        title = self._titles[min(self._number, len(self._titles) - 1)]
        many = len(self._titles) > 1
        return f"{title} ({self._number + 1} of {len(self._titles)})" if many else title

    def _draw(self) -> tqdm:
        from tqdm import tqdm

        seen = sys.stderr.isatty()
        return tqdm(
            total=100.0,
            file=sys.stderr,
            bar_format="{desc} {percentage:3.0f} % |{bar:20}| {remaining} left",
            leave=False,
            smoothing=0,
            dynamic_ncols=seen,
            disable=self._quiet,
            delay=_PATIENCE_SECONDS if seen else _LOG_SECONDS,
            mininterval=_REDRAW_SECONDS if seen else _LOG_SECONDS,
        )


class Console:
    """Prints for people, or as JSON for programs."""

    def __init__(self, *, quiet: bool = False, as_json: bool = False) -> None:
        self.quiet = quiet
        self.as_json = as_json

    def result(self, text: str, values: Any) -> None:
        """The answer: the text, or the values where JSON was asked for."""
        if self.as_json:
            print(json.dumps(values, ensure_ascii=False, indent=1, default=str))
        elif text:
            print(text, flush=True)

    def notice(self, text: str) -> None:
        """Something worth knowing that is no result."""
        if not self.quiet:
            self.error(text)

    def error(self, text: str) -> None:
        """One line about something that failed while the rest goes on."""
        sys.stderr.write(f"audiotransfer: {text}\n")

    @contextmanager
    def progress(self, *titles: str) -> Iterator[ProgressLine]:
        """A progress line for what is worked on, wiped away at the end."""
        line = ProgressLine(titles, self.quiet)
        try:
            yield line
        finally:
            line.next()
