"""Several songs in one command: odd names and files, names of outputs, resuming, stopping."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from glob import glob  # pathlib's stumbles over folders that vanish
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiotransfer.audio.reading import probe_audio

RATE = 44100
COMMAND = [sys.executable, "-m", "audiotransfer"]
STILL = ("--style", "still", "--separator", "none", "-q")
LATIN = os.fsdecode(b"caf\xe9.wav")  # bytes that are no UTF-8
Run = Callable[..., tuple[int, str, str]]


def write_song(path: Path, seconds: float = 0.3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(len(path.name))
    audio = 0.1 * random.standard_normal((round(seconds * RATE), 2))
    with path.open("wb") as file:  # soundfile takes no names that are no text
        soundfile.write(file, audio, RATE, format="WAV")
    return path


def write_tune(path: Path) -> Path:
    import mido

    track = mido.MidiTrack()
    for note in (60, 64, 67):
        track.append(mido.Message("note_on", note=note, time=0))
        track.append(mido.Message("note_off", note=note, time=480))
    mido.MidiFile(tracks=[track]).save(path)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, and a style `still`, for recordings and MIDI, that changes nothing."""
    for route, stems in (("spectral", ("drums", "bass", "other", "vocals")), ("symbolic", ())):
        style = tmp_path / route / "still"
        style.mkdir(parents=True)
        card = {"schema": 1, "name": "still", "description": "all stays", "route": route}
        card |= {"stems": dict.fromkeys(stems, "keep"), "weights": {}}
        (style / "card.json").write_text(json.dumps(card))
    folder = tmp_path / "here"
    folder.mkdir()
    places = os.pathsep.join(str(tmp_path / route) for route in ("spectral", "symbolic"))
    monkeypatch.setenv("AUDIOTRANSFER_STYLES", places)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(folder)
    return folder


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


# Odd names and files


def test_one_odd_name_or_file_never_ends_a_batch(here: Path, run: Run) -> None:
    for name in ("a.wav", "z.wav", LATIN, "日本.wav", "two\nlines.wav", "b" * 246 + ".wav"):
        write_song(here / "in" / name)
    (here / "in" / "folder.wav").mkdir()
    os.mkfifo(here / "in" / "pipe.wav")
    (here / "in" / "circle.wav").symlink_to("circle.wav")
    (here / "in" / "gone.wav").symlink_to("nowhere.wav")
    code, out, err = run("in", *STILL, "-o", "out/")
    assert code == 1
    good = {"a.still.wav", "z.still.wav", "日本.still.wav", "two\nlines.still.wav"}
    assert everything(here / "out") == {*good, LATIN.replace(".", ".still.")}
    assert out.count("out/") == 5
    assert len(err.splitlines()) == 1 and "bbb.still.wav cannot be written (File name too" in err


@pytest.mark.parametrize("verb", [(), ("separate",)])
def test_files_that_are_no_songs_are_named_one_by_one(
    here: Path, run: Run, verb: tuple[str, ...]
) -> None:
    write_song(here / "good.wav")
    (here / "empty.wav").touch()
    (here / "folder.wav").mkdir()
    os.mkfifo(here / "pipe.wav")
    os.mkfifo(here / "pipe.mid")
    (here / "circle.wav").symlink_to("circle.wav")
    (here / "text.wav").write_text("no sound")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.wav")
    odd = ["empty.wav", "gone.wav", "pipe.wav", "circle.wav", "text.wav", "socket.wav"]
    odd += ["n" * 300 + ".wav", "good.wav/song.wav", "/dev/null"]
    odd += [] if verb else ["pipe.mid", "gone.mid"]
    options = STILL if not verb else ("--separator", "none", "-q")
    code, out, err = run(*verb, *odd, "good.wav", *options, "--json")
    assert code == 1
    answer = json.loads(out)
    assert len(answer["done"]) == 1 and answer["done"][0]["input"] == "good.wav"
    assert {one["input"] for one in answer["failed"]} == set(odd)
    assert len(err.splitlines()) == len(odd)
    for name in odd:
        assert any(name[:200] in line for line in err.splitlines()), name
    for name in odd:  # alone each is a request that cannot be met
        code, out, err = run(*verb, name, *options, "-f")
        assert (code, out, len(err.splitlines())) == (2, "", 1), name


def test_a_file_closed_to_us_is_named(here: Path, run: Run) -> None:
    write_song(here / "a.wav")
    write_song(here / "closed.wav").chmod(0)
    if os.access(here / "closed.wav", os.R_OK):  # root reads everything
        return
    code, _, err = run("a.wav", "closed.wav", *STILL)
    assert code == 1 and "closed.wav cannot be read (Permission denied)" in err


