"""The argument parser of a verb, and the arguments that several verbs share."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from audiotransfer.cli.console import printable
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.naming import check_pattern, has_field
from audiotransfer.suggest import nearest, suggest

if TYPE_CHECKING:
    from audiotransfer.pipeline.cut import Cut
    from audiotransfer.pipeline.options import StemFormat

Arguments = argparse.Namespace
Group = argparse._ActionsContainer
FORMATS = ("wav", "flac", "mp3", "ogg")
_HELP_COLUMN = 24
_SIMILAR = 0.7  # least similarity of a misspelt option to the one that is suggested
_DASHED = "names that begin with a dash go behind --, as in `-- -song.wav`"


class _Layout(argparse.RawDescriptionHelpFormatter):
    """Formats help pages: the value of an option is shown once, after all its spellings."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=_HELP_COLUMN, width=_columns())

    def _split_lines(self, text: str, width: int) -> list[str]:
        # Names of styles have hyphens.
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        return f"{', '.join(action.option_strings)} {_value(action)}"


class _SecondPage(argparse.Action):
    """Prints the second help page of a verb, and exits."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        assert isinstance(parser, Parser)
        print(parser.format_second_page().rstrip("\n"))
        parser.exit()


class Parser(argparse.ArgumentParser):
    """Parses the arguments of a verb; an error is one line on stderr and exit code 2."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog=prog, allow_abbrev=False, formatter_class=_Layout, add_help=False)
        self._positionals.title = "arguments"
        self._present_names: dict[str, str] = {}
        self._later: list[argparse._ArgumentGroup] = []

    def about(self, description: str, examples: str) -> None:
        """Sets what the help page says above the arguments, and below them.

        The description is wrapped to the width of the terminal, the examples are not.
        """
        self.description = textwrap.fill(description, _columns())
        self.epilog = examples

    def accept_old_name(self, old: str, present: str) -> None:
        """Reads the option ``old`` as ``present``; the help page does not list it."""
        self._present_names[old] = present

    def add_later_group(self, title: str) -> Group:
        """A group of options that has its place on the second help page (see `_SecondPage`)."""
        group = self.add_argument_group(title)
        self._later.append(group)
        return group

    def format_help(self) -> str:
        """The help page of the verb, without the groups of the second page."""
        self._set_usage()
        return self._page([group for group in self._action_groups if group not in self._later])

    def format_second_page(self) -> str:
        """The help page of the groups that the first one leaves out."""
        self._set_usage()
        return self._page(self._later)

    def _page(self, groups: Sequence[argparse._ArgumentGroup]) -> str:
        everything, self._action_groups = self._action_groups, list(groups)
        try:
            return super().format_help()
        finally:
            self._action_groups = everything

    def read(self, words: Sequence[str]) -> Arguments:
        """Parses the words of a command.

        Options may stand between songs or settings. Behind ``--`` every word is the name of a file,
        whatever it begins with.
        """
        self._set_usage()
        words = list(words)
        if "--" in words:
            at = words.index("--")
            # The same file by a name that does not look like an option.
            words[at:] = (f"./{word}" if word.startswith("-") else word for word in words[at + 1 :])
        words = [self._present_name(word) for word in words]
        args, unknown = self.parse_known_intermixed_args(words)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}; {self._hint(unknown)}")
        return args

    def error(self, message: str) -> NoReturn:
        """Prints the message in one line and exits with 2."""
        if "ignored explicit argument" in message:
            message = f"{message}; {_DASHED}"
        sys.stderr.write(f"{self.prog}: {printable(message)} (see {self.prog} --help)\n")
        raise SystemExit(2)

    def _present_name(self, word: str) -> str:
        name, equals, value = word.partition("=")
        return f"{self._present_names.get(name, name)}{equals}{value}"

    def _hint(self, unknown: Sequence[str]) -> str:
        """A hint about words that are no arguments."""
        word = next((word for word in unknown if word.startswith("-")), "")
        known = [name for name in self._option_string_actions if name.startswith("--")]
        near = nearest(word.partition("=")[0], known, cutoff=_SIMILAR)
        if near and not os.path.lexists(word):
            return f"did you mean {near[0]}?"
        return _DASHED if word else "this command takes no such words"

    def _set_usage(self) -> None:
        """Lists required arguments in the usage line and sums up the rest as ``[options]``."""
        if self.usage is None:
            options = [one for one in self._get_optional_actions() if one.required]
            needed = map(_usage, (*self._get_positional_actions(), *options))
            self.usage = " ".join([self.prog, *needed, "[options]"])


def _usage(action: argparse.Action) -> str:
    return " ".join([*action.option_strings[:1], _value(action)])


def _value(action: argparse.Action) -> str:
    form = {"+": "{}...", "*": "[{}...]", "?": "[{}]"}.get(str(action.nargs), "{}")
    return form.format(action.metavar or action.dest.upper())


