"""Arguments about parts of songs, in time and stems, and about names of files."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from audiotransfer.cli.arguments import Arguments, Group

if TYPE_CHECKING:
    from audiotransfer.files import Cut
    from audiotransfer.pipeline.options import StemFormat

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
    from audiotransfer.files import Cut

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
    from audiotransfer import files
    from audiotransfer.errors import AudioTransferError
    from audiotransfer.pipeline.options import StemFormat

    if args.stems_out is None and (args.stems_format, args.stems_rate) != ("wav", "44100"):
        raise AudioTransferError(
            "--stems-format and --stems-rate say how stems are written: add --stems-out DIR"
        )
    named = args.name if args.name and files.has_field(args.name, "stem") else "{stem}"
    return StemFormat(format=args.stems_format, rate=args.stems_rate, name=named)


def add_name(group: Group, fields: Sequence[str], help: str, needed: Sequence[str] = ()) -> None:
    """Names of outputs by a pattern of these fields, some of which are needed."""

    def pattern(text: str) -> str:
        from audiotransfer import files
        from audiotransfer.errors import AudioTransferError

        try:
            return files.check_pattern(text, fields, needed=needed)
        except AudioTransferError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    group.add_argument("--name", type=pattern, metavar="PATTERN", help=help)
