"""Suggests the known names closest to a misspelt one, for error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], count: int = 1, cutoff: float = 0.6) -> list[str]:
    """The known names most similar to ``name``, best first, at most ``count``.

    Capital and small letters are the same. ``cutoff`` is the least similarity, 0 to 1 (see
    :func:`difflib.get_close_matches`).
    """
    by_lower = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=count, cutoff=cutoff)
    return [by_lower[one] for one in close]


def suggest(
    name: str,
    known: Iterable[str],
    count: int = 1,
    cutoff: float = 0.6,
    *,
    form: str = "{}",
    most: int | None = None,
) -> str:
    """``did you mean A or B?``, or ``there are A, B, C`` where nothing known is similar.

    ``form`` is how a suggested name is written, such as ``"{!r}"``; ``most`` is how many names
    are listed at most.
    """
    known = list(known)
    close = nearest(name, known, count, cutoff)
    if close:
        return f"did you mean {' or '.join(map(form.format, close))}?"
    more = ", …" if most is not None and len(known) > most else ""
    return f"there are {', '.join(known[:most])}{more}"


def nearest_or_all(name: str, known: Iterable[str], prefix: str = "") -> str:
    """``nearest is A``, or ``there are A, B, C`` where nothing known is similar."""
    known = list(known)
    close = nearest(name, known, cutoff=0.4)
    if close:
        return f"nearest is {prefix}{close[0]}"
    if not known:
        return "nothing is known here"
    return f"there are {', '.join(prefix + name for name in known)}"