@pytest.mark.parametrize("verb", [(), ("separate",)])
def test_a_fault_nobody_foresaw_stays_its_songs(
    here: Path, run: Run, verb: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.wav", "b.wav", "c.wav"):
        write_song(here / name)
    from audiotransfer.pipeline import sources

    opened = probe_audio

    def fail(path: str | Path) -> object:
        if Path(path).name == "b.wav":
            raise ZeroDivisionError("in the depth\nof a decoder")
        return opened(path)

    monkeypatch.setattr(sources, "probe_audio", fail)
    words = STILL if not verb else ("--separator", "none", "-q")
    code, out, err = run(*verb, "a.wav", "b.wav", "c.wav", *words)
    assert code == 1 and len(out.splitlines()) == 2
    assert len(err.splitlines()) == 1
    assert "b.wav cannot be worked on (ZeroDivisionError: in the depth of a decoder)" in err


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_names_are_printed_whatever_the_encoding_of_stdout(here: Path, encoding: str) -> None:
    for name in ("日本.wav", LATIN, "grün.wav"):
        write_song(here / "in" / name)
    (here / "in" / "音.wav").write_text("no sound")
    for as_json in ((), ("--json",)):
        done = subprocess.run(
            [*COMMAND, "in", *STILL, "-o", "out", "-f", *as_json],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": encoding},
            timeout=120,
        )
        assert done.returncode == 1, done.stderr
        assert b"Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1
        if as_json:
            answer = json.loads(done.stdout.decode(encoding))
            assert {os.fsencode(one["input"]) for one in answer["done"]} == {
                os.fsencode(f"in/{name}") for name in ("日本.wav", LATIN, "grün.wav")
            }
        else:
            lines = done.stdout.splitlines()
            japanese = "日本" if encoding == "utf-8" else "\\u65e5\\u672c"
            assert b"out/caf\xe9.still.wav" in lines  # as the system knows it
            assert f"out/{japanese}.still.wav".encode() in lines


def test_songs_behind_two_dashes_may_begin_with_one(here: Path, run: Run) -> None:
    write_song(here / "-x.wav")
    write_tune(here / "-m.mid")
    write_song(here / "separate")
    assert run(*STILL, "--", "-x.wav")[:2] == (0, "-x.still.wav\n")
    assert run("separate", "--separator", "none", "-q", "--", "-x.wav")[:2] == (0, "-x.stems\n")
    assert run("remix", "-q", "--", "-x.stems")[:2] == (0, "-x.stems.mix.wav\n")
    assert run("render", "-q", "--", "-m.mid")[:2] == (0, "-m.wav\n")
    assert run(*STILL, "--", "separate")[:2] == (0, "separate.still.wav\n")


# Names of outputs


@pytest.mark.parametrize("songs", [("song.wav",), ("song.wav", "two.wav")])
@pytest.mark.parametrize("out", ["new/", "a/b/c/", "new"])
def test_folders_are_made_with_one_song_as_with_many(
    here: Path, run: Run, songs: tuple[str, ...], out: str
) -> None:
    for song in songs:
        write_song(here / song)
    assert run(*songs, *STILL, "-o", out)[0] == 0
    names = {Path(song).stem for song in songs}
    assert everything(here / out) == {f"{name}.still.wav" for name in names}
    code, _, _ = run("separate", *songs, "--separator", "none", "-q", "-o", f"{out.rstrip('/')}-s/")
    assert code == 0
    wanted = {"other.wav"} if len(songs) == 1 else {f"{name}/other.wav" for name in names}
    assert everything(here / f"{out.rstrip('/')}-s") == wanted


def test_a_refused_request_leaves_no_folder(here: Path, run: Run) -> None:
    (here / "text.wav").write_text("no sound")
    assert run("text.wav", *STILL, "-o", "new/deep/")[0] == 2
    assert run("separate", "text.wav", "--separator", "none", "-o", "new/deep", "-q")[0] == 2
    assert run("text.wav", "text2.wav", *STILL, "-o", "new/deep/")[0] == 1
    assert everything(here) == {"text.wav"} and not (here / "new").exists()


def test_no_song_is_written_over_another(here: Path, run: Run) -> None:
    for name in ("cd1/01.wav", "cd2/01.wav", "cd2/02.wav"):
        write_song(here / "album" / name)
    places = {"cd1/01", "cd2/01", "cd2/02"}
    for _ in range(2):
        assert run("album", *STILL, "-f", "-o", "out")[0] == 0
        assert run("separate", "album", "--separator", "none", "-q", "-f", "-o", "parts")[0] == 0
    assert everything(here / "out") == {f"{place}.still.wav" for place in places}
    assert everything(here / "parts") == {f"{place}/other.wav" for place in places}
    songs = sorted(here.glob("album/*/01.wav"))
    assert run(*songs, *STILL, "-o", "named")[0] == 0
    assert everything(here / "named") == {"cd1/01.still.wav", "cd2/01.still.wav"}
    assert run(*songs, *STILL, "-o", "stemmed", "--stems-out", "stems")[0] == 0
    stems = {str(path.parent) for path in map(Path, everything(here / "stems"))}
    assert stems == {"cd1/01.still", "cd2/01.still"}


def test_a_song_is_never_written_over_itself_or_another_input(here: Path, run: Run) -> None:
    before = write_song(here / "song.wav").read_bytes()
    (here / "link.wav").symlink_to("song.wav")
    for out in ("song.wav", "link.wav", "./song.wav"):
        code, _, err = run("song.wav", *STILL, "-f", "-o", out)
        assert code == 2 and "is the song itself" in err
    shutil.copy("song.wav", "song.still.wav")
    code, _, err = run("song.wav", "song.still.wav", *STILL, "-f")
    assert code == 1 and "song.still.wav is one of the songs" in err
    assert (here / "song.wav").read_bytes() == (here / "song.still.wav").read_bytes() == before


def test_a_rendered_tune_leaves_a_recording_its_name(here: Path, run: Run) -> None:
    write_song(here / "song.wav")
    write_tune(here / "song.mid")
    code, out, _ = run("song.mid", "song.wav", *STILL, "--render", "--plot")
    assert code == 0
    made = ["song.still.mid", "song.still.mid.wav", "song.still.png", "song.still.wav"]
    assert sorted(out.split()) == made
    assert run(".", *STILL)[0] == 1  # all is there already, and nothing of it is a song
    assert everything(here) == {"song.wav", "song.mid", *made}


def test_outputs_and_stems_are_not_taken_for_songs(here: Path, run: Run) -> None:
    write_song(here / "in" / "song.wav")
    options = ("--separator", "hpss")
    assert run("in", *STILL, "-o", "in")[0] == 0
    for name in ("night.wav", "night.flac", "night.mp3", "night.ogg"):  # known by their tags
        assert run("in/song.wav", *STILL, "-o", f"in/{name}")[0] == 0
    assert run("separate", "in/song.wav", "-q", *options, "-o", "in/parts")[0] == 0
    one = ("--format", "flac", "--stems", "vocals")
    assert run("separate", "in/song.wav", "-q", *options, "-o", "in/one", *one)[0] == 0
    assert run("remix", "in/parts", "-q", "-o", "in/again.wav")[0] == 0
    code, out, err = run("in", *STILL[:-1], "-o", "out")
    assert (code, out) == (0, "out/song.still.wav\n")
    said = [line for line in err.splitlines() if "outputs of this program" in line]
    assert len(said) == 1 and "and 10 more left out" in said[0]
    code, out, _ = run("separate", "in", "-q", *options, "-o", "out2")
    assert (code, out) == (0, "out2/song\n")
    # Whoever names one means it.
    assert run("in/night.wav", *STILL, "-o", "out3/")[:2] == (0, "out3/night.still.wav\n")


def test_skip_existing_goes_on_where_a_batch_stopped(here: Path, run: Run) -> None:
    for name in ("a.wav", "b.wav", "c.wav"):
        write_song(here / "in" / name)
    write_tune(here / "in" / "d.mid")
    assert run("in/a.wav", "in/d.mid", *STILL, "-o", "out/")[0] == 0
    before = {path: path.stat().st_mtime_ns for path in (here / "out").iterdir()}
    code, out, err = run("in", *STILL, "-o", "out")
    assert code == 1 and err.count("exists") == 2 and len(out.split()) == 2
    shutil.rmtree(here / "out" / "b.still.wav", ignore_errors=True)
    (here / "out" / "b.still.wav").unlink()
    code, out, _ = run("in", *STILL, "-o", "out", "--skip-existing", "--json")
    answer = json.loads(out)
    assert code == 0 and [one["output"] for one in answer["done"]] == ["out/b.still.wav"]
    assert {one["input"] for one in answer["skipped"]} == {"in/a.wav", "in/c.wav", "in/d.mid"}
    assert {path: path.stat().st_mtime_ns for path in before} == before
    code, out, err = run("in", *STILL[:-1], "-o", "out", "--skip-existing")
    assert (code, out) == (0, "") and err.count("skipped") == 4
    assert run("in/a.wav", *STILL, "-o", "out/", "--skip-existing")[:2] == (0, "")
    words = ("separate", "in", "--separator", "none", "-q", "-o", "parts", "--skip-existing")
    assert run(*words)[1].split() == ["parts/a", "parts/b", "parts/c"]
    shutil.rmtree(here / "parts" / "b")
    assert run(*words)[:2] == (0, "parts/b\n")


# Stopping


@pytest.mark.parametrize("jobs", [(), ("--jobs", "2")])
def test_a_stopped_batch_says_so_in_a_line(here: Path, jobs: tuple[str, ...]) -> None:
    for name in ("a.wav", "b.wav", "c.wav"):
        write_song(here / "in" / name, 40.0)
    process = subprocess.Popen(
        [*COMMAND, "in", "--style", "still", "--separator", "hpss", "-o", "out", *jobs],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A test run in the background ignores Ctrl-C, and so would its child.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 120
    while not glob("out/.*.part") and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)
    for _ in range(2):  # whoever is impatient presses twice
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.3)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in err
    last = err.splitlines()[-1]
    assert last == "audiotransfer: stopped; nothing unfinished was left behind"
    assert not [name for name in everything(here) if name.endswith(".part")]
