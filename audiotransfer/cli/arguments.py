"""Arguments that several verbs share, and what may stand behind them."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from pathlib import Path
from typing import NoReturn

Arguments = argparse.Namespace
Group = argparse._ActionsContainer


class Parser(argparse.ArgumentParser):
    """Says what is wrong with a request in one line, and exits with 2."""

    def __init__(self, prog: str) -> None:
        super().__init__(
            prog=prog,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def about(self, description: str, examples: str) -> None:
        """What stands above the arguments, filled to the terminal, and below them, as it is."""
        width = min(shutil.get_terminal_size().columns, 100) - 2
        self.description = textwrap.fill(description, width)
        self.epilog = examples

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {message} (see {self.prog} --help)\n")
        raise SystemExit(2)


def named(text: str) -> tuple[str, str]:
    """``NAME=VALUE`` as a pair."""
    name, equals, value = text.partition("=")
    if not name or not equals or not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def seed(text: str) -> int:
    """What every random generator here takes."""
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is no seed; give a whole number from 0")
    return int(text)


def add_talk(parser: Parser) -> None:
    """-q and --json, which every verb has."""
    group = parser.add_argument_group("what is said")
    group.add_argument("-q", "--quiet", action="store_true", help="no progress, no notices")
    group.add_argument("--json", action="store_true", help="print the result as JSON")


def add_machine(parser: Parser) -> Group:
    """Where to work and with which random numbers."""
    group = parser.add_argument_group("how it is worked out")
    group.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help="auto, cpu, cuda or mps; auto takes a graphics card where there is one",
    )
    group.add_argument(
        "--seed", type=seed, default=0, metavar="N", help="same seed, same sound (default 0)"
    )
    return group


def add_separator(group: Group) -> None:
    """Who takes songs apart."""
    group.add_argument(
        "--separator",
        default="auto",
        metavar="NAME",
        help=(
            "who takes the song apart: auto (Demucs where its weights are on this computer, else "
            "the embedded one), demucs or demucs:MODEL (downloads the weights when they are not "
            "there), embedded (small and fast), hpss (drums and the rest, by a filter), none "
            "(the song stays one piece)"
        ),
    )


def add_format(parser: Parser) -> Group:
    """What audio files are written as."""
    group = parser.add_argument_group("what is written")
    group.add_argument(
        "--format",
        choices=("wav", "flac", "mp3", "ogg"),
        help="kind of file where -o does not say it (default wav)",
    )
    depth = group.add_mutually_exclusive_group()
    depth.add_argument(
        "--int24", dest="encoding", action="store_const", const="int24", help="24-bit wav or flac"
    )
    depth.add_argument(
        "--float32",
        dest="encoding",
        action="store_const",
        const="float32",
        help="32-bit float wav, which cannot clip",
    )
    parser.set_defaults(encoding="int16")
    add_force(group)
    return group


def add_score_output(group: Group) -> None:
    """What may be written beside a MIDI file."""
    group.add_argument(
        "--render",
        action="store_true",
        help=(
            "for MIDI: also write how it sounds, beside it (needs a synthesizer: "
            "pip install --no-deps tinysoundfont)"
        ),
    )
    group.add_argument(
        "--soundfont",
        type=Path,
        metavar="FILE",
        help="the .sf2 or .sf3 that it is rendered with (default: pretty_midi's)",
    )
    group.add_argument(
        "--plot", action="store_true", help="for MIDI: also draw its piano roll, beside it (.png)"
    )


def add_force(group: Group) -> None:
    """Leave to write over what is there."""
    group.add_argument(
        "-f", "--force", action="store_true", help="write over files that are there already"
    )


def add_jobs(group: Group, what: str) -> None:
    """How many at a time, here or on a cluster."""
    group.add_argument("--jobs", type=int, metavar="N", help=what)
    group.add_argument(
        "--backend",
        choices=("dask", "ray"),
        help=(
            "a cluster that works instead: the one that $DASK_SCHEDULER_ADDRESS or $RAY_ADDRESS "
            "names, else one on this computer (pip install 'audiotransfer[cluster]')"
        ),
    )


def add_songs(parser: Parser, *, scores: bool = False) -> None:
    """What to work on."""
    kinds = "audio files (wav, flac, ogg, opus, mp3, aiff, m4a)"
    parser.add_argument(
        "songs",
        nargs="+",
        type=Path,
        metavar="SONG",
        help=f"{kinds}{', MIDI files (mid, kar)' if scores else ''}, or folders of them",
    )
