"""Questions of the blind test: those of the evaluation's listening page, and one more."""

from __future__ import annotations

from typing import Any

from audiotransfer.benchmark.listening_page import questions


def blind_questions(genre: str) -> list[dict[str, Any]]:
    """Questions about a pair of excerpts, and their answers; A and B are the sides in its order."""
    original = {
        "id": "original",
        "text": "Which is the original's arrangement?",
        "answers": ["A", "B", "cannot tell"],
    }
    return [original, *questions(genre)]
