"""``audiotransfer evaluate --votes``: means and intervals of listening tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from audiotransfer.cli.console import Console
from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from audiotransfer.evaluation import Interval
    from audiotransfer.evaluation.report.votes import Votes

_QUESTIONS = {
    "original": "Which is the original's arrangement?",
    "tune": "Is it the same tune?",
    "style": "Which sounds more like the style?",
    "quality": "Which sounds cleaner?",
    "keep": "Which would you keep?",
}


def run(paths: Sequence[Path], console: Console) -> dict[str, Any]:
    """Prints the result of the listening tests in files of votes, and returns their figures."""
    from audiotransfer.evaluation.report.votes import MUSHRA, PAIRS, read_votes, screened

    votes = list({(one.page, one.voter): one for one in map(read_votes, paths)}.values())
    if len({(one.style, one.mode) for one in votes}) > 1:
        found = ", ".join(sorted({f"{one.style} ({one.mode})" for one in votes}))
        raise AudioTransferError(f"votes on different tests, {found}: give those of one")
    kept, left_out = screened(votes)
    mode, style = votes[0].mode, votes[0].style
    lines = [_heading(style, mode, kept)]
    values: dict[str, Any] = {
        "style": style,
        "mode": mode,
        "voters": [one.voter for one in kept],
        "left out": [one.voter for one in left_out],
    }
    if mode == MUSHRA and kept:
        values["ratings"], text = _mushra(kept)
        lines += ["", text]
    elif mode == PAIRS:
        values["answers"], text = _pairs(kept)
        lines += ["", text]
    if left_out:
        lines.append(
            f"left out: {', '.join(one.voter for one in left_out)} (hidden reference below 90 in "
            "more than 15 % of the songs, BS.1534-3)"
        )
    if any(not one.complete for one in votes):
        lines.append("some did not vote on every song")
    if len(kept) < 2:
        lines.append("intervals of one listener say how songs differ, not how listeners do")
    console.result("\n".join(line if "\n" in line else fill(line, 100) for line in lines), values)
    return values


def _heading(style: str, mode: str, votes: Sequence[Votes]) -> str:
    songs = len({song for one in votes for song in one.songs})
    voters = "1 listener" if len(votes) == 1 else f"{len(votes)} listeners"
    return f"{style}: {mode}, {voters}, {songs} songs"


def _mushra(votes: Sequence[Votes]) -> tuple[dict[str, Any], str]:
    from audiotransfer.evaluation import plain_table
    from audiotransfer.evaluation.report.votes import ANCHOR, REFERENCE, mushra_means

    means = mushra_means(votes)
    hidden = {REFERENCE: "reference (hidden)", ANCHOR: "anchor (low-pass)"}
    rows = [
        {
            "sound": hidden.get(name, name),
            "rating": f"{one.mean:.0f}",
            "95 % interval": f"{one.low:.0f}..{one.high:.0f}",
            "ratings": str(one.count),
        }
        for name, one in means.items()
    ]
    return {name: vars(one) for name, one in means.items()}, plain_table(rows)


def _pairs(votes: Sequence[Votes]) -> tuple[dict[str, Any], str]:
    from audiotransfer.evaluation import plain_table
    from audiotransfer.evaluation.report.votes import answer_shares

    shares: Mapping[str, Mapping[str, Interval]] = answer_shares(votes)
    rows = [
        {
            "question": _QUESTIONS.get(question, question) if place == 0 else "",
            "answer": answer,
            "share": f"{one.mean:.0%}",
            "95 % interval": f"{one.low:.0%}..{one.high:.0%}",
        }
        for question, answers in shares.items()
        for place, (answer, one) in enumerate(answers.items())
    ]
    values = {
        question: {answer: vars(one) for answer, one in answers.items()}
        for question, answers in shares.items()
    }
    return values, plain_table(rows)
