"""The command line: in real processes where start-up matters, else in this one."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from glob import glob  # pathlib's stumbles over folders that vanish
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiotransfer.cli import main
from audiotransfer.cli.main import VERBS

RATE = 44100
COMMAND = [sys.executable, "-m", "audiotransfer"]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def write_song(path: Path, seconds: float = 1.5, channels: int = 2) -> np.ndarray:
    random = np.random.default_rng(3)
    time_axis = np.arange(round(seconds * RATE)) / RATE
    tones = [0.2 * np.sin(2 * np.pi * (220 + 110 * c) * time_axis) for c in range(channels)]
    audio = np.stack(tones, 1) + 0.02 * random.standard_normal((len(time_axis), channels))
    soundfile.write(path, audio, RATE)
    return audio


def write_card(folder: Path, **fields: object) -> None:
    folder.mkdir(parents=True)
    card = {
        "schema": 1,
        "name": folder.name,
        "description": "everything stays as it is",
        "stems": {stem: "keep" for stem in ("drums", "bass", "other", "vocals")},
        "weights": {},
    }
    (folder / "card.json").write_text(json.dumps({**card, **fields}))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with a song and styles: `still` changes nothing, `rusty` is damaged,
    `swing` is for scores."""
    write_card(tmp_path / "styles" / "still")
    write_card(
        tmp_path / "styles" / "rusty",
        stems={"drums": {"weights": "a.safetensors"}},
        weights={"a.safetensors": hashlib.sha256(b"whole").hexdigest()},
    )
    (tmp_path / "styles" / "rusty" / "a.safetensors").write_bytes(b"half")
    write_card(tmp_path / "styles" / "swing", route="symbolic")
    folder = tmp_path / "here"
    folder.mkdir()
    write_song(folder / "song.wav")
    monkeypatch.setenv("AUDIOTRANSFER_STYLES", str(tmp_path / "styles"))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def light(place: Path, tmp_path: Path) -> Run:
    """Runs the command in a process in which importing torch is an error."""
    trap = tmp_path / "trap"
    trap.mkdir()
    (trap / "torch.py").write_text("raise SystemExit('torch was imported')\n")
    path = os.pathsep.join(filter(None, [str(trap), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *words], capture_output=True, text=True, timeout=60, env=environment
        )

    return run


def here(place: Path) -> set[str]:
    return {path.name for path in place.iterdir()}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_without_torch(light: Run, verb: str) -> None:
    done = light(verb, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: audiotransfer")
    assert verb in ("doctor", "transfer") or "examples:" in done.stdout


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    "verb", sorted(VERBS.keys() - {"demo", "doctor", "help", "serve", "styles"})
)
def test_a_verb_without_arguments_says_what_it_needs(run, verb: str) -> None:
    code, out, err = run(verb)
    assert (code, out, err.count("\n")) == (2, "", 1)
    own = {"evaluate": "needs a style and songs", "train": "a CONFIG, --style NAME --from FOLDER"}
    assert own.get(verb, "the following arguments are required") in err


@pytest.mark.parametrize("words", [("--help",), ("styles",)])
def test_help_and_styles_answer_at_once(light: Run, words: tuple[str, ...]) -> None:
    """In a quarter of the processor time that loading torch alone takes on this machine."""

    def used(run: Callable[[], subprocess.CompletedProcess[str]]) -> float:
        before = os.times()
        done = run()
        after = os.times()
        assert done.returncode == 0, done.stderr
        # Processor time: how long others kept us waiting for a processor says nothing about us.
        return sum(
            getattr(after, f"children_{kind}") - getattr(before, f"children_{kind}")
            for kind in ("user", "system")
        )

    loading = [sys.executable, "-c", "import torch"]
    torch_alone = used(lambda: subprocess.run(loading, capture_output=True, text=True, check=False))
    assert 0 < used(lambda: light(*words)) < torch_alone / 4


def test_styles_lists_cards_as_text_and_json(light: Run) -> None:
    listed = light("styles").stdout
    recordings, scores = listed.split("for MIDI files:")
    assert "for recordings:" in recordings and "  still " in recordings and "  swing " in scores
    cards = {card["name"]: card for card in json.loads(light("styles", "--json").stdout)}
    assert cards["still"]["stems"]["drums"] == "keep"
    assert {"still", "swing", "rusty"} <= set(cards)
    assert "kept" in light("styles", "still", "--card").stdout
    assert "did you mean still?" in light("styles", "stil").stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")
def test_what_is_no_file_is_not_written_over(run, place: Path) -> None:
    def refused(out: str, says: str, *words: str) -> None:
        code, text, err = run(
            *(words or ("song.wav", "--style", "still", "--separator", "none")), "-o", out, "-q"
        )
        assert (code, text, err.count("\n")) == (2, "", 1) and says in err

    (place / "link.wav").symlink_to("gone.wav")
    refused("link.wav", "link.wav exists")
    assert (place / "link.wav").is_symlink()
    os.mkfifo(place / "pipe.wav")
    os.mkfifo(place / "pipe.mid")
    for force in ((), ("-f",)):
        words = ("song.wav", "--style", "still", "--separator", "none", *force)
        refused("pipe.wav", "pipe.wav is a pipe or a device", *words)
        refused("pipe.mid", "pipe.mid is a pipe or a device", "drums", "sample", *force)
        refused(os.devnull, f"{os.devnull} is a pipe or a device", *words)
    assert (place / "pipe.wav").is_fifo() and (place / "pipe.mid").is_fifo()
    code, _, err = run("song.wav", "--style", "still", "-o", "link.wav", "-f", "-q")
    assert (code, err) == (0, "") and (place / "link.wav").is_file()


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ("song.wav --style still --separator none -o new/deep/x.wav", "new/deep/x.wav"),
        ("remix parts -o new/", "new/parts.mix.wav"),
        ("remix parts -o new/deep --format flac", "new/deep/parts.mix.flac"),
        ("remix parts -o new/deep/x.flac", "new/deep/x.flac"),
        ("render tune.mid -o new/deep/x.flac", "new/deep/x.flac"),
        ("drums sample --bars 1 -o new/deep/x.mid", "new/deep/x.mid"),
        ("accompany twinkle -o new/deep/x.mid", "new/deep/x.mid"),
    ],
)
def test_folders_that_are_named_are_made(run, place: Path, words: str, written: str) -> None:
    import pretty_midi

    score = pretty_midi.PrettyMIDI()
    score.instruments.append(pretty_midi.Instrument(0))
    score.instruments[0].notes.append(pretty_midi.Note(90, 60, 0.0, 0.5))
    score.write(str(place / "tune.mid"))
    (place / "parts").mkdir()
    write_song(place / "parts" / "drums.wav")
    code, out, err = run(*words.split(), "-q")
    assert (code, out, err) == (0, f"{written}\n", "")
    assert (place / written).is_file()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("gone.wav", "--style", "still"), "gone.wav does not exist; check the name"),
        (("song", "--style", "still"), "song does not exist; did you mean song.wav?"),
        (("sing.wav", "--style", "still"), "sing.wav does not exist; did you mean song.wav?"),
        (("train", "--style", "mine", "--from", "gone"), "gone does not exist"),
        (("song.wav", "--style", "still", "--leadsheet", "no.txt"), "no.txt does not exist"),
        (("empty.wav", "--style", "still"), "empty.wav is empty (0 bytes)"),
        (("separate", "tune.mid"), "audiotransfer render"),
        (("tune.mid", "--style", "still"), "is for recordings, this needs one for MIDI files"),
        (("tune.mid", "--style", "swing"), "tune.mid is a damaged MIDI file"),
        (("empty.mid", "--style", "swing"), "empty.mid is empty"),
        (("text.mid", "--style", "swing"), "text.mid is no MIDI file"),
        (("song.wav", "--style", "stil"), "unknown style 'stil': did you mean still?"),
        (("song.wav", "--style", "rusty"), "damaged or foreign"),
        (("song.wav", "--style", "swing"), "is for MIDI files, this needs one for recordings"),
        (("song.wav", "--style", "still", "-o", "song.wav"), "overwriting it (-f)"),
        (("song.wav", "--style", "still", "-o", "song.xyz"), "suffix '.xyz'"),
        (("song.wav", "--style", "still", "-o", "song.wav/new.wav"), "song.wav cannot be made"),
        (("song.wav", "--style", "still", "-o", "a.wav", "--format", "mp3"), "contradict"),
        (("text.wav", "--style", "still"), "text.wav holds no audio"),
        (("song.wav", "--stile", "jazz"), "unrecognized arguments: --stile"),
        (("song.wav", "--format", "aiff"), "invalid choice: 'aiff'"),
        (("song.wav", "--stem", "drums"), "'drums' is not NAME=VALUE"),
        (("remix", "gone"), "gone is no folder"),
        (("train", "jazz", "steps"), "'steps' is not key=value"),
        (("fetch", "htdemux"), "did you mean 'htdemucs'?"),
    ],
)
def test_wrong_requests_are_refused_before_torch(
    light: Run, place: Path, words: tuple[str, ...], says: str
) -> None:
    (place / "empty.wav").touch()
    (place / "tune.mid").write_bytes(b"MThd")
    (place / "text.wav").write_text("no sound at all")
    (place / "empty.mid").touch()
    (place / "text.mid").write_text("no notes at all")
    before = here(place)
    done = light(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert here(place) == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("song.wav",), "no style given"),
        (("song.wav", "--style", "still", "--strength", "1.2"), "strength 1.2 is out of range"),
        (("song.wav", "--style", "still", "--stem", "drum=keep"), "did you mean drums?"),
        (("song.wav", "--style", "still", "--gain", "drums=loud"), "gain drums=loud"),
        (("song.wav", "--style", "still", "-o", "old.wav"), "old.wav exists"),
        (("song.wav", "old.wav", "--style", "still", "-o", "a.wav"), "a.wav is no folder"),
        (("song.wav", "--style", "still", "--device", "abacus"), "unknown device 'abacus'"),
        (("song.wav", "--style", "still", "--separator", "hpps"), "did you mean 'hpss'?"),
        (("song.wav", "--style", "still", "--vocoder", "neurl"), "did you mean neural?"),
        (("bare", "--style", "still"), "bare holds no audio"),
        (("empty.wav", "--style", "still"), "empty.wav"),
        (("nothing.wav", "--style", "still"), "nothing.wav"),
        (("nan.wav", "--style", "still"), "NaN"),
        (("demo", "--style", "nope"), "unknown style 'nope'"),
        (("resynth", "song.wav", "--inverter", "sourse"), "did you mean 'source'?"),
        (("resynth", "song.wav", "--seconds", "0"), "--seconds 0"),
        (("resynth", "song.wav", "--inverter", "wavenet"), "audiotransfer train wavenet"),
    ],
)
def test_one_line_and_nothing_written(run, place: Path, words, says: str) -> None:
    write_song(place / "old.wav")
    (place / "bare").mkdir()
    (place / "empty.wav").write_bytes((place / "song.wav").read_bytes()[:44])
    soundfile.write(place / "nothing.wav", np.zeros((0, 2)), RATE)
    soundfile.write(place / "nan.wav", np.full((RATE, 1), np.nan), RATE, subtype="FLOAT")
    before = here(place)
    if words[0].endswith(".wav") and "--separator" not in words:
        words = (*words, "--separator", "hpss")
    code, out, err = run(*words, "-q")
    assert code == 2
    assert out == ""
    assert says in err
    assert len(err.splitlines()) == 1
    assert here(place) == before


