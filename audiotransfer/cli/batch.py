"""Batches of songs on the command line: finding them, running them, reporting each outcome."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from audiotransfer.audio.reading import AUDIO_SUFFIXES
from audiotransfer.cli.arguments import Arguments
from audiotransfer.cli.console import Console, is_new
from audiotransfer.errors import AudioTransferError, failure, refusal
from audiotransfer.midi import SUFFIXES as MIDI_SUFFIXES
from audiotransfer.pipeline.naming import find_songs, is_folder, name_clashes
from audiotransfer.suggest import nearest

if TYPE_CHECKING:
    from audiotransfer.cli.progress import ProgressLine
    from audiotransfer.pipeline.naming import SongFile

_EXISTS = " exists; "  # in the error for an output that exists
#: How to allow overwriting, in Python and on the command line.
_OVERWRITE = ("(overwrite=True)", "(-f)")


class Report(Protocol):
    """The report of one song."""

    @property
    def notices(self) -> list[str]:
        """Notices for the user."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""


def expected_errors() -> tuple[type[Exception], ...]:
    """The exceptions printed as one line: the roots of the three packages, and OSError."""
    expected: list[type[Exception]] = [AudioTransferError, OSError]
    for package, error in (("separation", "SeparationError"), ("vocoder", "VocoderError")):
        # A package that is not imported yet cannot have raised anything.
        module = sys.modules.get(f"{package}.base")
        if module is not None:
            expected.append(getattr(module, error))
    return tuple(expected)


def one_line(error: Exception | str) -> str:
    """The message of an error in the words of the command line."""
    message = refusal(error) if isinstance(error, OSError) else str(error)
    return message.replace(*_OVERWRITE).strip()


def is_midi(song: Path) -> bool:
    """Whether a file is MIDI, by its suffix."""
    return song.suffix.lower() in MIDI_SUFFIXES


def check_song(song: Path, *, midi: bool = False) -> None:
    """Checks name and size of a song without opening it; folders pass.

    Raises AudioTransferError: the file is missing, unreadable, not a regular file or empty; it is
    a MIDI file, and ``midi`` does not allow these.
    """
    try:
        about = song.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise AudioTransferError(f"{song} does not exist; {_similar(song)}") from None
    except OSError as error:  # such as a name that is too long, circular links, no permission
        raise AudioTransferError(f"{song} cannot be read ({error.strerror})") from None
    if stat.S_ISDIR(about.st_mode):
        return
    if not stat.S_ISREG(about.st_mode):
        raise AudioTransferError(
            f"{song} is a pipe or a device and no file; save what comes out of it first"
        )
    if is_midi(song) and not midi:
        raise AudioTransferError(
            f"{song} is a MIDI file, and this is for recordings; `audiotransfer render` makes one"
            " of it"
        )
    if about.st_size == 0:
        raise AudioTransferError(f"{song} is empty (0 bytes); copy or export it again")


def _similar(song: Path) -> str:
    """What to do about a song that is not there: the most similar name in its folder, if any."""
    suffixes = (*AUDIO_SUFFIXES, *MIDI_SUFFIXES)
    try:
        there = {
            one.stem: one.name for one in song.parent.iterdir() if one.suffix.lower() in suffixes
        }
    except OSError:
        there = {}
    close = nearest(song.name, there, cutoff=1.0) or nearest(song.stem, there, cutoff=0.7)
    if not close:
        return "check the name and the folder"
    return f"did you mean {song.with_name(there[close[0]])}?"


def check_only(songs: Sequence[Path], *, midi: bool = False) -> None:
    """Checks the song where only one is given: its error is that of the whole command.

    Among several songs a bad one is left to the batch, which goes on without it.
    """
    if len(songs) == 1:
        check_song(songs[0], midi=midi)


