"""A request as the command line that does the same."""

from __future__ import annotations

import shlex
from decimal import Decimal
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audiotransfer.server.requests import JobRequest


def command_line(
    request: JobRequest, name: str, sheet: str | None = None, *, midi: bool = False
) -> str:
    """The command for a song of this name, to be run where its file is.

    ``sheet`` is the name under which the page has a corrected lead sheet for download; ``midi``
    says that the song is a MIDI file, whose sound the page has as well.
    """
    default = type(request).model_fields
    words = ["audiotransfer", name if not name.startswith("-") else f"./{name}"]
    words += ["--style", request.style]
    for field in ("mode", "strength", "seed", "start", "end", "lead", "transpose", "swing"):
        value = getattr(request, field)
        if value != default[field].default:
            words += [f"--{field}", _number(value) if isinstance(value, float) else str(value)]
    for stem, choice in request.stems.items():
        words += ["--stem", f"{stem}={choice}"]
    for stem, gain in request.gains.items():
        words += ["--gain", f"{stem}={'+' * (gain >= 0)}{_number(gain)}"]
    if request.separator != "auto":
        words += ["--separator", request.separator]
    words += ["--preview"] if request.preview else []
    words += [] if request.effects else ["--no-effects"]
    if request.edits or request.sheet_of:
        words += ["--leadsheet", sheet or f"{PurePosixPath(name).stem}.leadsheet.json"]
    words += ["--render"] if midi else []
    if request.format != "wav":
        words += ["--format", request.format]
    if request.encoding != "int16":
        words.append(f"--{request.encoding}")
    return shlex.join(words)


def _number(value: float) -> str:
    """All digits of a number, without an exponent; ``2`` for 2.0."""
    return f"{Decimal(repr(value)):f}".removesuffix(".0")
