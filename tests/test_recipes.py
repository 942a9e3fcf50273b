"""Recipes: every config is rendered or trained for two steps at toy width, and its result used."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
import soundfile
import torch
from toy_training import VALIDATED

from audiotransfer import recipes
from audiotransfer.data.rendering.rendering import RenderSettings, render_corpus
from audiotransfer.data.stem_mixes import BAND
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation import checkpoint_metric
from audiotransfer.preparation.rendered_pairs import prepare_pairs
from audiotransfer.recipes import base, load_training
from audiotransfer.recipes.registry import find_recipe
from audiotransfer.recipes.separator import SeparatorRecipe, load_start, separator_stems
from audiotransfer.styles import Keep, load_style, read_card
from audiotransfer.synthesis.synthesizer import default_soundfont
from audiotransfer.training.config import load_config
from audiotransfer.weights import load_weights
from separation.embedded.objective import SeparatorObjective
from separation.embedded.separator import SHIPPED as SHIPPED_SEPARATOR
from separation.embedded.separator import load as load_separator
from vocoder import VocoderError

CONFIGS = Path(__file__).parent.parent / "configs"
RATE = 44100

RENDERINGS = [
    "ensembles",
    "ensembles-jazz",
    "ensembles-sampled",
    "ensembles-sung",
    "ensembles-test",
    "genre-songs",
]
#: Rendered in test_excerpts.py and test_voice_envelopes.py.
EXCERPTS = [
    "transcription-excerpts",
    "transcription-excerpts-drumless",
    "transcription-singing",
    "transcription-voices",
]
STYLES = [
    "jazz-cycle-gan",
    "jazz-melgan-vc",
    "paired",
    "paired-discriminators",
    "paired-unpaired",
    "melgan-vc",
]
SEPARATORS = ["separator", "separator-dense", "separator-tcn", "separator-vocals"]
UNPAIRED_FORMS = (
    "melgan-vc-original",
    "melgan-vc-unet",
    "cycle-gan-mel",
    "cycle-gan-cqt",
    "timbretron",
    "cut",
)
#: Stepped in other files of tests, by file.
IN_FILES = {
    "test_trained_inverters.py": [
        name + size
        for name in ("deep-griffinlim", "waveglow", "wavenet")
        for size in ("", "-paper")
    ],
    "test_neural_inverter.py": ["neural"],
    "test_genre_classifier_recipe.py": ["audio-genre-classifier"],
    "test_instrument_classifier.py": ["instrument-classifier"],
    "test_midi_classifiers.py": ["midi-classifier", "midi-classifier-counts"],
    "test_arranger_networks.py": ["comping", "walking-bass"],
    "test_rhythm_transcription.py": ["rhythm-transcription"],
    "test_pitch_transcription.py": ["pitch-transcription", "pitch-singing", "pitch-voice"],
    "test_accompaniment.py": ["bach", "bach-gan", "bach-gan-paper"],
    "test_drums.py": [
        "drums",
        "drums-hikl",
        *(f"musicvae-{bars}bar{size}" for bars in (2, 4) for size in ("", "-paper")),
    ],
    "test_any_to_many.py": ["any-to-many", "any-to-many-paper"],
    "test_translation.py": ["jazz-piano", "translation-paper", "translation-wavenet"],
    "test_sound_cycle_gan.py": [
        "wavenet-cycle-gan",
        "wavenet-cycle-gan-paper",
        "folded-cycle-gan",
    ],
    "test_template_recipe.py": [
        "templates-together",
        "templates-drums",
        "templates-bass",
        "templates-other",
        "templates-banks",
        "templates-jazz",
        "templates-kits",
    ],
    "test_refining.py": ["jazz-refined"],
    "test_genre_gan.py": [
        "genre-gan",
        "genre-gan-conditional",
        "genre-gan-full",
        "genre-gan-paper",
        "genre-gan-partial",
        "midi-classifier-beats",
    ],
    "test_unpaired_recipe.py": [name + size for name in UNPAIRED_FORMS for size in ("", "-paper")],
}
ELSEWHERE = [config for configs in IN_FILES.values() for config in configs]

PAIRED = [
    "style.drawing.batch=2",
    "style.drawing.frames=16",
    "style.drawing.songs=1",
    "style.adversarial_from=1",
    "style.validation_songs=1",
    "style.checkpoint_metric.songs=0",
]
TOY = {
    "jazz-cycle-gan": [
        *PAIRED,
        "style.cycle.every=1",
        "style.cycle.batch=1",
        "style.cycle.channels=[4,6]",
        "style.pairs=ensembles",
    ],
    "jazz-melgan-vc": [*PAIRED, "style.unpaired.every=1", "style.pairs=ensembles"],
    "paired": PAIRED,
    "paired-discriminators": PAIRED,
    "paired-unpaired": [*PAIRED, "style.unpaired.every=1"],
    "melgan-vc": [],
}
UNPAIRED = [
    "style.unpaired.source=audio/drum_loops",
    "style.unpaired.target=audio/vocals_solo",
    "style.unpaired.frames=16",
    "style.unpaired.batch=1",
]
MIXES = ["separator.mixes.batch=2", "separator.mixes.seconds=0.3"]


def write_score(path: Path, seed: int) -> None:
    """Four seconds in which everybody plays."""
    random = np.random.default_rng(seed)
    midi = pretty_midi.PrettyMIDI(initial_tempo=120.0)
    piano, bass = pretty_midi.Instrument(0), pretty_midi.Instrument(33)
    drums = pretty_midi.Instrument(0, is_drum=True)
    for at in np.arange(0.0, 4.0, 0.25):
        root = int(random.integers(50, 60))
        piano.notes += [pretty_midi.Note(80, root + i, at, at + 0.2) for i in (0, 4, 7)]
        bass.notes.append(pretty_midi.Note(90, root - 12, at, at + 0.2))
        drums.notes.append(pretty_midi.Note(90, (36, 42)[int(at * 4) % 2], at, at + 0.1))
    midi.instruments = [piano, bass, drums]
    path.parent.mkdir(parents=True, exist_ok=True)
    midi.write(str(path))


def save(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = 0.1 * np.random.default_rng(seed).standard_normal((RATE // 2, 2))
    soundfile.write(path, sound, RATE)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scores, three rendered and separated songs, a real song, one kept out, and solos."""
    place = tmp_path_factory.mktemp("data")
    for number in range(4):
        write_score(place / "scores" / f"{number}.mid", number)
    render_corpus(
        toy_render(load_config("ensembles", [], RenderSettings), place), place / "ensembles"
    )
    prepare_pairs(place / "ensembles")
    for index, stem in enumerate(("drums", "bass", "other", "vocals")):
        save(place / "audio" / "stems" / "song" / f"{stem}.wav", index)
        save(place / "audio" / "stems" / "sodium" / f"{stem}.wav", index)
    save(place / "audio" / "vocals_solo" / "singer.wav", 7)
    save(place / "audio" / "vocals_solo" / "sodium_voice.wav", 8)
    save(place / "audio" / "drum_loops" / "loop.wav", 9)
    save(place / "audio" / "genres" / "jazz" / "trio.wav", 10)
    return place


