"""What the page shows of the installed styles."""

from __future__ import annotations

from typing import Any

from audiotransfer.styles import installed

#: Share of a song's length that a transfer takes on two cores, by mode (see docs/results.md).
_SHARES = {"cover": 0.2, "timbre": 0.2}


def style_cards() -> list[dict[str, Any]]:
    """Each style once: its name, what one hears by kind of song, and its modes for each kind."""
    found: dict[str, dict[str, Any]] = {}
    for style in installed():
        card = style.card
        entry = found.setdefault(card.name, {"name": card.name, "audio": None, "midi": None})
        changed = [stem for stem, one in card.stems.items() if one]
        cover = ["cover"] if card.band else []
        if card.route == "symbolic":
            modes = cover + (["network"] if changed else [])
            entry["midi"] = {"about": card.description, "modes": modes}
            if entry["audio"] is None and cover:
                entry["audio"] = {"about": card.description, "modes": cover, "auto": "cover"}
        elif modes := cover + (["timbre"] if changed else []):
            auto = card.auto or modes[-1]
            entry["audio"] = {"about": card.description, "modes": modes, "auto": auto}
    for entry in found.values():
        entry["takes"] = _SHARES
    return list(found.values())
