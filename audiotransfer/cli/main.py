"""Finds the verb, runs it, and turns what went wrong into one line and an exit code."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import Protocol

from audiotransfer import __version__
from audiotransfer.cli.arguments import Arguments, Parser
from audiotransfer.cli.batch import expected_errors, one_line
from audiotransfer.cli.console import Console

DEBUG = "AUDIOTRANSFER_DEBUG"
DEFAULT = "transfer"
#: Verb -> what it does. A verb is the module of its name in this package.
VERBS = {
    "transfer": "play songs in another style; this is what happens when no verb is given",
    "remix": "mix a folder of stems to a song, with gains, mutes and swaps",
    "separate": "take a song apart into stems",
    "resynth": "turn a song into pictures and back, and measure what is lost",
    "styles": "list the styles that are installed, or show one",
    "fetch": "download a separation model",
    "accompany": "set three voices below a melody (MIDI), as in the chorales",
    "drums": "make beats up, go from one to another, or play them by hand (MIDI)",
    "demo": "turn the song that comes with the program into jazz, with stems and a picture",
    "doctor": "say what is installed and what will be used, with the remedy for what is missing",
    "train": "train a style, a separator or a judge from a config",
    "evaluate": "measure a style on songs, beside what any style has to beat",
    "render": "play a MIDI file, or make training songs from scores",
    "prepare": "make a collection of songs ready for training: stems, pictures, splits",
}


def overview() -> str:
    """The verbs, a line each."""
    width = max(map(len, VERBS))
    lines = (f"  {name:<{width}}  {what}" for name, what in VERBS.items())
    return "verbs (audiotransfer VERB --help says more):\n" + "\n".join(lines)


class Verb(Protocol):
    """What a verb's module offers."""

    @staticmethod
    def configure(parser: Parser) -> None:
        """Describes the verb and its arguments."""

    @staticmethod
    def run(args: Arguments, console: Console) -> int:
        """Does the work; returns the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. 0: all done. 1: part of a batch failed. 2: the request cannot be met."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = words.pop(0) if words and words[0] in VERBS else DEFAULT
    parser = Parser(prog=f"audiotransfer {name}" if name != DEFAULT else "audiotransfer")
    verb: Verb = importlib.import_module(f"audiotransfer.cli.{name}")  # type: ignore[assignment]
    verb.configure(parser)
    if name == DEFAULT:
        parser.add_argument("--version", action="version", version=f"audiotransfer {__version__}")
        if not words:
            parser.print_help(sys.stderr)
            return 2
    # Options may stand between songs or settings, as people write them.
    args = parser.parse_intermixed_args(words)
    signal.signal(signal.SIGTERM, _leave)
    logging.basicConfig(format="audiotransfer: %(message)s", level=_level(args.quiet))
    if not os.environ.get(DEBUG):
        # What libraries warn their programmers about says nothing to a musician.
        warnings.simplefilter("ignore")
    try:
        return verb.run(args, Console(quiet=args.quiet, as_json=args.json))
    except expected_errors() as error:
        if os.environ.get(DEBUG):
            raise
        sys.stderr.write(f"{parser.prog}: {one_line(error)}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"{parser.prog}: stopped; nothing unfinished was left behind\n")
        return 130
    except BrokenPipeError:
        # Whoever read our results has enough; the interpreter must not complain when it closes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _level(quiet: bool) -> int:
    return logging.ERROR if quiet else logging.WARNING


def _leave(_signal: int, _frame: FrameType | None) -> None:
    # An exception, unlike the default action, lets every writer remove its unfinished file.
    raise SystemExit(128 + signal.SIGTERM)