def _columns() -> int:
    return max(40, min(shutil.get_terminal_size().columns, 100) - 2)


# Types of arguments: each takes the word and raises ArgumentTypeError with one line.


def any_name(word: str) -> str:
    """A name or path, not empty and without NUL."""
    if not word:
        raise argparse.ArgumentTypeError("an empty name names nothing")
    if "\0" in word:
        raise argparse.ArgumentTypeError(f"{word!r} has a NUL in it, which no name has")
    return word


def any_path(word: str) -> Path:
    """The path of a file or folder."""
    return Path(any_name(word))


def name_list(word: str) -> tuple[str, ...]:
    """``NAME,NAME,...`` as a tuple without repetitions."""
    found = tuple(dict.fromkeys(part.strip() for part in word.split(",")))
    if not all(found):
        raise argparse.ArgumentTypeError(f"{word!r} is not NAME or NAME,NAME")
    return found


def name_value(word: str) -> tuple[str, str]:
    """``NAME=VALUE`` as a pair."""
    key, equals, value = word.partition("=")
    if not key or not equals or not value:
        raise argparse.ArgumentTypeError(f"{word!r} is not NAME=VALUE")
    return key, value


def seed(word: str) -> int:
    """The seed of a random generator, 0 to 2**63 - 1."""
    if not word.isdecimal() or int(word) >= 2**63:
        raise argparse.ArgumentTypeError(f"{word!r} is no seed; give a whole number from 0")
    return int(word)


_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)")


def seconds(word: str) -> float:
    """``90``, ``90.5``, ``1:30.5`` or ``1:02:30`` in seconds."""
    match = _TIME.fullmatch(word)
    if match is None:
        raise argparse.ArgumentTypeError(f"{word!r} is no time; give seconds or M:SS, as 1:30.5")
    hours, minutes, rest = (float(part or 0) for part in match.groups())
    if (match[2] and rest >= 60) or (match[1] and minutes >= 60):
        raise argparse.ArgumentTypeError(f"{word!r} is no time; seconds and minutes go up to 59")
    return 3600 * hours + 60 * minutes + rest


# Arguments that several verbs have.


def registered(group: str) -> list[str]:
    """Names of the entry points of a group, sorted; nothing is imported."""
    return sorted({entry.name for entry in entry_points(group=group)})


def inverter_or_auto(word: str) -> str:
    """The type of ``--vocoder``: ``auto``, or an inverter's NAME or NAME:FILE."""
    names = ["auto", *registered("audiotransfer.inverters")]
    name = word.partition(":")[0]
    if name not in names or word == "auto:":
        raise argparse.ArgumentTypeError(f"there is no vocoder {name!r}; {suggest(name, names)}")
    return word


def either(names: Sequence[str]) -> str:
    """Names as text, such as ``A, B or C``."""
    return " or ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def style_names(route: str, *, covers: bool = False) -> str:
    """The installed styles of a route, separated by commas; with ``covers`` those that have a band
    too.
    """
    return ", ".join(sorted(_styles(route, covers))) or "none"


def names_with_spectrograms() -> str:
    """The installed styles of stems that are transferred by their spectrograms."""
    from audiotransfer.styles import available

    return ", ".join(
        card.name
        for card in sorted(available(), key=lambda card: card.name)
        if any(entry is not None and entry.spectrogram for entry in card.stems.values())
    )


def all_style_names() -> str:
    """The styles for recordings, and those that are for MIDI files only."""
    both = _styles("spectral", covers=True)
    further = ", ".join(sorted(_styles("symbolic") - both))
    return ", ".join(sorted(both)) + (f"; of MIDI also {further}" if further else "")


def _styles(route: str, covers: bool = False) -> set[str]:
    from audiotransfer.styles import available

    return {card.name for card in available() if card.route == route or (covers and card.band)}


def add_songs(parser: Parser, *, midi: bool = False) -> None:
    """The songs to work on; with ``midi``, MIDI files too."""
    parser.add_argument(
        "songs",
        nargs="+",
        type=any_path,
        metavar="SONG",
        help=f"audio files{', MIDI files (mid, kar)' if midi else ''}, or folders of them",
    )


def add_messages(parser: Parser) -> None:
    """``-q``, ``--json`` and ``-h``, which every verb has."""
    group = parser.add_argument_group("messages")
    group.add_argument("-q", "--quiet", action="store_true", help="no progress, no notices")
    group.add_argument("--json", action="store_true", help="print the result as JSON")
    group.add_argument("-h", "--help", action="help", help="print this page")


def add_computing(parser: Parser) -> Group:
    """``--device`` and ``--seed``."""
    group = parser.add_argument_group("computing")
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


def add_cache(group: Group) -> None:
    """``--no-cache``: what is kept of a song for its next style."""
    group.add_argument(
        "--no-cache",
        dest="cache",
        action="store_false",
        help="neither use nor keep the song's stems and transcription",
    )


