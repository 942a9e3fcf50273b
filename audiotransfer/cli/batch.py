"""One song or many: what is no song at first sight, and what a failure among many means."""

from __future__ import annotations

import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotransfer.cli.arguments import Arguments
from audiotransfer.cli.console import Console
from audiotransfer.cli.told import is_new
from audiotransfer.errors import AudioTransferError, failure, refusal

if TYPE_CHECKING:
    from audiotransfer.files import SongFile
    from audiotransfer.pipeline.midi_transfer import MidiReport
    from audiotransfer.pipeline.reporting import Report

#: Names of MIDI files that are read, and of those that are written (see `symbolic.score`).
_THERE = " exists; "  # in the error of an output that is there already
#: What allows overwriting, to those who write Python and on the command line.
_OVERWRITE = ("(overwrite=True)", "(-f)")
SCORES = (".mid", ".midi", ".kar", ".rmi")
WRITTEN = (".mid", ".midi", ".kar")


def expected_errors() -> tuple[type[Exception], ...]:
    """The roots of what a user can put right: of the packages that are loaded by now, and what the
    system refuses.
    """
    roots: list[type[Exception]] = [AudioTransferError, OSError]
    for package, root in (("separation", "SeparationError"), ("vocoder", "VocoderError")):
        # A package that was never imported cannot have raised anything.
        module = sys.modules.get(f"{package}.errors")
        if module is not None:
            roots.append(getattr(module, root))
    return tuple(roots)


def one_line(error: Exception | str) -> str:
    """A message as it is said on the command line."""
    said = refusal(error) if isinstance(error, OSError) else str(error)
    return said.replace(*_OVERWRITE).strip()


def check_song(place: Path, *, scores: bool = False) -> None:
    """Raises AudioTransferError for what is no song by its name and size; opens nothing.

    MIDI files are songs only to those who can do something with ``scores``.
    """
    try:
        about = place.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise AudioTransferError(f"{place} does not exist; check the name and the folder") from None
    except OSError as error:  # a name too long, links in a circle, a folder that is closed to us
        raise AudioTransferError(f"{place} cannot be read ({error.strerror})") from None
    if stat.S_ISDIR(about.st_mode):
        return
    if not stat.S_ISREG(about.st_mode):
        raise AudioTransferError(
            f"{place} is a pipe or a device and no file; save what comes out of it first"
        )
    if place.suffix.lower() in SCORES and not scores:
        raise AudioTransferError(
            f"{place} is a score, and this is for recordings; `audiotransfer render` makes one of"
            " it"
        )
    if about.st_size == 0:
        raise AudioTransferError(f"{place} is empty (0 bytes); copy or export it again")


def check_only(places: Sequence[Path], *, scores: bool = False) -> None:
    """Where one song is asked for, what is wrong with it is wrong with the request.

    Among several songs a bad one is left to the batch, which goes on without it.
    """
    if len(places) == 1:
        check_song(places[0], scores=scores)


def find(args: Arguments, console: Console, *, scores: bool = False) -> list[SongFile]:
    """The songs that were named, and those in folders that were; a notice counts what is left out
    there because the program wrote it itself.
    """
    from audiotransfer import files
    from audiotransfer.styles import available, style_label

    styles: set[str] = set()
    if any(files.is_dir(place) for place in args.songs):
        styles = {card.name for card in available()}
        if hasattr(args, "style"):
            styles.add(style_label(args.style))
    suffixes = (*files.SUFFIXES, *SCORES) if scores else files.SUFFIXES
    found = files.find_songs(args.songs, styles, suffixes)
    if found.own:
        first, *more = found.own
        console.notice(
            f"{first}{f' and {len(more)} more' if more else ''} left out: outputs of this program;"
            " name them one by one to work on them"
        )
    return found.songs


@dataclass
class Tally:
    """What became of the songs of one command. The error of an only song is raised."""

    console: Console
    songs: int
    done: list[Any] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)

    def without_existing(
        self, args: Arguments, songs: Sequence[SongFile], outputs: Sequence[Path]
    ) -> list[tuple[Path, Path]]:
        """Songs with their outputs; with --skip-existing without those whose output is there: a
        file, or a folder with something in it.
        """
        pairs = []
        for song, output in zip(songs, outputs, strict=True):
            if args.skip_existing and _is_there(output):
                self.skipped.append({"input": str(song.path), "output": str(output)})
                self.console.notice(f"{output} is there already: {song.path} is skipped")
            else:
                pairs.append((song.path, output))
        return pairs

    def readable(
        self, pairs: Sequence[tuple[Path, Path]], *, scores: bool = False
    ) -> list[tuple[Path, Path]]:
        """Songs with their outputs, without those that are no song at first sight."""
        good = []
        for song, output in pairs:
            try:
                check_song(song, scores=scores)
                good.append((song, output))
            except AudioTransferError as error:
                self.failure(song, error)
        return good

    def success(self, text: str, report: Report | MidiReport) -> None:
        """One song is done: the text is printed at once, and what there is to say about it."""
        from audiotransfer.pipeline.options import SMALL_SEPARATOR

        for notice in report.notices:
            # Who knows of the better one and does not want it need not hear of it on every run.
            if not self.console.quiet and (notice != SMALL_SEPARATOR or is_new(notice)):
                self.console.notice(notice)
        self.done.append(report.to_dict())
        if not self.console.as_json:
            self.console.result(text, None)

    def failure(self, song: Path, error: Exception | str) -> None:
        """One song failed, or the work on it did as nobody foresaw."""
        if isinstance(error, Exception) and not isinstance(error, expected_errors()):
            error = failure(song, error)
        if self.songs == 1:
            raise AudioTransferError(one_line(error))
        self.failed.append({"input": str(song), "error": one_line(error)})
        self.console.error(one_line(error))

    def finish(self) -> int:
        """Prints the JSON where it was asked for; returns the exit code."""
        if sum(_THERE in one["error"] for one in self.failed) > 1:
            self.console.notice("--skip-existing leaves out what is there already")
        if self.console.as_json:
            self.console.result(
                "", {"done": self.done, "failed": self.failed, "skipped": self.skipped}
            )
        return 1 if self.failed else 0


def _is_there(output: Path) -> bool:
    try:
        return any(output.iterdir()) if output.is_dir() else output.exists()
    except OSError:  # closed to us, or a name too long: the work on it will say so
        return False
