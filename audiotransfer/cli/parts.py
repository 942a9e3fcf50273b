"""Arguments about parts of songs: a cut in time, some of the stems, and how stems are written."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from audiotransfer.cli.arguments import Arguments, Group

if TYPE_CHECKING:
    from audiotransfer.pipeline.options import Cut

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
    from audiotransfer.pipeline.options import Cut

    return Cut(args.start, args.end, args.preview)
