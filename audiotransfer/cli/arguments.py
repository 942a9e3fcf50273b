"""Arguments that several verbs share, and what may stand behind them."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from audiotransfer.cli.console import shown
from audiotransfer.pipeline.naming import check_pattern, has_field
from audiotransfer.suggest import nearest

if TYPE_CHECKING:
    from audiotransfer.pipeline.cut import Cut
    from audiotransfer.pipeline.options import StemFormat

Arguments = argparse.Namespace
Group = argparse._ActionsContainer
_HELP_COLUMN = 24
_SIMILAR = 0.7  # similarity of a misspelt option
_DASHED = "names that begin with a dash go behind --, as in `-- -song.wav`"


class _Layout(argparse.RawDescriptionHelpFormatter):
    """Explains each argument beside its name, which stands once for all ways to write it."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=_HELP_COLUMN, width=_columns())

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        return f"{', '.join(action.option_strings)} {_value(action)}"


class Parser(argparse.ArgumentParser):
    """Says what is wrong with a request in one line, and exits with 2."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog=prog, allow_abbrev=False, formatter_class=_Layout, add_help=False)
        self._positionals.title = "arguments"
        self._present_names: dict[str, str] = {}

    def about(self, description: str, examples: str) -> None:
        """What stands above the arguments, filled to the terminal, and below them, as it is."""
        self.description = textwrap.fill(description, _columns())
        self.epilog = examples

    def accept_old_name(self, old: str, present: str) -> None:
        """Reads the option ``old`` as ``present``; the help page does not list it."""
        self._present_names[old] = present

    def format_help(self) -> str:
        """The page of a verb."""
        self._shorten_usage()
        return super().format_help()

    def read(self, words: Sequence[str]) -> Arguments:
        """The arguments in the words of a command.

        Options may stand between songs or settings, as people write them. Behind ``--`` every word
        is a name, whatever it begins with.
        """
        self._shorten_usage()
        words = list(words)
        if "--" in words:
            at = words.index("--")
            # A file of the same name, and no option.
            names = (f"./{word}" if word.startswith("-") else word for word in words[at + 1 :])
            words[at:] = names
        words = [self._present_name(word) for word in words]
        args, unknown = self.parse_known_intermixed_args(words)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}; {self._hint(unknown)}")
        return args

    def _present_name(self, word: str) -> str:
        name, equals, value = word.partition("=")
        return f"{self._present_names.get(name, name)}{equals}{value}"

    def _hint(self, unknown: Sequence[str]) -> str:
        """What may have been meant by words that are no arguments."""
        word = next((word for word in unknown if word.startswith("-")), "")
        known = [name for name in self._option_string_actions if name.startswith("--")]
        near = nearest(word.partition("=")[0], known, cutoff=_SIMILAR)
        if near and not os.path.lexists(word):
            return f"did you mean {near[0]}?"
        return _DASHED if word else "there is nothing to do with them"

    def _shorten_usage(self) -> None:
        """Names what must be given, and not every option."""
        if self.usage is None:
            options = [one for one in self._get_optional_actions() if one.required]
            needed = map(_usage, (*self._get_positional_actions(), *options))
            self.usage = " ".join([self.prog, *needed, "[options]"])

    def error(self, message: str) -> NoReturn:
        if "ignored explicit argument" in message:
            message = f"{message}; {_DASHED}"
        sys.stderr.write(f"{self.prog}: {shown(message)} (see {self.prog} --help)\n")
        raise SystemExit(2)


def _usage(action: argparse.Action) -> str:
    return " ".join([*action.option_strings[:1], _value(action)])


def _value(action: argparse.Action) -> str:
    form = {"+": "{}...", "*": "[{}...]", "?": "[{}]"}.get(str(action.nargs), "{}")
    return form.format(action.metavar or action.dest.upper())


def _columns() -> int:
    return max(40, min(shutil.get_terminal_size().columns, 100) - 2)


def text(word: str) -> str:
    """A name or path as it was given; an empty one, or one with a NUL in it, names nothing."""
    if not word:
        raise argparse.ArgumentTypeError("an empty name names nothing")
    if "\0" in word:
        raise argparse.ArgumentTypeError(f"{word!r} has a NUL in it, which no name has")
    return word


def place(word: str) -> Path:
    """The path of a file or folder."""
    return Path(text(word))


def style_names(route: str) -> str:
    """The installed styles of a route, as a list for people."""
    from audiotransfer.styles import available

    return ", ".join(card.name for card in available() if card.route == route) or "none"


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
    group.add_argument("-h", "--help", action="help", help="print this")


def add_machine(parser: Parser) -> Group:
    """Where to work and with which random numbers."""
    group = parser.add_argument_group("how it is worked out")
    group.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help="auto (a graphics card, if any), cpu, cuda or mps",
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
            "embedded (small, fast), demucs[:MODEL] (cleaner), hpss or none; auto (default) is "
            "demucs if downloaded"
        ),
    )


def add_format(parser: Parser) -> Group:
    """What audio files are written as."""
    group = parser.add_argument_group("what is written")
    group.add_argument(
        "--format",
        choices=("wav", "flac", "mp3", "ogg"),
        metavar="KIND",
        help="wav (default), flac, mp3 or ogg, if -o does not say",
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
        "--render", action="store_true", help="of MIDI: also write its sound (OUT.mid.wav)"
    )
    group.add_argument(
        "--soundfont",
        type=place,
        metavar="FILE",
        help="the .sf2 or .sf3 to render with (default: a small one)",
    )
    group.add_argument(
        "--plot", action="store_true", help="of MIDI: also draw its piano roll (OUT.png)"
    )


def add_force(group: Group) -> None:
    """Leave to write over what is there."""
    group.add_argument(
        "-f", "--force", action="store_true", help="write over files that are there already"
    )


def add_skip(group: Group) -> None:
    """Going on where a batch was stopped."""
    group.add_argument(
        "--skip-existing",
        action="store_true",
        help="leave out songs whose output is there already",
    )


def add_jobs(group: Group, what: str) -> None:
    """How many at a time, here or on a cluster."""
    group.add_argument("--jobs", type=int, metavar="N", help=what)
    group.add_argument(
        "--backend",
        choices=("dask", "ray"),
        metavar="NAME",
        help=(
            "dask or ray: a cluster works ($DASK_SCHEDULER_ADDRESS, $RAY_ADDRESS or this computer)"
        ),
    )


def add_songs(parser: Parser, *, scores: bool = False) -> None:
    """What to work on."""
    parser.add_argument(
        "songs",
        nargs="+",
        type=place,
        metavar="SONG",
        help=f"audio files{', MIDI files (mid, kar)' if scores else ''}, or folders of them",
    )


_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)")


def seconds(text: str) -> float:
    """``90``, ``90.5``, ``1:30.5`` or ``1:02:30`` in seconds."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; give seconds or M:SS, as 1:30.5")
    hours, minutes, rest = (float(part or 0) for part in match.groups())
    if (match[2] and rest >= 60) or (match[1] and minutes >= 60):
        raise argparse.ArgumentTypeError(f"{text!r} is no time; seconds and minutes go up to 59")
    return 3600 * hours + 60 * minutes + rest


