"""The list of recordings that covers are measured on: complete, and read by no training."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LISTED = json.loads((ROOT / "tests" / "benchmarks" / "recordings.json").read_text())["recordings"]
#: It rates outputs, and learns from genres' recordings; no output depends on it.
CLASSIFIER = "audio-genre-classifier.yaml"
#: Configs, and what shipped networks say of their data.
SOURCES = sorted(
    [
        *(path for path in (ROOT / "configs").glob("*.yaml") if path.name != CLASSIFIER),
        *(ROOT / "audiotransfer" / "transcription" / "shipped").glob("*.json"),
    ]
)


def named_in(text: str) -> list[str]:
    """Recordings whose name, or folder, is in a text."""
    return [one["name"] for one in LISTED if one["name"] in text or one["files"] in text]


def test_there_are_instrumental_and_sung_ones_of_many_artists() -> None:
    assert len(LISTED) >= 30
    assert len({one["name"] for one in LISTED}) == len(LISTED)
    sung = sum(one["sung"] for one in LISTED)
    assert sung >= 5
    assert len(LISTED) - sung >= 25
    artists = Counter(one["artist"] for one in LISTED)
    assert len(artists) >= 15
    assert sum(one["identification"] for one in LISTED) == 15


def test_each_has_its_title_artist_licence_and_source() -> None:
    for one in LISTED:
        for field in ("title", "artist", "licence", "source", "files", "genre"):
            assert one[field], f"{one['name']} has no {field}"
        assert one["genre"] != "jazz"
        assert "/" in one["source"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_training_names_them(path: Path) -> None:
    assert named_in(path.read_text(encoding="utf-8")) == []


def test_a_config_that_names_one_would_be_found() -> None:
    assert named_in("data: audio/stems/eir_sodium") == ["eir_sodium"]
    assert len(SOURCES) > 30


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*transcription*.yaml")),
                         ids=lambda path: path.name)  # fmt: skip
def test_no_transcription_reads_their_folders(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for folder in ("audio/genres", "audio/stems"):
        assert folder not in text
