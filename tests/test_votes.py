"""Votes of listening tests: files, screening, means and intervals, the command that prints them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audiotransfer.cli.main import main
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.report.votes import (
    Votes,
    answer_shares,
    mushra_means,
    read_votes,
    screened,
)


def file(path: Path, votes: list[dict[str, Any]], mode: str | None = "mushra", **more: Any) -> Path:
    data = {
        "kind": "audiotransfer-votes", "version": 1, "id": "abc", "title": "t", "style": "jazz",
        "genre": "jazz", "seed": 0, "voter": path.stem, "complete": True, "votes": votes,
    }  # fmt: skip
    data |= {"mode": mode} if mode else {}
    path.write_text(json.dumps(data | more))
    return path


def rating(song: str, reference: float, style: float) -> dict[str, Any]:
    return {"song": song, "ratings": {"reference": reference, "anchor": 10, "style": style}}


def test_ratings_of_a_file(tmp_path: Path) -> None:
    votes = read_votes(file(tmp_path / "anna.json", [rating("one", 100, 70)]))
    assert (votes.page, votes.mode, votes.voter, votes.complete) == ("abc", "mushra", "anna", True)
    assert votes.songs == {"one": {"reference": 100.0, "anchor": 10.0, "style": 70.0}}


def test_pairs_of_earlier_pages_are_read(tmp_path: Path) -> None:
    old = [{"pair": "one", "order": ["after", "before"], "answers": {"style": "after"}}]
    votes = read_votes(file(tmp_path / "a.json", old, mode=None, voter=""))
    assert (votes.mode, votes.voter) == ("pairs", "a")
    assert votes.songs == {"one": {"style": "after"}}


@pytest.mark.parametrize(
    ("votes", "more", "complaint"),
    [
        ([rating("one", 100, 170)], {}, "damaged"),
        ([{"song": "one"}], {}, "damaged"),
        ([], {"kind": "letters"}, "holds no votes"),
        ([], {"version": 9}, "version 9"),
        ([], {"mode": "abx"}, "neither pairs nor mushra"),
    ],
)
def test_other_files_are_refused(
    tmp_path: Path, votes: list[dict[str, Any]], more: dict[str, Any], complaint: str
) -> None:
    path = file(tmp_path / "a.json", votes, **more)
    with pytest.raises(AudioTransferError, match=complaint):
        read_votes(path)


def test_who_does_not_hear_the_reference_is_left_out() -> None:
    def rater(name: str, references: list[float]) -> Votes:
        songs = {f"{n}": {"reference": value} for n, value in enumerate(references)}
        return Votes("p", "mushra", "jazz", name, songs)

    good = rater("good", [100.0] * 17 + [50.0] * 3)  # 15 % below 90
    bad = rater("bad", [100.0] * 16 + [89.0] * 4)
    assert screened([good, bad]) == ([good], [bad])


def test_means_and_intervals_by_hand() -> None:
    votes = [
        Votes("p", "mushra", "jazz", f"{value}", {s: {"style": value, "anchor": 0.0} for s in "ab"})
        for value in (40.0, 60.0)
    ]
    means = mushra_means(votes)
    assert list(means) == ["style", "anchor"]
    # Whole raters are drawn: both, or one of them twice.
    assert (means["style"].mean, means["style"].low, means["style"].high) == (50.0, 40.0, 60.0)
    assert means["style"].count == 4
    assert means["anchor"].high == 0.0


def test_shares_of_answers_are_of_those_who_answered() -> None:
    songs = {"a": {"style": "after", "keep": "both"}, "b": {"style": "before"}, "c": {}}
    shares = answer_shares([Votes("p", "pairs", "jazz", "x", songs)])
    assert {answer: one.mean for answer, one in shares["style"].items()} == {
        "after": 0.5, "before": 0.5,
    }  # fmt: skip
    assert shares["keep"]["both"].mean == 1.0
    assert shares["keep"]["both"].count == 1


def test_the_command_prints_a_table_and_names_who_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [
        file(tmp_path / "anna.json", [rating("one", 100, 70), rating("two", 95, 80)]),
        file(tmp_path / "ben.json", [rating("one", 20, 70), rating("two", 95, 80)]),
    ]
    out = tmp_path / "result.json"
    assert main(["evaluate", "--votes", *map(str, files), "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "jazz: mushra, 1 rater, 2 songs" in printed
    assert "left out: ben" in printed
    assert max(map(len, printed.splitlines())) <= 100
    assert json.loads(out.read_text())["ratings"]["style"]["mean"] == 75.0
    pairs = file(tmp_path / "c.json", [{"song": "one", "answers": {"tune": "yes"}}], mode="pairs")
    assert main(["evaluate", "--votes", str(pairs)]) == 0
    assert "100%" in capsys.readouterr().out
    assert main(["evaluate", "--votes", str(pairs), str(files[0])]) == 2
    assert "different tests" in capsys.readouterr().err
    assert main(["evaluate", "jazz", "--votes", str(pairs)]) == 2
    assert "leave out style and songs" in capsys.readouterr().err