def add_separator(group: Group) -> None:
    """``--separator``: how songs are separated into stems."""
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
    """``--format``, ``--int24``, ``--float32`` and ``-f``: the format of audio files."""
    group = parser.add_argument_group("output")
    group.add_argument(
        "--format",
        choices=FORMATS,
        metavar="KIND",
        help="wav (default), flac, mp3 or ogg, unless -o says",
    )
    add_encodings(group, int24="24-bit wav or flac", float32="32-bit float wav, which cannot clip")
    parser.set_defaults(encoding="int16")
    add_overwrite(group)
    return group


def add_encodings(group: Group, **help: str) -> None:
    """An option for each encoding of samples, of which one may be given, with its help."""
    exclusive = group.add_mutually_exclusive_group()
    for encoding, line in help.items():
        exclusive.add_argument(
            f"--{encoding}", dest="encoding", action="store_const", const=encoding, help=line
        )


def add_stem_format(group: Group, prefix: str = "") -> None:
    """``--format`` and ``--rate`` of stems; as ``--stems-format`` and so on with a prefix."""
    stems = "of stems: " if prefix else ""
    group.add_argument(
        f"--{prefix}format",
        choices=FORMATS,
        metavar="KIND",
        default="wav",
        help=f"{stems}wav (float32, default), flac, mp3 or ogg",
    )
    group.add_argument(
        f"--{prefix}rate",
        choices=("song", "44100"),
        default="44100",
        metavar="RATE",
        help=f"{stems}44100 (stereo, default) or song (its own)",
    )


def stem_format(args: Arguments) -> StemFormat:
    """The stem format of a transfer: ``--stems-format``, ``--stems-rate`` and ``--name``."""
    from audiotransfer.pipeline.options import StemFormat

    if args.stems_out is None and (args.stems_format, args.stems_rate) != ("wav", "44100"):
        raise AudioTransferError(
            "--stems-format and --stems-rate say how stems are written: add --stems-out DIR"
        )
    pattern = args.name if args.name and has_field(args.name, "stem") else "{stem}"
    return StemFormat(format=args.stems_format, rate=args.stems_rate, name=pattern)


def add_second_page(group: Group, flag: str, help: str) -> None:
    """An option that prints the second help page."""
    group.add_argument(flag, action=_SecondPage, nargs=0, default=argparse.SUPPRESS, help=help)


def add_midi_output(group: Group, instruments: str = "a small one") -> None:
    """``--render``, ``--soundfont`` and ``--plot``: files beside a MIDI file.

    ``instruments`` are what renders without a soundfont.
    """
    group.add_argument(
        "--render", action="store_true", help="of MIDI: also write its sound (OUT.mid.wav)"
    )
    group.add_argument(
        "--soundfont",
        type=any_path,
        metavar="FILE",
        help=f"the .sf2 or .sf3 to render with (default: {instruments})",
    )
    group.add_argument(
        "--plot", action="store_true", help="of MIDI: also plot its piano roll (OUT.png)"
    )


def add_overwrite(group: Group) -> None:
    """``-f``: files that exist may be overwritten."""
    group.add_argument("-f", "--force", action="store_true", help="overwrite files that exist")


def add_skip(group: Group) -> None:
    """``--skip-existing``: continues a batch that was stopped."""
    group.add_argument(
        "--skip-existing", action="store_true", help="leave out songs whose output exists"
    )


def add_jobs(group: Group, help: str) -> None:
    """``--jobs`` and ``--backend``: how many songs at a time, on this computer or a cluster."""
    group.add_argument("--jobs", type=int, metavar="N", help=help)
    group.add_argument(
        "--backend",
        choices=("dask", "ray"),
        metavar="NAME",
        help=("dask or ray: a cluster ($DASK_SCHEDULER_ADDRESS, $RAY_ADDRESS, else this computer)"),
    )


def add_cut(group: Group) -> None:
    """``--start``, ``--end`` and ``--preview``: a part of the song."""
    group.add_argument(
        "--start", type=seconds, metavar="TIME", help="start there: seconds, or M:SS as 1:30.5"
    )
    group.add_argument("--end", type=seconds, metavar="TIME", help="end there")
    group.add_argument(
        "--preview",
        action="store_true",
        help="only 15 s, from --start or from a third of the song",
    )


def cut(args: Arguments) -> Cut:
    """The part of the song that ``--start``, ``--end`` and ``--preview`` give."""
    from audiotransfer.pipeline.cut import Cut

    return Cut(args.start, args.end, args.preview)


def add_name(group: Group, fields: Sequence[str], help: str, needed: Sequence[str] = ()) -> None:
    """``--name``: a pattern of these fields for the names of outputs; some must be in it."""

    def pattern(word: str) -> str:
        try:
            return check_pattern(word, fields, needed=needed)
        except AudioTransferError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    group.add_argument("--name", type=pattern, metavar="PATTERN", help=help)