def names(text: str) -> tuple[str, ...]:
    """``NAME,NAME,…``, each once."""
    found = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if not all(found):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME or NAME,NAME")
    return found


def add_cut(group: Group) -> None:
    """Which part of the song."""
    group.add_argument(
        "--start", type=seconds, metavar="TIME", help="begin there: seconds, or M:SS as 1:30.5"
    )
    group.add_argument("--end", type=seconds, metavar="TIME", help="end there")
    group.add_argument(
        "--preview",
        action="store_true",
        help="only 15 s, from --start or from a third of the song",
    )


def cut(args: Arguments) -> Cut:
    """What `add_cut` was told."""
    from audiotransfer.pipeline.cut import Cut

    return Cut(args.start, args.end, args.preview)


def add_stem_format(group: Group) -> None:
    """As what stems beside a transfer are written."""
    group.add_argument(
        "--stems-format",
        choices=("wav", "flac", "mp3", "ogg"),
        metavar="KIND",
        default="wav",
        help="of stems: wav (float32, default), flac, mp3 or ogg",
    )
    group.add_argument(
        "--stems-rate",
        choices=("song", "44100"),
        default="44100",
        metavar="RATE",
        help="of stems: 44100 (stereo, default) or song (as that is)",
    )


def stem_format(args: Arguments) -> StemFormat:
    """What `add_stem_format` was told, with the names that `add_name` was."""
    from audiotransfer.errors import AudioTransferError
    from audiotransfer.pipeline.options import StemFormat

    if args.stems_out is None and (args.stems_format, args.stems_rate) != ("wav", "44100"):
        raise AudioTransferError(
            "--stems-format and --stems-rate say how stems are written: add --stems-out DIR"
        )
    named = args.name if args.name and has_field(args.name, "stem") else "{stem}"
    return StemFormat(format=args.stems_format, rate=args.stems_rate, name=named)


def add_name(group: Group, fields: Sequence[str], help: str, needed: Sequence[str] = ()) -> None:
    """Names of outputs by a pattern of these fields, some of which are needed."""

    def pattern(text: str) -> str:
        from audiotransfer.errors import AudioTransferError

        try:
            return check_pattern(text, fields, needed=needed)
        except AudioTransferError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    group.add_argument("--name", type=pattern, metavar="PATTERN", help=help)
