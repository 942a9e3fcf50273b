"""Names of files by a pattern, as ``{song} {stem}``."""

from __future__ import annotations

import difflib
import string
from collections.abc import Collection
from pathlib import PurePath

from audiotransfer.errors import AudioTransferError
from audiotransfer.files.writing import FORMATS


def check_pattern(text: str, fields: Collection[str], *, needed: Collection[str] = ()) -> str:
    """The pattern, once it is known to name a file in a folder, or in folders below that.

    Raises AudioTransferError for a field that is none of ``fields``, one that is ``needed`` and
    lacks, and for a name that leads out of the folder or carries the suffix of a kind of file.
    """
    listed = ", ".join(f"{{{name}}}" for name in fields)
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        raise AudioTransferError(
            f"name {text!r} has a brace without its other half: fields are {listed}; write {{{{"
            " for a brace"
        ) from None
    used = [name for _, name, _, _ in parts if name is not None]
    for _, name, specification, conversion in parts:
        if name is None:
            continue
        if name not in fields:
            near = difflib.get_close_matches(name.lower(), fields, n=1)
            hint = f"did you mean {{{near[0]}}}?" if near else f"there are {listed}"
            raise AudioTransferError(f"name {text!r} has an unknown field {{{name}}}: {hint}")
        if specification or conversion:
            raise AudioTransferError(f"name {text!r}: write {{{name}}} and nothing else in braces")
    for name in needed:
        if name not in used:
            raise AudioTransferError(
                f"name {text!r} lacks {{{name}}}, without which several files would have one name"
            )
    if "\0" in text:
        raise AudioTransferError(f"name {text!r} has a NUL in it, which no name has")
    path = PurePath(text)
    if path.is_absolute() or ".." in path.parts or text.endswith("/") or not path.name:
        raise AudioTransferError(
            f"name {text!r} has to name a file below the folder of the output (-o)"
        )
    if path.suffix.lower() in FORMATS:
        raise AudioTransferError(
            f"name {text!r} ends in {path.suffix}: leave it out, --format says the kind of file"
        )
    return text


def has_field(text: str, name: str) -> bool:
    """Whether a pattern has this field."""
    return any(field == name for _, field, _, _ in string.Formatter().parse(text))


def fill_pattern(text: str, **values: str) -> str:
    """The name, without its suffix, of a checked pattern; a slash in a value makes no folder."""
    return text.format(**{name: value.replace("/", "_") for name, value in values.items()})