def toy_render(settings: RenderSettings, place: Path, songs: int = 3) -> RenderSettings:
    font = str(default_soundfont())
    return replace(
        settings,
        scores={str(place / "scores"): 1.0},
        genres={},
        grooves="",
        soundfonts=[font],
        target_banks={font: 1.0},
        songs=songs,
        seconds=0.6,
        hold_out=0.3,
        workers=1,
    )


def style_overrides(config: str, data: Path) -> list[str]:
    unpaired = UNPAIRED if config in ("jazz-melgan-vc", "paired-unpaired", "melgan-vc") else []
    sizes = ["style.spectrogram.bins=32", "style.channels=[4,6,8]", f"style.data={data}"]
    return [*VALIDATED, *TOY[config], *unpaired, *sizes]


def separator_overrides(data: Path) -> list[str]:
    return [*VALIDATED, *MIXES, f"separator.data={data}"]


def run(config: str, overrides: list[str], folder: Path) -> dict[str, float]:
    with warnings.catch_warnings():
        # bfloat16 on CPUs without it, and schedules of two steps: loud, and of no concern here.
        warnings.simplefilter("ignore", UserWarning)
        return recipes.train(config, overrides, folder)


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that others start from: ``paired`` and ``separator``."""
    place = tmp_path_factory.mktemp("runs")
    run("paired", style_overrides("paired", data), place / "paired")
    run("separator", separator_overrides(data), place / "separator")
    return place


def test_every_config_is_tried() -> None:
    """A new config comes with a test that reads it, and steps it through every branch."""
    here = Path(__file__).parent
    assert all("every_branch" in (here / name).read_text() for name in IN_FILES)
    assert {p.stem for p in CONFIGS.glob("*.yaml")} == {
        *RENDERINGS,
        *EXCERPTS,
        *STYLES,
        *SEPARATORS,
        *ELSEWHERE,
    }


@pytest.mark.parametrize("config", RENDERINGS)
def test_renderings(config: str, data: Path, tmp_path: Path) -> None:
    settings = load_config(config, [], RenderSettings)
    assert settings.genres or sum(settings.scores.values()) == pytest.approx(1.0)
    assert all(sum(s.values()) == pytest.approx(1.0) for s in settings.genres.values())
    toy = toy_render(settings, data, songs=1)
    for genre in settings.genres or [""]:
        (song,) = render_corpus(replace(toy, genre=genre), tmp_path / (genre or "songs"))
        assert song["split"] == settings.split and song["stems"]


def test_training_and_test_songs_share_nothing() -> None:
    one, two = (load_config(c, [], RenderSettings) for c in ("ensembles", "ensembles-test"))
    assert (one.split, two.split) == ("train", "test") and one.seed != two.seed
    assert (one.scores, one.hold_out) == (two.scores, two.hold_out)  # or splits would overlap
    genres = load_config("genre-songs", [], RenderSettings)
    assert not set(one.target_banks) & set(genres.soundfonts)


@pytest.mark.parametrize("config", [*STYLES, *SEPARATORS, *ELSEWHERE])
def test_training_configs_hold_one_recipe(config: str) -> None:
    read = load_training(config)
    assert type(read.recipe) is find_recipe(read.section)
    assert read.trainer.steps > 100
    settings = getattr(read.recipe, "settings", read.recipe)
    begin = getattr(settings, "adversarial_from", None)
    # Discriminators that never take part cost memory: null leaves them out.
    assert begin is None or begin < read.trainer.steps


@pytest.mark.parametrize("config", STYLES)
@pytest.mark.usefixtures("every_branch")
def test_styles(config: str, data: Path, trained: Path, tmp_path: Path) -> None:
    overrides = style_overrides(config, data)
    if load_training(config).recipe.start:
        overrides.append(f"style.start={trained / 'paired' / 'checkpoint'}")
    told: list[tuple[str, float]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        figures = recipes.train(
            config, overrides, tmp_path / "run", lambda *news: told.append(news)
        )
    assert any(news.startswith("step 1") and share == 0.5 for news, share in told)
    assert figures and all(map(math.isfinite, figures.values())) and figures["failed_steps"] == 0
    name = load_training(config).recipe.name
    style = load_style(tmp_path / "run" / name)
    card = style.card
    assert card is not None and (card.name, card.steps) == (name, 2)
    assert card.config["style"]["channels"] == [4, 6, 8]
    assert json.loads((tmp_path / "run" / name / "card.json").read_text()) == card.to_dict()
    stem = 0.1 * torch.randn(2, 30000, generator=torch.Generator().manual_seed(0))
    mean = load_training(config).recipe.mean_channel
    assert all(
        entry.options == ({"channels": "mean"} if mean else {})
        for entry in card.stems.values()
        if entry is not None
    )
    taught = {"other"} if config == "melgan-vc" else {"drums", "bass", "other"}
    for which in ("drums", "bass", "other", "vocals"):
        transfer = style.stems[which]
        assert isinstance(transfer, Keep) == (which not in taught)
        made = transfer(stem)
        assert made.shape == stem.shape and bool(made.isfinite().all())
        assert torch.equal(transfer(stem, 0.0), stem)


def test_a_style_learns_what_its_pairs_say(data: Path, trained: Path, tmp_path: Path) -> None:
    """The paired terms are logged, the score compares with doing nothing, discriminators came
    in.
    """
    lines = [
        json.loads(line) for line in (trained / "paired" / "log.jsonl").read_text().splitlines()
    ]
    seen = {key.split("/")[-1] for line in lines for key in line}
    assert {"audible", "deep", "full", "patch", "score"} <= seen
    run(
        "paired-discriminators",
        [
            *style_overrides("paired-discriminators", data),
            f"style.start={trained / 'paired' / 'checkpoint'}",
            "style.drawing.songs_every=1",
        ],
        tmp_path / "jazz",
    )
    assert "together" in (tmp_path / "jazz" / "log.jsonl").read_text()  # whole songs were drawn


def test_the_same_config_gives_the_same_weights(data: Path, trained: Path, tmp_path: Path) -> None:
    run("paired", style_overrides("paired", data), tmp_path)
    one, two = (p / "jazz" / "jazz.safetensors" for p in (tmp_path, trained / "paired"))
    assert one.read_bytes() == two.read_bytes()


def test_pairs_are_validated_by_samples_and_h(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setattr(checkpoint_metric, "_LEAST_DIFFERENCE", -1.0)  # two steps teach nothing
    metric = [
        f"style.checkpoint_metric.{name}"
        for name in ("songs=1", "classifier_songs=2", "classifier_steps=2")
    ]
    changes = [*style_overrides("paired", data), *metric, "trainer.preview_every=2"]
    figures = run("paired", changes, tmp_path)
    assert 0 <= figures["validation/H"] <= 1 and "validation/score" in figures
    card = read_card(tmp_path / "jazz")
    assert card.figures["validation"]["step"] == 2
    assert card.figures["validation"]["H"] == pytest.approx(figures["validation/H"], abs=1e-4)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    logged = {name.rsplit("/", 1)[1] for name in events.Tags()["audio"]}
    assert logged == {"source", "jazz"}


def test_a_stopped_run_goes_on(data: Path, trained: Path, tmp_path: Path) -> None:
    overrides = style_overrides("paired", data)
    run("paired", [*overrides, "trainer.steps=1"], tmp_path)
    run("paired", overrides, tmp_path)
    one, two = (p / "jazz" / "jazz.safetensors" for p in (tmp_path, trained / "paired"))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("config", SEPARATORS)
@pytest.mark.usefixtures("every_branch")
def test_separators(config: str, data: Path, trained: Path, tmp_path: Path) -> None:
    overrides = [*separator_overrides(data), "separator.rendered=ensembles"]
    if start := load_training(config).recipe.start:
        shipped = start.endswith(".safetensors")
        checkpoint = trained / "separator" / "checkpoint"
        overrides.append(f"separator.start={SHIPPED_SEPARATOR if shipped else checkpoint}")
    figures = run(config, overrides, tmp_path)
    assert figures and all(map(math.isfinite, figures.values())) and figures["failed_steps"] == 0
    assert (tmp_path / "separator.safetensors").stat().st_size < 7e6
    separator = load_separator(weights=tmp_path / "separator.safetensors")
    mix = 0.1 * torch.randn(2, 20000, generator=torch.Generator().manual_seed(0))
    stems = separator(mix)
    torch.testing.assert_close(sum(stems.values()), mix, atol=1e-5, rtol=0)


def test_a_separator_starts_from_weights_that_ship() -> None:
    objective = SeparatorObjective("dense")
    load_start(objective, str(SHIPPED_SEPARATOR), "dense")
    _, weights = load_weights(SHIPPED_SEPARATOR, "separator")
    for name, value in objective.separator.state_dict().items():
        assert torch.equal(value.float(), weights[name])
    with pytest.raises(AudioTransferError, match="other shapes"):
        load_start(SeparatorObjective("tcn"), str(SHIPPED_SEPARATOR), "tcn")


def test_bands_are_recordings_of_a_separator_alone(data: Path, tmp_path: Path) -> None:
    overrides = [f"separator.data={data}", "separator.rendered=ensembles"]
    recipe = load_training("separator-vocals", overrides).recipe
    recordings = separator_stems(recipe, tmp_path)
    assert [t.song for t in recordings if t.stem == BAND] == ["solo/trio"]


def test_songs_that_are_kept_out_stay_out(data: Path, tmp_path: Path) -> None:
    recipe = load_training("separator", [f"separator.data={data}"]).recipe
    assert isinstance(recipe, SeparatorRecipe)
    recordings = separator_stems(recipe, tmp_path)
    assert {t.song for t in recordings if t.real} == {"song", "solo/singer", "solo/loop"}
    rendered = {t.song for t in recordings if not t.real}
    sides = {"source", "jazz", "classical", "rock", "electronic"}
    assert {s.split("/")[1] for s in rendered} == sides and len(rendered) == 3 * len(sides)
    assert not any("sodium" in str(p) for p in tmp_path.iterdir())


def refused(config: str, overrides: list[str], folder: Path, words: str) -> None:
    with pytest.raises((AudioTransferError, VocoderError), match=words) as caught:
        recipes.train(config, overrides, folder)
    assert "\n" not in str(caught.value)
    assert not (folder / "checkpoint").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("style.chanels=[4]", "channels"),
        ("style.name=No Name!", "No Name!"),
        ("style.name=keep", "keep"),
        ("style.spectrogram.hop=3", "hop_length"),
        ("style.channels=[4,6,8,8,8,8,8]", "32 bins"),
        ("style.pairs=nowhere", "nowhere"),
        ("style.drawing.frames=400", "fewer frames"),
        ("style.validation_songs=3", "all needed"),
        ("style.start=nowhere", "nowhere"),
        ("trainer.steps=many", "many"),
        ("seperator.network=unet", "separator"),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(
    data: Path, tmp_path: Path, change: str, words: str
) -> None:
    refused("paired", [*style_overrides("paired", data), change], tmp_path / "run", words)


def test_two_recipes_are_one_too_many(data: Path, tmp_path: Path) -> None:
    overrides = [*style_overrides("paired", data), "separator.network=unet"]
    refused("paired", overrides, tmp_path / "run", "exactly one")


def test_nothing_to_learn_from(data: Path, tmp_path: Path) -> None:
    overrides = [*style_overrides("paired", data), "style.pairs=null"]
    refused("paired", overrides, tmp_path / "run", "pairs or unpaired")
    overrides = [*style_overrides("melgan-vc", data), "style.unpaired.stem=kazoo"]
    refused("melgan-vc", overrides, tmp_path / "run", "kazoo")


def test_a_start_that_does_not_fit(data: Path, trained: Path, tmp_path: Path) -> None:
    clean, separator = (trained / n / "checkpoint" for n in ("paired", "separator"))
    style = style_overrides("paired-discriminators", data)
    refused(
        "paired-discriminators",
        [*style, f"style.start={separator}"],
        tmp_path / "a",
        "no generator",
    )
    other = [*style, f"style.start={clean}", "style.channels=[4,6]"]
    refused("paired-discriminators", other, tmp_path / "b", "another shape")
    dense = separator_overrides(data)
    words = "nothing that dense"
    refused("separator-dense", [*dense, f"separator.start={clean}"], tmp_path / "c", words)
    tcn = [*dense, f"separator.start={separator}"]
    refused("separator-tcn", tcn, tmp_path / "d", "other shapes")


def test_a_network_starts_from_a_checkpoint_of_several_objectives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def started(*names: str) -> torch.Tensor:
        network = torch.nn.Linear(1, 1, bias=False)
        states = {
            name: {"weight": torch.full((1, 1), float(number))} for number, name in enumerate(names)
        }
        monkeypatch.setattr(base, "load_networks", lambda _: states)
        base.start_from(network, Path("run"), "the network")
        return network.weight.detach()

    assert started("critic", "paired_generator") == 1
    assert started("paired_generator", "generator") == 1
    for names in (("critic",), ("paired_generator", "cycle_generator")):
        with pytest.raises(AudioTransferError, match="no generator"):
            started(*names)
