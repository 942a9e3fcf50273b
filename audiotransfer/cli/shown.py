"""Messages as a terminal can show them: on one line, whatever the names in them are made of."""

from __future__ import annotations

import re

_NAME = 255  # letters; no file system takes longer names
_BEGINNING, _END = 200, 20
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LONG = re.compile(rf"[^\s/]{{{_NAME + 1},}}")


def shown(text: str) -> str:
    """A message with its control characters escaped, as ``\\n``, and names that are longer than
    any file's cut.
    """
    text = _CONTROL.sub(lambda letter: repr(letter[0])[1:-1], text.strip())
    return _LONG.sub(lambda name: f"{name[0][:_BEGINNING]}...{name[0][-_END:]}", text)
