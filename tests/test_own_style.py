"""A style of one's own from songs: matched templates, pairs, training, Ctrl-C, a reference song."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from audiotransfer.audio.writing import write_audio
from audiotransfer.benchmark import EQUALISER_FILE
from audiotransfer.cli.main import main
from audiotransfer.cli.progress import ProgressLine
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.baselines.audio import MatchedEQ
from audiotransfer.pipeline import report_page
from audiotransfer.pipeline.report_page import write_report_page
from audiotransfer.pipeline.reporting import CoverReport, PartReport, Report, StemReport
from audiotransfer.preparation import own_pairs, own_style, reference_style
from audiotransfer.preparation.own_pairs import SongLength, excerpt, song_lengths
from audiotransfer.preparation.own_style import stem_levels
from audiotransfer.preparation.reference_style import style_name
from audiotransfer.recipes.base import RunShare
from audiotransfer.spectral.matched_templates import match_templates
from audiotransfer.spectral.models.drum_templates import DrumTemplateModel
from audiotransfer.spectral.models.note_templates import NoteTemplateModel
from audiotransfer.spectral.models.templates import synthesise
from audiotransfer.synthesis.catalogue import instrument_names
from audiotransfer.timing import TimeLeft
from audiotransfer.training.checkpoints import FACTS

RATE = 44100


def song(path: Path, seconds: float = 3.0, low: float = 110.0) -> Path:
    time = torch.arange(round(seconds * RATE)) / RATE
    beats = torch.exp(-8.0 * (time % 0.5))
    noise = torch.randn(len(time), generator=torch.Generator().manual_seed(1)) * beats
    tones = sum(torch.sin(2 * math.pi * low * k * time) / k for k in (1, 2, 3, 4))
    assert isinstance(tones, Tensor)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, (0.1 * tones + 0.1 * noise).expand(2, -1), RATE, overwrite=True)
    return path


def drums() -> DrumTemplateModel:
    torch.manual_seed(0)
    model = DrumTemplateModel(["rock"], 8, 6, (1, 2)).initialise()
    torch.nn.init.normal_(model.activations.weight, std=0.5)
    return model.eval()


def features(frames: int = 240) -> Tensor:
    return -4 + 1.5 * torch.randn(256, frames, generator=torch.Generator().manual_seed(1))


def test_matched_templates_explain_a_song_better_than_an_equaliser() -> None:
    model, sound = drums(), features()
    kept = model.templates.clone()
    matched = match_templates(model, [sound])
    assert matched.divergence < 0.95 * matched.before
    assert torch.equal(model.templates, kept)  # a copy is changed
    assert not torch.equal(matched.model.templates, kept)
    for name, value in matched.model.state_dict().items():
        if name != "templates":
            assert torch.equal(value, model.state_dict()[name])


def test_templates_that_are_right_already_stay() -> None:
    """A song that the model itself gives is explained to the end, and only quiet cells differ."""
    model = drums()
    source = features()
    activations, _ = model.parts(source[None])
    silence = torch.full((1, 1, 256, source.shape[-1]), -30.0)
    sound = synthesise(activations, model.flat_templates(), source[None], silence)[0, 0]

    class Same(DrumTemplateModel):
        def parts(self, features: Tensor) -> tuple[Tensor, Tensor]:
            return activations[..., : features.shape[-1]], silence

    same = Same(**model.shape())
    same.load_state_dict(model.state_dict())
    matched = match_templates(same, [sound])
    assert matched.divergence < 1e-3


def test_the_parts_of_notes_are_what_their_model_puts_together() -> None:
    torch.manual_seed(0)
    model = NoteTemplateModel(["rock"], 4, 3, (1, 2)).initialise().eval()
    torch.nn.init.normal_(model.activations.weight, std=0.3)
    seen = -4 + torch.randn(1, 256 + 324, 20, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        whole, _ = model(seen)
        activations, passthrough = model.parts(seen)
        again = synthesise(activations, model.flat_templates(), seen[:, :256], passthrough)
    assert torch.allclose(whole, again, atol=1e-5)
    matched = match_templates(model, [torch.randn(580, 200) - 4])
    assert matched.model.templates.shape == model.templates.shape


def test_two_seconds_are_too_few() -> None:
    with pytest.raises(AudioTransferError, match="too few to match"):
        match_templates(drums(), [features(100)])


def test_without_styles_of_templates_no_song_becomes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_style, "pair_styles", lambda styles: {})
    with pytest.raises(AudioTransferError, match="no style with templates of drums"):
        reference_style.best_match(torch.zeros(2, 1000), "drums")


def test_requests_that_teach_nothing_are_refused() -> None:
    songs = [SongLength(Path("a.wav"), 200.0)]
    assert "3 songs are little" in own_style.check_request("mine", ("drums",), songs * 3)[0]
    assert own_style.check_request("mine", ("drums",), songs * 5) == []
    for name, stems, given, complaint in (
        ("My Style", ("drums",), songs, "use small letters"),
        ("mine", ("tuba",), songs, "no style changes 'tuba'"),
        ("mine", ("drums",), songs, "a.wav is one song"),
        ("mine", ("drums",), [SongLength(Path("a.wav"), 20.0)] * 2, "too little to learn"),
    ):
        with pytest.raises(AudioTransferError, match=complaint):
            own_style.check_request(name, stems, given)


def test_songs_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    good = song(tmp_path / "good.wav")
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    found, refused = song_lengths([good, tmp_path / "bad.wav"])
    assert [(one.path, round(one.seconds)) for one in found] == [(good, 3)]
    assert list(refused) == [str(tmp_path / "bad.wav")]


def test_songs_keep_their_numbers_and_others_are_refused(tmp_path: Path) -> None:
    """Another song in the folder does not change whose pairs are there."""
    one, two, three = (tmp_path / "music" / f"{name}.wav" for name in ("b", "d", "a"))
    for number, path in enumerate([one, two]):
        place = tmp_path / "run" / "songs" / f"{number:03d}-0"
        place.mkdir(parents=True)
        (place / "song.json").write_text(json.dumps({"song": str(path)}))
    pairs = tmp_path / "run" / "songs"
    assert own_pairs.paired_songs(pairs) == {one: 0, two: 1}
    assert own_pairs._numbers([three, one, two], pairs) == [2, 0, 1]
    assert own_pairs._numbers([three], tmp_path / "nothing") == [0]
    with pytest.raises(AudioTransferError, match=r"prepared from other songs \(.*d\.wav\)"):
        own_pairs.check_pairs([one, three], pairs)


def test_an_excerpt_is_the_middle(tmp_path: Path) -> None:
    ramp = torch.linspace(0, 0.9, 3 * RATE).expand(2, -1)
    write_audio(tmp_path / "ramp.wav", ramp, RATE)
    part = excerpt(tmp_path / "ramp.wav", 1.0)
    assert part.shape == (2, RATE)
    assert float(part[0, RATE // 2]) == pytest.approx(0.45, abs=0.01)


@pytest.mark.parametrize(
    ("file", "name"),
    [("My Song (1999).mp3", "my-song-1999"), ("keep.wav", "keep-song"), ("日本.wav", "reference")],
)
def test_a_style_of_a_song_has_a_name_that_styles_take(file: str, name: str) -> None:
    assert style_name(Path(file)) == name


@pytest.mark.parametrize("first", [0, 500], ids=["fresh", "goes on"])
def test_time_left_of_a_run_that_is_ended_by_its_minutes(first: int) -> None:
    """Ten minutes, in which 60 of 1000 steps are done."""
    now = [0.0]
    left, share = TimeLeft(lambda: now[0]), RunShare(1000)
    for step in range(1, 46):
        now[0] = 10.0 * step
        shown = share((first + step) / 1000, now[0] / 600)
        predicted = left.update("", shown)
    assert predicted == pytest.approx(600 - now[0], rel=0.1)
    assert shown == pytest.approx(first / 1000 + (1 - first / 1000) * 0.75)
    assert share(1.0, 0.9) == 1.0


def test_levels_of_stems_are_medians_of_the_songs(tmp_path: Path) -> None:
    """Of each song once, however many styles play it; silent stems have none."""
    for number, level in enumerate([0.1, 0.05, 0.01]):
        for version in range(2):
            place = tmp_path / f"{number:03d}-{version}" / "target" / "mine"
            place.mkdir(parents=True)
            for stem, scale in (("drums", level), ("other", 0.0)):
                sound = torch.full((2, 4410), scale)
                write_audio(place / f"{stem}.wav", sound, 44100, encoding="float32")
    assert stem_levels(tmp_path, "mine", ["drums", "other"]) == {"drums": pytest.approx(-6.0)}


def test_a_judgement_says_what_is_not_better() -> None:
    said = own_style.Judgement(nothing=1.0, equaliser=0.5, style=0.6, songs=2).words()
    assert "on 2 songs of yours" in said
    assert "40% nearer than doing nothing and no nearer than matched equalisers" in said


def test_a_style_from_a_folder_and_its_export_after_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own_pairs, "VERSIONS", 1)
    monkeypatch.setattr(own_style, "VERSIONS", 1)
    monkeypatch.setattr(own_style, "LEAST_SECONDS", 1.0)
    monkeypatch.setattr(own_style, "_MEASURED_SECONDS", 1.0)
    monkeypatch.setitem(own_style._TRAINER, "validate_every", 1)
    monkeypatch.setitem(own_style._TRAINER, "checkpoint_every", 1)
    for number in range(2):
        song(tmp_path / "songs" / f"{number}.wav", low=100.0 + 30 * number)
    command = ["train", "--style", "mine", "--from", "songs", "--stems", "drums", "-q"]
    assert main([*command, "--plan"]) == 0
    assert "you get: runs/mine/mine" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(own_style, "prepare_training", stopped)
        assert main([*command, "--steps", "1"]) == 130
    assert "stopped while preparing; the same command goes on" in capsys.readouterr().err
    shown: list[tuple[str, float | None]] = []
    show = ProgressLine.show

    def recorded(line: ProgressLine, stage: str, share: float | None = None) -> None:
        shown.append((stage, share))
        show(line, stage, share)

    monkeypatch.setattr(ProgressLine, "show", recorded)
    assert main([*command, "--steps", "1"]) == 0
    # The judgement at the end, of one stem on one song: two steps, each with its share.
    assert shown[-2:] == [("equaliser of drums", 0.5), ("1 of 1 versions", 1.0)]
    assert sum(stage == "0.wav" for stage, _ in shown) == 2  # of preparing it
    printed = capsys.readouterr().out
    assert "use it: audiotransfer SONG --style runs/mine/mine" in printed
    card = json.loads((tmp_path / "runs/mine/mine/card.json").read_text())
    assert card["name"] == "mine"
    assert card["stems"]["drums"] != "keep"
    assert -40 < card["stems"]["drums"]["options"]["level"] < 0
    assert card["stems"]["bass"] == "keep"
    assert set(card["figures"]) >= {"songs", "doing nothing", "matched EQ", "style"}
    assert len(MatchedEQ.load(tmp_path / "runs/mine/mine" / EQUALISER_FILE).gains_db) == 256
    assert card["steps"] == 1
    assert not card["description"].startswith("Unfinished")
    watched = (tmp_path / "runs/mine/panel.txt").read_text()
    assert watched.startswith("step 1 of 1\n") and "validation/" in watched
    pairs = sorted((tmp_path / "runs/mine/songs").iterdir())
    written = [place.stat().st_mtime_ns for place in pairs]

    def planned(*words: str) -> str:
        assert main([*command, "--plan", *words]) == 0
        return capsys.readouterr().out

    assert "prepared already, trained already up to step 1 (--steps 2 goes on)" in planned(
        "--steps", "1"
    )
    facts = tmp_path / "runs/mine/checkpoint" / FACTS
    known = json.loads(facts.read_text())
    facts.write_text(json.dumps(known | {"since_best": 8}))
    for words in ([], ["--until", "7"]):
        assert "the last 8 validations up to step 1 were no better (--until 16" in planned(*words)
    for words in (["--until", "9"], ["--steps", "5"], ["--minutes", "1"]):
        assert "prepared already, from step 1 to" in planned(*words)
    facts.write_text(json.dumps(known))

    from audiotransfer import recipes

    monkeypatch.setattr(recipes, "train", stopped)
    assert main([*command, "--steps", "3"]) == 130
    told = capsys.readouterr()
    assert "prepared already, from step 1 to 3, training" in told.out
    assert "unfinished style: audiotransfer SONG --style runs/mine/mine" in told.err
    assert "audiotransfer train --finish runs/mine" in told.err
    card = json.loads((tmp_path / "runs/mine/mine/card.json").read_text())
    assert card["description"].startswith("Unfinished, step 1 of 1: ")
    assert [place.stat().st_mtime_ns for place in pairs] == written  # prepared once
    assert main(["train", "--finish", "runs/mine", "-q"]) == 0
    card = json.loads((tmp_path / "runs/mine/mine/card.json").read_text())
    assert not card["description"].startswith("Unfinished")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--style", "mine"], "needs a name and songs"),
        (["templates-drums", "--finish", "runs/x"], "train one thing"),
        ([], "train one thing"),
        (["--finish", "nowhere"], "is no run of a training"),
        (["templates-drums", "--steps", "0"], "--steps 0 is nothing"),
    ],
)
def test_contradictions_are_refused(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *words]) == 2
    assert complaint in capsys.readouterr().err


def test_a_song_is_a_style(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUDIOTRANSFER_CACHE", str(tmp_path / "cache" / "songs"))
    monkeypatch.chdir(tmp_path)
    reference = song(tmp_path / "reference.wav", low=150.0)
    song(tmp_path / "mine.wav")
    command = ["mine.wav", "--style", str(reference), "--separator", "hpss", "--report", "r.html"]
    command += ["--no-cache", "-f"]
    assert main(command) == 0
    told = capsys.readouterr()
    assert "copied from reference: spectra, tone and stereo width of its" in told.err
    assert "Not copied: its notes, rhythm and swing" in told.err
    assert (tmp_path / "mine.reference.wav").is_file()
    (card,) = (tmp_path / "cache" / "reference-styles").glob("*/reference/card.json")
    written = card.stat().st_mtime_ns
    assert main(command) == 0  # the style is made once
    assert card.stat().st_mtime_ns == written
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("<audio") >= 2
    assert "What was changed" in page
    assert "http" not in page


def test_a_covers_report_shows_each_part_of_the_band_once(tmp_path: Path) -> None:
    noise = 0.1 * torch.randn(2, 44100, generator=torch.Generator().manual_seed(0))
    for name in ("song", "out", "drums"):
        write_audio(tmp_path / f"{name}.wav", noise, 44100)
    files = (str(tmp_path / "drums.wav"),)
    cover = CoverReport(
        {"beats": 1.0}, None, 120.0, "4/4", "C major", "A", ["C"], "sax_tenor",
        {"drums": PartReport("kit_jazz_sticks", 8, files=files)}, 0.0, 0.0,
    )  # fmt: skip
    report = Report(
        str(tmp_path / "song.wav"), str(tmp_path / "out.wav"), 1.0, 44100, 2, 44100, -20.0, -20.0,
        -9.0, -9.0, "none", {"drums": StemReport("cover", files=files)}, [], 1.0, "cover", cover,
    )  # fmt: skip
    write_report_page(tmp_path / "r.html", report)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count('<h2 id="stem-drums') == 1 and ">drums (new)</h2>" in page
    assert "arranged for the band (1 part)" in page and str(tmp_path) not in page
    assert "as it was" not in page
    assert "jazz kit, 8 notes" in page and ">tenor saxophone<" in page  # no names of folders
    assert "separated by" not in page and page.count("<img ") == 2
    # A phone has no room for columns without a word: nothing was there before.
    assert "<th>before</th>" not in page and "<th>after</th>" in page


@pytest.mark.parametrize("name", instrument_names())
def test_reports_name_instruments_in_whole_words(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]+( [a-z0-9-]+)*", report_page._instrument(name))
