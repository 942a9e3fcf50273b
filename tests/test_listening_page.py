"""The listening page: complete, self-contained, blind, and with the right sounds."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from audiotransfer.audio.loudness import LoudnessMeter
from audiotransfer.audio.reading import read_audio
from audiotransfer.benchmark.listening_page import Pair, RatedSong, write_mushra_page, write_page
from audiotransfer.errors import AudioTransferError

RATE = 44100
VOID = {"meta", "input", "br", "link", "img"}


class Reader(HTMLParser):
    """Elements that are opened must be closed; what scripts hold and attributes say is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data


def tone(frequency: float, level: float) -> Tensor:
    time = torch.arange(RATE) / RATE
    return level * torch.sin(2 * torch.pi * frequency * time).repeat(2, 1)


PAIRS = [Pair(f"song </script> {n}", tone(300, 0.5), tone(1200, 0.05)) for n in range(5)]


def page(path: Path, seed: int = 0) -> tuple[Reader, dict[str, Any], list[dict[str, str]]]:
    write_page(path, PAIRS, RATE, style="jazz", genre="jazz", seed=seed)
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    data = json.loads(reader.scripts[0])
    return reader, data, json.loads(base64.b64decode(data["key"]))


def test_the_page_is_one_file_that_asks_nobody(tmp_path: Path) -> None:
    reader, data, _ = page(tmp_path / "page.html")
    assert reader.open == []
    assert len(reader.scripts) == 2
    assert not [value for name, value in reader.attributes if name in ("src", "href")]
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|fetch\(|XMLHttpRequest", text)
    assert [question["id"] for question in data["questions"]] == [
        "tune", "style", "quality", "keep",
    ]  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_every_id_that_the_script_looks_for_is_there(tmp_path: Path) -> None:
    reader, _, _ = page(tmp_path / "page.html")
    there = {value for name, value in reader.attributes if name == "id"}
    sought = set(re.findall(r'getElementById\("([a-z]+)"\)', reader.scripts[1]))
    assert sought == {"data"}
    named = set(re.findall(r'byId\("([a-z]+)"\)', reader.scripts[1]))
    assert {"title", "song", "voter", "save", "clear", "progress", "result", "keys"} <= named
    assert sought | named <= there


def test_names_and_order_are_hidden_and_drawn_by_seed(tmp_path: Path) -> None:
    _, data, key = page(tmp_path / "one.html")
    assert all(set(pair) == {"A", "B"} for pair in data["songs"])
    assert sorted(one["name"] for one in key) == [pair.name for pair in PAIRS]
    assert all({one["A"], one["B"]} == {"before", "after"} for one in key)
    assert page(tmp_path / "same.html")[2] == key
    others = [page(tmp_path / f"{seed}.html", seed)[2] for seed in (1, 2)]
    assert key not in others
    assert len({one["A"] for one in [*key, *others[0], *others[1]]}) == 2


def test_a_and_b_are_what_the_key_says_at_one_level(tmp_path: Path) -> None:
    _, data, key = page(tmp_path / "page.html")
    for shown, told in zip(data["songs"], key, strict=True):
        for side in ("A", "B"):
            head, _, coded = shown[side].partition(",")
            assert head == "data:audio/mpeg;base64"
            path = tmp_path / "sound.mp3"
            path.write_bytes(base64.b64decode(coded))
            sound, rate = read_audio(path)
            assert rate == RATE
            # The format pads both ends alike.
            assert RATE <= sound.shape[1] < 1.1 * RATE
            meter = LoudnessMeter(RATE, 2)
            meter.push(sound)
            assert meter.integrated() == pytest.approx(-23.0, abs=0.5)
            loudest = int(torch.fft.rfft(sound[0]).abs().argmax()) * RATE / sound.shape[1]
            expected = 300 if told[side] == "before" else 1200
            assert loudest == pytest.approx(expected, abs=8)


def test_a_page_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioTransferError, match="zero pairs"):
        write_page(tmp_path / "page.html", [], RATE, style="jazz", genre="jazz")


def test_a_mushra_test_hides_the_reference_and_an_anchor_among_the_systems(tmp_path: Path) -> None:
    both = tone(300, 0.2) + tone(9000, 0.2)
    rated_songs = [
        RatedSong("song", both, {"style": tone(1200, 0.1), "matched EQ": tone(600, 0.4)})
    ]
    path = tmp_path / "page.html"
    write_mushra_page(
        path, rated_songs, RATE, style="jazz", genre="jazz", asked="How close?", seed=3
    )
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    data = json.loads(reader.scripts[0])
    (key,) = json.loads(base64.b64decode(data["key"]))
    assert data["mode"] == "mushra"
    assert data["asked"] == "How close?"
    rated = {letter: what for letter, what in key.items() if letter != "name"}
    assert set(rated.values()) == {"reference", "anchor", "style", "matched EQ"}
    (song,) = data["songs"]
    assert set(song) == {*rated, "reference"}
    letter = {what: letter for letter, what in rated.items()}
    # The hidden reference is the open one; the anchor has lost what lies above 3.5 kHz.
    assert song[letter["reference"]] == song["reference"]
    high = {}
    for what in ("reference", "anchor"):
        coded = tmp_path / "sound.mp3"
        coded.write_bytes(base64.b64decode(song[letter[what]].partition(",")[2]))
        spectrum = torch.fft.rfft(read_audio(coded)[0][0]).abs().square()
        place = round(8000 / RATE * 2 * len(spectrum))
        high[what] = float(spectrum[place:].sum() / spectrum.sum())
    assert high["reference"] > 0.2
    assert high["anchor"] < 1e-3
    with pytest.raises(AudioTransferError, match="zero songs"):
        write_mushra_page(path, [], RATE, style="jazz", genre="jazz", asked="?")
