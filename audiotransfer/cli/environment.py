"""What is installed around the program: what it requires, and how much of the disk that takes."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement


def requirements(distribution: str, extras: frozenset[str] = frozenset()) -> list[Requirement]:
    """What an installed distribution requires on this computer; nothing where it is not there."""
    from packaging.requirements import Requirement

    try:
        listed = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return []
    wanted = [Requirement(text) for text in listed]
    return [
        one
        for one in wanted
        if one.marker is None
        or any(one.marker.evaluate({"extra": extra}) for extra in {"", *extras})
    ]


def sizes(distribution: str) -> dict[str, int]:
    """Bytes on disk of a distribution and of all that it requires, by its own lists of files."""
    found: dict[str, int] = {}
    waiting = [(distribution, frozenset[str]())]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        key = (name.lower().replace("_", "-"), extras)
        if key in seen:
            continue
        seen.add(key)
        waiting += [(one.name, frozenset(one.extras)) for one in requirements(name, extras)]
        try:
            record = metadata.distribution(name).read_text("RECORD")
        except metadata.PackageNotFoundError:
            continue
        lines = (record or "").splitlines()
        ends = (line.rpartition(",")[2] for line in lines)
        found[key[0]] = sum(int(end) for end in ends if end.isdigit())
    return found
