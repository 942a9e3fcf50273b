"""The instrument classifier: its labels, its loss, its accuracy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from audiotransfer import recipes
from audiotransfer.audio.writing import write_audio
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.classifiers.audio_classifier import (
    AudioClassifierNetwork,
    AudioClassifierSettings,
)
from audiotransfer.evaluation.classifiers.instruments import (
    FAMILIES,
    InstrumentBatches,
    InstrumentClassifier,
    InstrumentObjective,
    areas_under_curve,
    family,
    labelled_stems,
)
from audiotransfer.recipes.instrument_classifier import split_by_score

RATE = 44100
SETTINGS = AudioClassifierSettings(FAMILIES, seconds=1.0, width=2)
PROGRAMS = {"other0": 0, "other1": 48, "bass2": 33, "drums3": 40}


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three songs of three scores; the bass of the first is silent."""
    folder = tmp_path_factory.mktemp("songs")
    generator = torch.Generator().manual_seed(0)
    for number in range(3):
        place = folder / "pop" / f"train-{number}"
        for stem in ("bass", "drums", "other"):
            path = place / "source" / f"{stem}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            level = 0.0 if (number, stem) == (0, "bass") else 0.1
            write_audio(path, level * torch.randn(2, 2 * RATE, generator=generator), RATE)
        about = {"programs": PROGRAMS, "score": f"score {number}", "split": "train"}
        (place / "song.json").write_text(json.dumps(about))
    return folder


def test_families_are_eight_programs_each() -> None:
    assert len(FAMILIES) == 17
    found = [FAMILIES[family(program)] for program in (0, 7, 8, 33, 66, 81, 127)]
    assert found == [
        "piano", "piano", "chromatic percussion", "bass", "reed", "synth lead", "sound effects",
    ]  # fmt: skip


def test_cards_say_who_plays_in_a_stem(songs: Path) -> None:
    stems = labelled_stems([songs])
    assert len(stems) == 9
    playing = {one.recording.stem: [FAMILIES[place] for place in one.families] for one in stems}
    assert playing == {"bass": ["bass"], "drums": ["drums"], "other": ["piano", "ensemble"]}
    with pytest.raises(AudioTransferError, match="no rendered songs"):
        labelled_stems([songs / "pop" / "train-0" / "source"])


def test_batches_are_drawn_by_seed_and_step_and_silence_does_not_play(songs: Path) -> None:
    stems = labelled_stems([songs])
    batches = InstrumentBatches(stems, SETTINGS, batch_size=24, seed=3)
    batch = batches.batch(5)
    assert batch["features"].shape == (24, SETTINGS.bands, SETTINGS.frames)
    again = InstrumentBatches(stems, SETTINGS, batch_size=24, seed=3).batch(5)
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    assert not torch.equal(batch["labels"], batches.batch(6)["labels"])
    piano, strings = (batch["labels"][:, FAMILIES.index(n)] for n in ("piano", "ensemble"))
    assert torch.equal(piano, strings)
    for name in ("piano", "bass", "drums"):
        assert 0 < batch["labels"][:, FAMILIES.index(name)].mean() < 1
    silent = InstrumentBatches([one for one in stems if one.families == (4,)][:1], SETTINGS)
    assert silent.batch(0)["labels"].sum() == 0
    with pytest.raises(AudioTransferError, match="zero stems"):
        InstrumentBatches([], SETTINGS)


def test_the_loss_is_binary_cross_entropy() -> None:
    objective = InstrumentObjective(SETTINGS)
    torch.nn.init.zeros_(objective.network.out.weight)
    torch.nn.init.zeros_(objective.network.out.bias)
    labels = torch.zeros(2, len(FAMILIES))
    labels[0, 3] = 1
    batch = {"features": torch.randn(2, SETTINGS.bands, SETTINGS.frames), "labels": labels}
    (turn,) = objective.turns(batch, 0, torch.Generator())
    # Every logit is 0, every probability a half.
    assert float(turn.terms["cross_entropy"]) == pytest.approx(np.log(2), abs=1e-6)
    turn.terms["cross_entropy"].backward()
    assert objective.network.out.weight.grad is not None
    assert set(objective.preview(batch, torch.Generator()).images) == {"window"}


def test_area_under_the_curve_by_hand() -> None:
    scores = np.array([[0.9, 0.1, 1.0], [0.8, 0.2, 1.0], [0.3, 0.3, 1.0], [0.1, 0.4, 1.0]])
    labels = np.array([[1, 1, 1], [0, 1, 0], [1, 0, 1], [0, 0, 0]], dtype=float)
    # Pairs of one with and one without: 3 of 4 right; 0 of 4; all ties.
    assert areas_under_curve(scores, labels) == pytest.approx([0.75, 0.0, 0.5])
    assert np.isnan(areas_under_curve(scores[:, :1], np.ones((4, 1)))).all()


def test_a_classifier_says_what_plays_and_comes_back_from_disk(tmp_path: Path) -> None:
    torch.manual_seed(0)
    classifier = InstrumentClassifier(AudioClassifierNetwork(SETTINGS), {"steps": 1})
    sound = 0.1 * torch.randn(2, 2 * RATE)
    found = classifier.probabilities(sound, RATE)
    assert list(found) == list(FAMILIES)
    assert all(0 < share < 1 for share in found.values())
    assert classifier.embeddings(sound, RATE).shape == (3, 64)
    assert set(classifier.probabilities(torch.zeros(2, RATE), RATE).values()) == {0.0}
    assert classifier.embeddings(torch.zeros(2, RATE), RATE).shape == (0, 64)
    classifier.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "instrument-classifier.json",
        "instrument-classifier.safetensors",
    ]
    assert InstrumentClassifier.load(tmp_path).probabilities(sound, RATE) == found
    with pytest.raises(AudioTransferError, match="no instrument classifier can be read"):
        InstrumentClassifier.load(tmp_path / "nowhere")


def test_no_score_is_on_both_sides(songs: Path) -> None:
    stems = labelled_stems([songs])
    trained, unheard = split_by_score(stems, 0.3, seed=0)
    assert len(trained) + len(unheard) == 9
    assert {one.score for one in trained}.isdisjoint({one.score for one in unheard})
    assert len({one.score for one in unheard}) == 1
    with pytest.raises(AudioTransferError, match="1 scores are too few"):
        split_by_score(stems[:3], 0.3, seed=0)


@pytest.mark.usefixtures("every_branch")
def test_the_config_becomes_a_classifier(songs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    overrides = [
        f"instrument_classifier.data={songs}",
        "instrument_classifier.rendered=[pop]",
        "instrument_classifier.width=2",
        "instrument_classifier.batch=3",
        "instrument_classifier.test_batches=4",
        "trainer.steps=2",
        "trainer.validate_every=2",
    ]
    figures = recipes.train("instrument-classifier", overrides, run)
    classifier = InstrumentClassifier.load(run)
    assert classifier.report["steps"] == 2
    assert classifier.report["windows held out"] == 12
    assert figures["area_under_curve"] == pytest.approx(
        np.mean(list(classifier.report["area under curve"].values()))
    )
