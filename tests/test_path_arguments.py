"""Path arguments of every verb with unusual and invalid values: one line, never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiotransfer.cli import main

PLACES = {
    "missing": "gone/none.x",
    "folder": "folder",
    "folder like a song": "folder.wav",
    "folder like a score": "folder.mid",
    "empty name": "",
    "nul": "a\0b",
    "very long": "n" * 300 + ".wav",
    "long score": "n" * 300 + ".mid",
    "deep": "/".join(["d" * 200] * 30),
    "null device": "/dev/null",
    "full device": "/dev/full",
    "pipe": "pipe",
    "pipe like a song": "pipe.wav",
    "pipe like a score": "pipe.mid",
    "socket": "socket",
    "no text": os.fsdecode(b"caf\xe9.wav"),
    "score, no text": os.fsdecode(b"caf\xe9.mid"),
    "folder, no text": os.fsdecode(b"d\xe9"),
    "nonsense": "text.txt",
    "nonsense song": "text.wav",
    "nonsense score": "text.mid",
    "below a file": "text.txt/song.wav",
    "circle": "circle.wav",
    "nothing": "nothing.wav",
    "lines": "two\nlines.wav",
}
QUICK = ["--style", "still", "--separator", "none", "-q", "-f"]
COMMANDS = {
    "transfer": ["{}", *QUICK],
    "transfer among others": ["song.wav", "{}", *QUICK, "-o", "out/"],
    "transfer MIDI among others": ["tune.mid", "{}", *QUICK, "-o", "out/"],
    "transfer -o": ["song.wav", *QUICK, "-o", "{}"],
    "transfer MIDI -o": ["tune.mid", *QUICK, "-o", "{}"],
    "transfer --stems-out": ["song.wav", *QUICK, "--stems-out", "{}"],
    "transfer --style": ["song.wav", "--style", "{}", "-q", "-f"],
    "transfer MIDI --style": ["tune.mid", "--style", "{}", "-q", "-f"],
    "transfer --soundfont": ["tune.mid", *QUICK, "--soundfont", "{}"],
    "separate": ["separate", "{}", "--separator", "none", "-q", "-f"],
    "separate -o": ["separate", "song.wav", "--separator", "none", "-q", "-f", "-o", "{}"],
    "remix": ["remix", "{}", "-q", "-f"],
    "remix -o": ["remix", "stems", "-q", "-f", "-o", "{}"],
    "resynth": ["resynth", "{}", "-q", "-f", "--seconds", "0.1", "--inverter", "source"],
    "styles": ["styles", "{}"],
    "fetch": ["fetch", "{}", "-q"],
    "fetch --from": ["fetch", "htdemucs", "-q", "--from", "{}"],
    "help": ["help", "{}"],
    "accompany": ["accompany", "{}", "-q", "-f"],
    "accompany --by": ["accompany", "twinkle", "-q", "-f", "--by", "{}"],
    "accompany --soundfont": ["accompany", "tune.mid", "-q", "-f", "--soundfont", "{}"],
    "drums humanise": ["drums", "humanise", "{}", "-q", "-f"],
    "drums interpolate": ["drums", "interpolate", "tune.mid", "{}", "-q", "-f"],
    "drums --by": ["drums", "sample", "-q", "-f", "--by", "{}"],
    "demo --style": ["demo", "-q", "-f", "--style", "{}"],
    "train": ["train", "{}", "-q"],
    "train -o": ["train", "no-such-config", "-q", "-o", "{}"],
    "render": ["render", "{}", "-q", "-f"],
    "render -o": ["render", "tune.mid", "-q", "-f", "-o", "{}"],
    "render --soundfont": ["render", "tune.mid", "-q", "-f", "--soundfont", "{}"],
    "prepare": ["prepare", "{}", "-o", "ready", "-q", "--separator", "none", "--jobs", "1"],
    "prepare -o": ["prepare", "songs", "-o", "{}", "-q", "--separator", "none", "--jobs", "1"],
    "prepare --style-of": ["prepare", "songs", "-o", "ready", "-q", "--style-of", "{}"],
    "evaluate": ["evaluate", "{}", "--on", "text.wav", "-q"],
    "evaluate --on": ["evaluate", "still", "--on", "{}", "-q"],
    "evaluate -o": ["evaluate", "still", "--on", "text.wav", "-q", "-o", "{}"],
    "evaluate --classifier": ["evaluate", "still", "--on", "text.wav", "-q", "--classifier", "{}"],
    "evaluate --baseline": ["evaluate", "still", "--on", "text.wav", "-q", "--baseline", "{}"],
}


class Waited(BaseException):
    """The command waited for what never comes."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for route, stems in (("spectral", ("drums", "bass", "other", "vocals")), ("symbolic", ())):
        style = tmp_path / route / "still"
        style.mkdir(parents=True)
        card = {"schema": 1, "name": "still", "description": "all stays", "route": route}
        card |= {"stems": dict.fromkeys(stems, "keep"), "weights": {}}
        (style / "card.json").write_text(json.dumps(card))
    places = os.pathsep.join(str(tmp_path / route) for route in ("spectral", "symbolic"))
    monkeypatch.setenv("AUDIOTRANSFER_STYLES", places)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("folder", "folder.wav", "folder.mid", os.fsdecode(b"d\xe9"), "stems"):
        (folder / name).mkdir()
    audio = 0.1 * np.random.default_rng(0).standard_normal((9000, 2))
    soundfile.write("song.wav", audio, 44100)
    for name in ("two\nlines.wav", PLACES["no text"], "stems/drums.wav", "stems/bass.wav"):
        shutil.copy("song.wav", name)
    for genre in ("rock", "jazz"):
        (folder / "songs" / genre).mkdir(parents=True)
        shutil.copy("song.wav", f"songs/{genre}/a.wav")
    _write_tune(folder / "tune.mid")
    shutil.copy("tune.mid", PLACES["score, no text"])
    for name in ("text.txt", "text.wav", "text.mid"):
        (folder / name).write_text("nonsense\n")
    (folder / "nothing.wav").touch()
    (folder / "circle.wav").symlink_to("circle.wav")
    for name in ("pipe", "pipe.wav", "pipe.mid"):
        os.mkfifo(folder / name)

    def wait(*_: object) -> None:
        raise Waited

    before = signal.signal(signal.SIGALRM, wait)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        yield folder
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _write_tune(path: Path) -> None:
    import mido

    track = mido.MidiTrack()
    for channel in (0, 9):
        for note in (36, 38, 42):
            track.append(mido.Message("note_on", channel=channel, note=note, time=0))
            track.append(mido.Message("note_off", channel=channel, note=note, time=480))
    mido.MidiFile(tracks=[track]).save(path)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_path_ends_in_a_traceback(
    here: Path, command: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    for kind, name in PLACES.items():
        capfdbinary.readouterr()
        signal.alarm(60)
        try:
            code = main([word.replace("{}", name) for word in COMMANDS[command]])
        except SystemExit as leave:  # an argument that is refused as such
            code = int(leave.code or 0)
        signal.alarm(0)
        err = os.fsdecode(capfdbinary.readouterr().err)
        assert code in (0, 1, 2), (kind, err)
        assert "please report" not in err, (kind, err)
        if code == 2:
            assert len(err.splitlines()) == 1, (kind, err)
            assert err.startswith("audiotransfer"), (kind, err)