def find(args: Arguments, console: Console, *, midi: bool = False) -> list[SongFile]:
    """The songs of the command line, and those in its folders.

    Files in folders that the program wrote itself are left out, and a notice counts them.
    """
    from audiotransfer.styles import available, style_label

    styles: set[str] = set()
    if any(is_folder(song) for song in args.songs):
        styles = {card.name for card in available()}
        if hasattr(args, "style"):
            styles.add(style_label(args.style))
    suffixes = (*AUDIO_SUFFIXES, *MIDI_SUFFIXES) if midi else AUDIO_SUFFIXES
    found = find_songs(args.songs, styles, suffixes)
    if found.own:
        first, *more = found.own
        console.notice(
            f"{first}{f' and {len(more)} more' if more else ''} left out: outputs of this program;"
            " name them one by one to work on them"
        )
    return found.songs


@dataclass
class Batch:
    """The songs of one command: prints the outcome of each and counts failures.

    Where there is only one song, its error is raised.
    """

    console: Console
    size: int
    done: list[Any] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)

    def without_existing(
        self, args: Arguments, songs: Sequence[SongFile], outputs: Sequence[Path]
    ) -> list[tuple[Path, Path]]:
        """Pairs of song and output; with ``--skip-existing``, only those whose output is missing.

        A folder counts as missing while it is empty.
        """
        pairs = []
        for song, output in zip(songs, outputs, strict=True):
            if args.skip_existing and _exists(output):
                self.skipped.append({"input": str(song.path), "output": str(output)})
                self.console.notice(f"{output} is there already: {song.path} is skipped")
            else:
                pairs.append((song.path, output))
        return pairs

    def checked(
        self, pairs: Sequence[tuple[Path, Path]], *, midi: bool = False
    ) -> list[tuple[Path, Path]]:
        """The pairs whose song passes :func:`check_song`; the others have failed."""
        good = []
        for song, output in pairs:
            try:
                check_song(song, midi=midi)
                good.append((song, output))
            except AudioTransferError as error:
                self.fail(song, error)
        return good

    def each(
        self,
        pairs: Sequence[tuple[Path, Path]],
        line: ProgressLine,
        work: Callable[[Path, Path], tuple[str, Report]],
    ) -> None:
        """Calls ``work`` on each pair, which returns what to print, and a report.

        An error ends the work on its song only.
        """
        errors = name_clashes(*zip(*pairs, strict=True)) if pairs else []
        for (song, output), error in zip(pairs, errors, strict=True):
            try:
                if error is not None:
                    raise AudioTransferError(error)
                text, report = work(song, output)
            except Exception as failed:
                line.next()
                self.fail(song, failed)
            else:
                line.next()
                self.succeed(text, report)

    def record(self, song: Path, text: str, report: Report | None, error: str | None) -> None:
        """Records the outcome of a song: a report, or an error."""
        if report is None:
            self.fail(song, error or "failed")
        else:
            self.succeed(text, report)

    def succeed(self, text: str, report: Report) -> None:
        """Prints the text about a song that is done, and its notices."""
        from audiotransfer.pipeline.options import SMALL_SEPARATOR

        values = report.to_dict()
        name = f"{Path(values['input']).name}: " if self.size > 1 else ""
        for notice in report.notices:
            if notice != SMALL_SEPARATOR:
                self.console.notice(f"{name}{notice}")
            # Which separator would be better is told once, not on every run.
            elif not self.console.quiet and is_new(notice):
                self.console.notice(notice)
        self.done.append(values)
        if not self.console.as_json:
            self.console.result(text, None)

    def fail(self, song: Path, error: Exception | str) -> None:
        """Prints the error of a song; raises it where the song is the only one."""
        if isinstance(error, Exception) and not isinstance(error, expected_errors()):
            error = failure(song, error)
        if self.size == 1:
            raise AudioTransferError(one_line(error))
        self.failed.append({"input": str(song), "error": one_line(error)})
        self.console.error(one_line(error))

    def finish(self) -> int:
        """Prints JSON if that was asked for; returns the exit code."""
        if sum(_EXISTS in one["error"] for one in self.failed) > 1:
            self.console.notice("--skip-existing leaves out what is there already")
        if self.console.as_json:
            self.console.result(
                "", {"done": self.done, "failed": self.failed, "skipped": self.skipped}
            )
        return 1 if self.failed else 0


def _exists(output: Path) -> bool:
    try:
        return any(output.iterdir()) if output.is_dir() else output.exists()
    except OSError:  # no permission, or a name that is too long: writing to it will fail
        return False