def test_a_cut_song_is_played_as_far_as_it_goes_with_a_line(run, place: Path) -> None:
    (place / "cut.wav").write_bytes((place / "song.wav").read_bytes()[:20000])
    code, out, err = run("cut.wav", "--style", "still", "--separator", "hpss")
    assert (code, out) == (0, "cut.still.wav\n")
    assert len(err.splitlines()) == 1 and "cut.wav: truncated or damaged" in err
    assert (
        soundfile.info(place / "cut.still.wav").frames == soundfile.info(place / "cut.wav").frames
    )


def test_transfer_keeps_the_song_and_writes_stems_that_remix_to_it(run, place: Path) -> None:
    original, _ = soundfile.read(place / "song.wav")
    common = ("--style", "still", "--separator", "hpss", "--stems-out", "stems", "--float32")
    code, out, err = run("song.wav", *common, "-q")
    assert (code, out, err) == (0, "song.still.wav\n", "")
    result, rate = soundfile.read(place / "song.still.wav")
    assert (rate, result.shape) == (RATE, original.shape)
    np.testing.assert_allclose(result, original, atol=1e-5)
    code, out, _ = run("remix", "stems", "-o", "again.wav", "--float32", "--json")
    assert code == 0
    assert json.loads(out)["frames"] == len(original)
    again, _ = soundfile.read(place / "again.wav")
    assert np.sqrt(np.mean((again - original) ** 2)) < 1e-3 * np.sqrt(np.mean(original**2))
    code, _, err = run("remix", "stems", "-o", "again.wav")
    assert code == 2 and "again.wav exists" in err
    muted = [word for stem in ("drums", "bass", "vocals") for word in ("--stem", f"{stem}=mute")]
    code, _, _ = run("remix", "stems", "-o", "again.wav", "-f", "--float32", *muted)
    assert code == 0
    again, _ = soundfile.read(place / "again.wav")
    other, _ = soundfile.read(place / "stems" / "other.wav")
    np.testing.assert_allclose(again, other, atol=1e-5)


