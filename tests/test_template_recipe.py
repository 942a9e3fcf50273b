"""The recipe of template styles: preparation, training stem by stem, use of the style."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from audiotransfer import Song, recipes, transfer
from audiotransfer.audio.writing import write_audio
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation import checkpoint_metric
from audiotransfer.preparation.rendered_pairs import prepare_pairs
from audiotransfer.spectral.transfer import load_generator
from audiotransfer.styles import read_card
from audiotransfer.styles.find import find_style
from audiotransfer.training.config import load_config

RATE = 44100
STYLES = ("jazz", "classical", "rock", "electronic")
TOY = [
    "templates.shares=[]",
    *(f"templates.widths.{stem}=8" for stem in ("drums", "bass", "other")),
    "templates.validation_songs=1",
    "templates.drawing.batch=2",
    "templates.drawing.frames=16",
    "trainer.steps=2",
    "trainer.validate_every=2",
    "trainer.warmup=0",
    "trainer.workers=0",
]


def write_song(place: Path, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for side in ("source", *(f"target/{style}" for style in STYLES)):
        for stem in ("drums", "bass", "other"):
            path = place / side / f"{stem}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            sound = 0.1 * torch.randn(2, RATE // 2, generator=generator)
            write_audio(path, sound, RATE)
    notes = np.array([[0.1, 0.2, 60, 90, 0]], dtype=np.float32)
    np.savez(place / "notes.npz", bass=notes, other=notes)
    about = {"split": "train", "stems": ["bass", "drums", "other"], "id": place.name}
    (place / "song.json").write_text(json.dumps(about))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("data")
    for number in range(3):
        write_song(place / "ensembles" / f"train-0-{number}", number)
    assert prepare_pairs(place / "ensembles", "none") == 3
    assert prepare_pairs(place / "ensembles", "none") == 0  # what is there stays
    return place


def test_features_are_all_sides_of_all_stems(data: Path) -> None:
    place = data / "ensembles" / "train-0-0" / "features"
    sides = ("source", "separated", *STYLES, "keys")
    wanted = {f"{stem}.{side}" for stem in ("bass", "other") for side in sides}
    # Nothing separates here: the whole mix is `other`, and drums have no keys.
    wanted |= {f"drums.{side}" for side in ("source", *STYLES)}
    wanted -= {"bass.separated"}
    assert {path.stem for path in place.iterdir()} == wanted


def test_a_target_that_was_added_gets_its_spectrograms(tmp_path: Path) -> None:
    song = tmp_path / "ensembles" / "train-0-0"
    write_song(song, 0)
    prepare_pairs(tmp_path / "ensembles", "none")
    old = {path: path.stat().st_mtime_ns for path in (song / "features").iterdir()}
    shutil.copytree(song / "target" / STYLES[0], song / "target" / "polka")
    assert prepare_pairs(tmp_path / "ensembles", "none") == 1
    added = set((song / "features").iterdir()) - set(old)
    assert {path.name for path in added} == {f"{s}.polka.npy" for s in ("drums", "bass", "other")}
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in old.items())
    same = song / "features" / f"bass.{STYLES[0]}.npy"
    assert np.array_equal(np.load(same), np.load(song / "features" / "bass.polka.npy"))
    assert prepare_pairs(tmp_path / "ensembles", "none") == 0


def test_songs_that_another_separator_took_apart_are_done_again(tmp_path: Path) -> None:
    song = tmp_path / "ensembles" / "train-0-0"
    write_song(song, 0)
    for separator, stems in (("none", {"other"}), ("hpss", {"bass", "drums", "other", "vocals"})):
        assert prepare_pairs(tmp_path / "ensembles", separator) == 1
        assert {path.stem for path in (song / "separated").glob("*.wav")} == stems
        seen = {path.stem.split(".")[0] for path in song.glob("features/*.separated.npy")}
        assert seen == stems - {"vocals"}
        assert prepare_pairs(tmp_path / "ensembles", separator) == 0
    (song / "separated" / "separator.txt").unlink()  # nobody knows whose they are
    assert prepare_pairs(tmp_path / "ensembles", "hpss") == 1
    assert not list(song.glob(".*"))


@pytest.mark.usefixtures("every_branch")
def test_stems_are_taught_on_top_of_each_other(data: Path, tmp_path: Path) -> None:
    onto = "null"
    for stem in ("drums", "bass", "other"):
        folder = tmp_path / stem
        overrides = [*TOY, f"templates.data={data}", f"templates.onto={onto}"]
        figures = recipes.train(f"templates-{stem}", overrides, folder)
        assert {f"validation/{stem}/jazz", f"validation/{stem}/rock", "validation/score"} <= set(
            figures
        )
        onto = str(folder)
    for style in STYLES:
        card = read_card(tmp_path / "other" / style)
        taught = {stem for stem, entry in card.stems.items() if entry is not None}
        assert taught == {"drums", "bass", "other"} and card.stems["vocals"] is None
        by_stem = {stem: network["kind"] for stem, network in card.networks.items()}
        notes = "note-templates"
        assert by_stem == {"drums": "drum-templates", "bass": notes, "other": notes}
        assert card.steps == 6 and set(card.weights) == {f"{s}.safetensors" for s in taught}
        song = Song(0.1 * torch.randn(2, RATE, generator=torch.Generator().manual_seed(9)), RATE)
        done = transfer(song, tmp_path / "other" / style, separator="none")
        assert done.audio.shape == song.audio.shape and bool(done.audio.isfinite().all())
        assert not torch.equal(done.audio, song.audio)


def test_h_chooses_where_it_is_asked_for(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setattr(
        checkpoint_metric, "_LEAST_DIFFERENCE", -1.0
    )  # noise is noise, whoever plays it
    judged = [
        f"templates.checkpoint_metric.{name}"
        for name in ("songs=1", "classifier_songs=2", "classifier_steps=2")
    ]
    changes = [*TOY, f"templates.data={data}", *judged, "trainer.preview_every=2"]
    figures = recipes.train("templates-drums", changes, tmp_path)
    assert {"validation/H", "validation/H/rock", "validation/score"} <= set(figures)
    network = read_card(tmp_path / "rock").networks["drums"]
    assert network["validation"]["H/rock"] == pytest.approx(figures["validation/H/rock"], abs=1e-4)
    assert {"drums/rock", "step"} <= set(network["validation"])
    assert "H/jazz" not in network["validation"]
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    logged = {f"audio/train-0-0/drums/{side}" for side in ("source", *STYLES)}
    assert set(events.Tags()["audio"]) == logged


def test_a_stem_is_taught_again_in_place(data: Path, tmp_path: Path) -> None:
    overrides = [*TOY, f"templates.data={data}"]
    recipes.train("templates-drums", [*overrides, "templates.onto=null"], tmp_path / "a")
    before = read_card(tmp_path / "a" / "jazz").weights["drums.safetensors"]
    again = [*overrides, f"templates.onto={tmp_path / 'a'}", "seed=9"]
    recipes.train("templates-drums", again, tmp_path / "b")
    after = read_card(tmp_path / "b" / "jazz")
    assert list(after.weights) == ["drums.safetensors"]
    assert after.weights["drums.safetensors"] != before


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["templates.stems=[vocals]"], "'vocals' has no templates"),
        (["templates.validation_songs=3"], "none to train on"),
        (["templates.songs=nowhere"], "audiotransfer prepare"),
        (["templates.styles.polka=Oompah"], "polka"),
    ],
)
def test_what_cannot_be_is_one_line(
    overrides: list[str], words: str, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(AudioTransferError, match=words) as caught:
        recipes.train("templates-other", [*TOY, f"templates.data={data}", *overrides], tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("every_branch")
def test_all_stems_are_taught_together(data: Path, tmp_path: Path) -> None:
    overrides = [*TOY, f"templates.data={data}"]
    for stem in ("drums", "bass", "other"):
        recipes.train(f"templates-{stem}", [*overrides, "templates.onto=null"], tmp_path / stem)
    starts = [
        f"templates.start.{s}={tmp_path / s / 'checkpoint'}" for s in ("drums", "bass", "other")
    ]
    figures = recipes.train("templates-together", [*overrides, *starts], tmp_path / "all")
    assert {"validation/together/jazz", "validation/drums/rock/nothing"} <= set(figures)
    ratios = [
        figures[f"validation/together/{style}"] / figures[f"validation/together/{style}/nothing"]
        for style in STYLES
    ]
    assert figures["validation/score"] == pytest.approx(-sum(ratios) / len(ratios))
    card = read_card(tmp_path / "all" / "jazz")
    assert set(card.weights) == {f"{s}.safetensors" for s in ("drums", "bass", "other")}
    assert card.steps == 2 and "together/jazz" in card.networks["bass"]["validation"]
    single = read_card(tmp_path / "bass" / "jazz")
    assert card.weights["bass.safetensors"] != single.weights["bass.safetensors"]


def test_a_stem_needs_a_width(data: Path, tmp_path: Path) -> None:
    plain = [override for override in TOY if "widths" not in override]
    overrides = [*plain, f"templates.data={data}", "templates.stems=[other, drums]"]
    with pytest.raises(AudioTransferError, match="widths has none for 'drums'"):
        recipes.train("templates-other", overrides, tmp_path)


def test_a_start_of_another_shape_is_refused(data: Path, tmp_path: Path) -> None:
    overrides = [*TOY, f"templates.data={data}", "templates.onto=null"]
    recipes.train("templates-drums", overrides, tmp_path / "a")
    start = f"templates.start.drums={tmp_path / 'a' / 'checkpoint'}"
    with pytest.raises(AudioTransferError, match="another shape"):
        recipes.train(
            "templates-drums", [*overrides, start, "templates.widths.drums=12"], tmp_path / "b"
        )
    recipes.train("templates-drums", [*overrides, start], tmp_path / "c")
    with pytest.raises(AudioTransferError, match=r"of style 'jazz.*' has another shape"):
        shipped = f"templates.start={{drums: '{', '.join(['jazz'] * len(STYLES))}'}}"
        recipes.train("templates-drums", [*overrides, shipped], tmp_path / "d")


@pytest.mark.usefixtures("every_branch")
@pytest.mark.parametrize(
    ("config", "songs", "stems", "styles"),
    [
        ("templates-jazz", "ensembles-jazz", ["drums", "bass", "other"], ["jazz"]),
        (
            "templates-banks",
            "ensembles-jazz",
            ["drums", "bass", "other"],
            ["classical", "rock", "electronic"],
        ),
        (
            "templates-kits",
            "ensembles-sampled",
            ["drums"],
            ["jazz", "classical", "rock", "electronic"],
        ),
    ],
)
def test_styles_are_trained_on(
    data: Path, tmp_path: Path, config: str, songs: str, stems: list[str], styles: list[str]
) -> None:
    """Without a step worth mentioning they stay what ships, where one training made them all.

    Layers that styles share are those of the first one: of the kits only jazz ships.
    """
    shutil.copytree(data / "ensembles", tmp_path / songs)
    for song in (tmp_path / songs).iterdir():
        for style in {*styles} - {*STYLES}:
            shutil.copytree(song / "target" / STYLES[0], song / "target" / style)
    prepare_pairs(tmp_path / songs, "none")
    toy = [o for o in TOY if "widths" not in o]
    overrides = [*toy, f"templates.data={tmp_path}", "templates.learning_rate=1e-9"]
    recipes.train(config, overrides, tmp_path / "on")
    same = styles[:1] if config == "templates-kits" else styles
    for style, stem in itertools.product(same, stems):
        model = load_generator(tmp_path / "on" / style / f"{stem}.safetensors")
        assert getattr(model, "contrast", 1.6) == 1.6
        made = model.state_dict()
        entry = find_style(style).card.stems[stem]
        assert entry is not None
        first = load_generator(find_style(style).folder / entry.weights).state_dict()
        assert all(torch.allclose(made[name], first[name], atol=2e-3) for name in first)


def test_every_style_that_is_trained_needs_a_start(data: Path, tmp_path: Path) -> None:
    overrides = [*TOY, f"templates.data={data}", "templates.onto=null"]
    with pytest.raises(AudioTransferError, match=f"names 1 styles for {len(STYLES)}"):
        recipes.train(
            "templates-drums", [*overrides, "templates.start={drums: jazz}"], tmp_path / "a"
        )


def test_shipped_configs_name_styles_that_are_rendered() -> None:
    from audiotransfer.data.rendering.composing import RenderSettings

    rendered = load_config("ensembles", [], RenderSettings).targets
    for stem in ("drums", "bass", "other"):
        recipe = recipes.load_training(f"templates-{stem}").recipe
        assert list(recipe.styles) == rendered and recipe.stems == [stem]
