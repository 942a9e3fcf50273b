"""Votes of listening tests: their files, the screening of raters, means with intervals.

A file is JSON: ``{"kind": "audiotransfer-votes", "version": 1, "mode": "pairs" or "mushra", "id",
"title", "style", "genre", "seed", "voter", "complete", "votes": [...]}``. ``id`` names the page, so
that votes on the same sounds are known to be. Of pairs a vote is ``{"song": NAME, "order":
["before", "after"], "answers": {"tune": "yes", "style": "after", ...}}``, of a MUSHRA test
``{"song": NAME, "ratings": {"reference": 100, "anchor": 12, SYSTEM: 0..100, ...}}``. What was not
answered is left out. Files without a mode are of pairs, and may have ``"pair"`` for ``"song"``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.report.statistics import Interval, bootstrap

KIND, VERSION = "audiotransfer-votes", 1
PAIRS, MUSHRA = "pairs", "mushra"
REFERENCE, ANCHOR = "reference", "anchor"
#: Post-screening of ITU-R BS.1534-3: who rates the hidden reference below 90 in more than 15 % of
#: the songs is left out.
_LEAST_RATING, _MOST_BELOW = 90.0, 0.15


@dataclass(frozen=True)
class Votes:
    """The votes of one rater on one page: of each song the answers, or ratings 0..100."""

    page: str
    mode: str
    style: str
    voter: str
    songs: Mapping[str, Mapping[str, Any]]
    complete: bool = True

    def rates_the_reference(self) -> bool:
        """Whether the hidden reference was rated 90 or more in at least 85 % of the songs."""
        rated = [song[REFERENCE] for song in self.songs.values() if REFERENCE in song]
        below = sum(rating < _LEAST_RATING for rating in rated)
        return bool(below <= _MOST_BELOW * len(rated))


def read_votes(path: str | Path) -> Votes:
    """Reads a file of votes. Raises AudioTransferError for anything else."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise AudioTransferError(f"{path} cannot be read ({error.strerror})") from None
    except ValueError:
        raise AudioTransferError(f"{path} is no JSON; save the votes on the page again") from None
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise AudioTransferError(f"{path} holds no votes; the listening page saves votes-*.json")
    if data.get("version") != VERSION:
        raise AudioTransferError(
            f"{path} has votes of version {data.get('version')}, and this reads {VERSION}"
        )
    mode = data.get("mode", PAIRS)
    field = {PAIRS: "answers", MUSHRA: "ratings"}.get(mode)
    if field is None:
        raise AudioTransferError(f"{path}: mode {mode!r} is neither {PAIRS} nor {MUSHRA}")
    try:
        songs = {str(one.get("song", one.get("pair"))): dict(one[field]) for one in data["votes"]}
        if mode == MUSHRA:
            songs = {song: _ratings(found) for song, found in songs.items()}
        return Votes(
            str(data["id"]),
            mode,
            str(data.get("style", "")),
            str(data.get("voter", "")) or Path(path).stem,
            songs,
            bool(data.get("complete")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AudioTransferError(f"{path} is damaged ({error!r}); save the votes again") from error


def _ratings(found: Mapping[str, Any]) -> dict[str, float]:
    ratings = {name: float(value) for name, value in found.items()}
    if any(not 0 <= rating <= 100 for rating in ratings.values()):
        raise ValueError("a rating outside of 0..100")
    return ratings


def screened(votes: Sequence[Votes]) -> tuple[list[Votes], list[Votes]]:
    """Listeners whose ratings count, and those who do not hear the hidden reference."""
    kept = [one for one in votes if one.mode != MUSHRA or one.rates_the_reference()]
    return kept, [one for one in votes if one not in kept]


def mushra_means(votes: Iterable[Votes]) -> dict[str, Interval]:
    """Mean rating 0..100 of each system, best first, with intervals that draw whole raters.

    With one rater, whole songs are drawn.
    """
    return _means(votes, lambda ratings: {name: float(value) for name, value in ratings.items()})


def answer_shares(votes: Iterable[Votes]) -> dict[str, dict[str, Interval]]:
    """Question -> answer -> its share 0..1 of the votes, with intervals as in `mushra_means`."""
    known = list(votes)
    found: dict[str, dict[str, Interval]] = {}
    questions = dict.fromkeys(q for one in known for song in one.songs.values() for q in song)
    for question in questions:
        answers = {
            str(song[question]) for one in known for song in one.songs.values() if question in song
        }
        found[question] = _means(
            known,
            lambda song, question=question, answers=answers: (
                {answer: float(song[question] == answer) for answer in answers}
                if question in song
                else {}
            ),
        )
    return found


def _means(votes: Iterable[Votes], values_of: Any) -> dict[str, Interval]:
    """Means of values by name over raters and songs, the highest first."""
    values: dict[str, list[float]] = {}
    groups: dict[str, list[int]] = {}
    known = list(votes)
    for rater, one in enumerate(known):
        for place, song in enumerate(one.songs.values()):
            for name, value in values_of(song).items():
                values.setdefault(name, []).append(value)
                groups.setdefault(name, []).append(rater if len(known) > 1 else place)
    means = {name: bootstrap(found, groups[name]) for name, found in values.items()}
    return dict(sorted(means.items(), key=lambda item: -item[1].mean))