def test_a_batch_goes_on_past_bad_songs(run, place: Path) -> None:
    (place / "text.wav").write_text("no sound at all")
    album = place / "album"
    album.mkdir()
    write_song(album / "mono.wav", channels=1)
    songs = ("text.wav", "gone.wav", "song.wav", "album")
    options = ("--style", "still", "--separator", "none", "-o", ".", "--format", "flac")
    code, out, err = run(*songs, *options, "-q")
    assert code == 1
    written = ["song.still.flac", "mono.still.flac"]
    assert out.split() == written
    assert len(err.splitlines()) == 2
    assert soundfile.info(place / "mono.still.flac").channels == 1
    code, out, _ = run(*songs, *options, "-f", "--json", "-q")
    answer = json.loads(out)
    assert code == 1
    assert [report["output"] for report in answer["done"]] == written
    assert [failure["input"] for failure in answer["failed"]] == ["text.wav", "gone.wav"]


def test_separate_writes_stems_beside_where_one_stands(run, place: Path) -> None:
    code, out, _ = run("separate", "song.wav", "--separator", "hpss")
    assert (code, out) == (0, "song.stems\n")
    original, _ = soundfile.read(place / "song.wav")
    stems = [soundfile.read(path)[0] for path in sorted((place / "song.stems").iterdir())]
    assert len(stems) == 4
    np.testing.assert_allclose(sum(stems), original, atol=1e-3)


