"""One song or many: what is no song at first sight, and what a failure among many means."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotransfer.cli.console import Console
from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from audiotransfer.pipeline.options import Report
    from audiotransfer.pipeline.scores import ScoreReport

#: Names of MIDI files that are read, and of those that are written (see `symbolic.score`).
SCORES = (".mid", ".midi", ".kar", ".rmi")
WRITTEN = (".mid", ".midi", ".kar")


def expected_errors() -> tuple[type[Exception], ...]:
    """The roots of what a user can put right, of the packages that are loaded by now."""
    roots: list[type[Exception]] = [AudioTransferError]
    for package, root in (("separation", "SeparationError"), ("vocoder", "VocoderError")):
        # A package that was never imported cannot have raised anything.
        module = sys.modules.get(f"{package}.errors")
        if module is not None:
            roots.append(getattr(module, root))
    return tuple(roots)


def one_line(error: Exception | str) -> str:
    """A message without line breaks."""
    return " ".join(str(error).split())


def check_song(place: Path, *, scores: bool = False) -> None:
    """Raises AudioTransferError for what is no song by its name and size; opens nothing.

    MIDI files are songs only to those who can do something with ``scores``.
    """
    if not place.exists():
        raise AudioTransferError(f"{place} does not exist; check the name and the folder")
    if place.suffix.lower() in SCORES and not scores:
        raise AudioTransferError(
            f"{place} is a score, and this is for recordings; `audiotransfer render` makes one of"
            " it"
        )
    if place.is_file() and place.stat().st_size == 0:
        raise AudioTransferError(f"{place} is empty (0 bytes); copy or export it again")


def check_only(places: Sequence[Path], *, scores: bool = False) -> None:
    """Where one song is asked for, what is wrong with it is wrong with the request.

    Among several songs a bad one is left to the batch, which goes on without it.
    """
    if len(places) == 1:
        check_song(places[0], scores=scores)


@dataclass
class Tally:
    """What became of the songs of one command. The error of an only song is raised."""

    console: Console
    songs: int
    done: list[Any] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)
    _said: set[str] = field(default_factory=set)

    def success(self, text: str, report: Report | ScoreReport) -> None:
        """One song is done: the text is printed at once, and what there is to say about it."""
        for notice in report.notices:
            if notice not in self._said:
                self.console.notice(notice)
        self._said.update(report.notices)
        self.done.append(report.to_dict())
        if not self.console.as_json:
            self.console.result(text, None)

    def failure(self, song: Path, error: Exception | str) -> None:
        """One song failed."""
        if self.songs == 1:
            raise AudioTransferError(str(error))
        self.failed.append({"input": str(song), "error": one_line(error)})
        self.console.error(one_line(error))

    def finish(self) -> int:
        """Prints the JSON where it was asked for; returns the exit code."""
        if self.console.as_json:
            self.console.result("", {"done": self.done, "failed": self.failed})
        return 1 if self.failed else 0