@pytest.mark.usefixtures("place")
def test_resynth_prints_figures_for_each_pair(run) -> None:
    pairs = ("--inverter", "source", "--inverter", "griffinlim", "--seconds", "0.7")
    code, out, _ = run("resynth", "song.wav", *pairs, "--json")
    assert code == 0
    source, griffinlim = json.loads(out)
    assert (source["inverter"], griffinlim["inverter"]) == ("source", "griffinlim")
    # The picture of a song laid over the song itself changes nothing.
    assert source["spectral_convergence_db"] < -60 < griffinlim["spectral_convergence_db"]


@pytest.mark.usefixtures("place")
def test_resynth_takes_all_inverters_that_are_ready(run) -> None:
    code, out, err = run("resynth", "song.wav", "--seconds", "0.2", "--json", "-o", "copies")
    names = [row["inverter"] for row in json.loads(out)]
    assert code == 0 and {"source", "griffinlim", "deep-griffinlim", "neural"} <= set(names)
    assert "without wavenet: no weights of wavenet ship" in err and "wavenet" not in names
    assert {path.name for path in Path("copies").iterdir()} == {
        f"song.mel-{name}.wav" for name in names
    }


@pytest.mark.usefixtures("place")
def test_doctor_names_everything(run) -> None:
    code, out, _ = run("doctor", "--json")
    findings = json.loads(out)
    assert code == (1 if any(finding["state"] == "broken" for finding in findings) else 0)
    by_topic = {finding["topic"]: finding for finding in findings}
    assert {"audiotransfer", "torch", "libraries", "separation", "vocoder"} <= set(by_topic)
    assert by_topic["torch"]["state"] == by_topic["separation"]["state"] == "ok"
    assert all(finding["remedy"] for finding in findings if finding["state"] != "ok")
    assert findings[-1]["topic"] == "summary" and findings[-1]["state"] == "broken"
    # The fixture's damaged style is found out.
    assert any("rusty" in finding["text"] for finding in findings if finding["state"] == "broken")


def test_doctor_ends_in_what_this_machine_can_do(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUDIOTRANSFER_STYLES", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    code, out, _ = run("doctor")
    last = out.splitlines()[-1]
    assert code == 0
    assert last.startswith("ok") and "jazz" in last
    found = re.search(
        r"a song of 4:00 takes about (\d+):(\d\d) here by timbre, (\d+):(\d\d) as a cover", last
    )
    assert found is not None
    minutes, seconds = int(found[1]), int(found[2])
    assert 60 * minutes + seconds > 1  # measured, not nothing


@pytest.mark.usefixtures("place")
def test_doctor_names_what_training_rendering_and_clusters_lack(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audiotransfer.cli import doctor

    optional = {
        "lightning_fabric": ("lightning-fabric", "audiotransfer[train]"),
        "tensorboard": ("tensorboard", "audiotransfer[train]"),
        "distributed": ("dask is not", "audiotransfer[cluster]"),
        "ray": ("ray is not", "audiotransfer[cluster]"),
        "pretty_midi": ("pretty_midi, which carries one", "pip install pretty_midi"),
    }
    found = importlib.util.find_spec
    monkeypatch.setattr(
        doctor.importlib.util, "find_spec", lambda name: None if name in optional else found(name)
    )
    missing = [finding for finding in doctor.examine() if finding.state == "missing"]
    for words, remedy in optional.values():
        assert [one for one in missing if words in one.text and remedy in one.remedy], words
    monkeypatch.setattr(
        doctor.importlib.util, "find_spec", lambda name: found("json" if name in optional else name)
    )
    topics = {finding.topic: finding.state for finding in doctor.examine()}
    assert topics["training"] == topics["cluster"] == "ok"


@pytest.mark.usefixtures("place")
def test_doctor_sees_a_foreign_package_of_our_name(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_package = tmp_path / "elsewhere" / "vocoder"
    other_package.mkdir(parents=True)
    (other_package / "__init__.py").touch()
    monkeypatch.syspath_prepend(other_package.parent)
    for name in [name for name in sys.modules if name.partition(".")[0] == "vocoder"]:
        monkeypatch.delitem(sys.modules, name)
    code, out, err = run("doctor")
    assert code == 1
    assert f"another package of this name loads instead of ours: {other_package}" in out
    assert err == ""


def test_render_plays_a_score(run, place: Path) -> None:
    import pretty_midi

    score = pretty_midi.PrettyMIDI()
    piano = pretty_midi.Instrument(0)
    piano.notes = [pretty_midi.Note(90, 57, 0.0, 0.5)]
    score.instruments.append(piano)
    score.write(str(place / "tune.mid"))
    code, out, _ = run("render", "tune.mid")
    assert (code, out) == (0, "tune.wav\n")
    audio, rate = soundfile.read(place / "tune.wav")
    spectrum = np.abs(np.fft.rfft(audio[: rate // 2].mean(1), 8 * rate))
    # A3 is 220 Hz, its octave above may be louder.
    peak = spectrum[: 8 * 1000].argmax() / 8
    assert min(abs(peak - 220), abs(peak - 440)) < 3


@pytest.mark.parametrize(
    ("stop", "code"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, 130)]
)
def test_stopping_leaves_nothing_partial(place: Path, stop: signal.Signals, code: int) -> None:
    write_song(place / "long.wav", seconds=40)
    before = here(place)
    process = subprocess.Popen(
        [*COMMAND, "long.wav", "--style", "still", "--separator", "hpss", "--stems-out", "stems"],
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background ignores Ctrl-C, and so would its child.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 180
    while not glob("stems/.*.part") and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)
    process.send_signal(stop)
    _, err = process.communicate(timeout=120)
    assert process.returncode == code
    assert here(place) == before
    assert "Traceback" not in err


def test_settings_may_stand_behind_options(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["train", "no-such-config", "--out", str(tmp_path), "trainer.steps=1"]) == 2
    assert "no-such-config" in capsys.readouterr().err


def use_block() -> list[str]:
    """The commands of the README's section on use."""
    text = (Path(__file__).parent.parent / "README.md").read_text()
    block = text.partition("## Use\n")[2].partition("```sh\n")[2].partition("```")[0]
    return [line for line in block.splitlines() if line]


@pytest.mark.usefixtures("place")
def test_the_readmes_use_block_works_as_it_stands(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pasted into a folder with a song, a score and an album."""
    from audiotransfer.symbolic.accompaniment import melody

    folder = tmp_path / "pasted"
    (folder / "album" / "cd1").mkdir(parents=True)
    monkeypatch.chdir(folder)
    for name in ("song.mp3", "album/one.mp3", "album/cd1/two.flac"):
        write_song(folder / name, seconds=1.0)
    melody.twinkle_score().dump_midi(folder / "song.mid")
    commands = use_block()
    assert len(commands) > 10
    for command in commands:
        program, *words = shlex.split(command, comments=True)
        assert program == "audiotransfer"
        code, out, err = run(*words, "-q")
        assert (code, err) == (0, ""), command
        assert "--skip-existing" in words or all(Path(line).exists() for line in out.split())
        said = command.partition("# writes ")[2].split()
        assert all(Path(name).exists() for name in said), command
    made = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {
        "album-jazz/one.jazz.wav",
        "album-jazz/cd1/two.jazz.wav",
        "song.jazz.wav",
        "song.jazz.mid",
        "song.jazz.mid.wav",
        "song.jazz.png",
        "stems.mix.wav",
    } <= made
    assert not [name for name in made if name.count("jazz") > 2]
