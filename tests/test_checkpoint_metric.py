"""The checkpoint metric H: its values by hand, its classifier, and when it is left out."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.writing import write_audio
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation import GenreClassifier, content_score
from audiotransfer.evaluation.checkpoint_metric import (
    CheckpointMetric,
    CheckpointMetricSettings,
    some_of_each,
    validation_classifier,
)
from audiotransfer.evaluation.classifiers.genre_data import Clip
from audiotransfer.evaluation.validation_samples import (
    ValidationSample,
    ValidationSamples,
    recorded_samples,
    rendered_samples,
)
from audiotransfer.spectral.models.base import SpectrogramModel
from audiotransfer.training import Objective
from vocoder import SpectrogramSettings

RATE = 44100
NOBODY: Objective = None  # type: ignore[assignment]  # the metric asks the samples alone


def sound(level: float, hertz: float, seconds: float = 1.0) -> Tensor:
    """Struck notes: chroma and onsets that differ from those of another pitch."""
    time = torch.arange(round(seconds * RATE)) / RATE
    beat = torch.exp(-8 * (time % (60 / hertz)))
    return (level * beat * torch.sin(2 * math.pi * hertz * time)).expand(2, -1)


class Loudness:
    """A classifier for which loud is jazz: its probability is the largest sample."""

    classes = ("jazz", "rock")

    def probabilities(self, audio: Tensor, sample_rate: int) -> dict[str, float]:
        loud = float(audio.abs().max())
        return {"jazz": loud, "rock": 1 - loud}


class Played:
    """Validation samples whose outputs are given."""

    def __init__(
        self, samples: Sequence[ValidationSample], outputs: dict[str, list[Tensor]]
    ) -> None:
        self.samples, self.outputs = list(samples), outputs

    def convert(self, samples: Sequence[ValidationSample]) -> dict[str, list[Tensor]]:
        assert list(samples) == self.samples
        return self.outputs


SOURCES = [
    ValidationSample("a", "other", sound(0.2, 220)),
    ValidationSample("b", "other", sound(0.2, 330)),
]
TARGETS = [ValidationSample("c", "other", sound(0.8, 277))]


def measured(outputs: list[Tensor], **more: Any) -> dict[str, float]:
    played: Any = Played(SOURCES, {"jazz": outputs})
    classifier: Any = Loudness()
    return CheckpointMetric(played, {"jazz": TARGETS}, lambda: classifier, **more)(NOBODY)


def test_doing_nothing_and_a_clip_of_the_target_have_no_h() -> None:
    nothing = measured([sample.sound for sample in SOURCES])
    assert nothing == pytest.approx({"H": 0.0, "style": 0.0, "content": 1.0}, abs=1e-5)
    clip = measured([TARGETS[0].sound, TARGETS[0].sound])
    assert clip == pytest.approx({"H": 0.0, "style": 1.0, "content": 0.0}, abs=1e-5)


def test_h_by_hand() -> None:
    """All notes kept and half of the way gone: 2 * 0.5 * 1 / 1.5."""
    found = measured([2.5 * sample.sound for sample in SOURCES])
    assert found["style"] == pytest.approx(0.5, abs=1e-3)
    assert found["content"] == pytest.approx(1.0, abs=1e-5)
    assert found["H"] == pytest.approx(2 / 3, abs=1e-3)


def test_content_lies_between_a_random_clip_and_the_source() -> None:
    outputs = [SOURCES[0].sound, TARGETS[0].sound]
    kept = content_score(TARGETS[0].sound, SOURCES[1].sound, RATE)
    other = content_score(TARGETS[0].sound, SOURCES[0].sound, RATE)
    zero = (kept + other) / 2
    expected = ((1 + kept) / 2 - zero) / (1 - zero)
    assert measured(outputs)["content"] == pytest.approx(expected, abs=1e-5)


def test_of_several_styles_the_mean_counts() -> None:
    half = [2.5 * sample.sound for sample in SOURCES]
    still = [sample.sound for sample in SOURCES]
    classifier: Any = Loudness()
    played: Any = Played(SOURCES, {"jazz": half, "rock": still})
    quiet = [ValidationSample("d", "other", sound(0.01, 277))]
    found = CheckpointMetric(played, {"jazz": TARGETS, "rock": quiet}, lambda: classifier)(NOBODY)
    assert found["H/jazz"] == pytest.approx(2 / 3, abs=1e-3) and found["H/rock"] == 0.0
    assert found["H"] == pytest.approx(found["H/jazz"] / 2)


def test_a_classifier_that_tells_nothing_gives_no_h(caplog: pytest.LogCaptureFixture) -> None:
    classifier: Any = Loudness()
    played: Any = Played(SOURCES, {"jazz": [sample.sound for sample in SOURCES]})
    alike = [ValidationSample("d", "other", sound(0.23, 277))]
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            metric = CheckpointMetric(played, {"jazz": alike}, lambda: classifier)
            assert metric(NOBODY) == metric(NOBODY) == {}
    assert len(caplog.messages) == 2 and "no H for jazz" in caplog.messages[0]

    def fails() -> GenreClassifier:
        raise AudioTransferError("no clip is longer than half a second")

    assert CheckpointMetric(played, {"jazz": TARGETS}, fails)(NOBODY) == {}
    assert "half a second" in caplog.messages[-1]


# --- its classifier


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    place = tmp_path_factory.mktemp("clips")
    found = []
    for genre in ("hiss", "tone"):
        for number in range(3):
            random = torch.Generator().manual_seed(number)
            noise = 0.1 * torch.randn(2, 6 * RATE // 10, generator=random)
            audio = noise if genre == "hiss" else sound(0.3, 200 + 50 * number, 0.6)
            path = place / f"{genre}{number}.wav"
            write_audio(path, audio, RATE)
            found.append(Clip(path, genre, f"{genre}{number}"))
    return found


def test_some_of_each_genre(clips: list[Clip]) -> None:
    names = [clip.path.stem for clip in some_of_each(clips, 2)]
    assert names == ["hiss0", "hiss1", "tone0", "tone1"]


def test_a_validation_classifier_is_trained_once(clips: list[Clip], tmp_path: Path) -> None:
    settings = CheckpointMetricSettings(classifier_steps=10)
    classifier = validation_classifier(clips[1:], tmp_path, settings)
    hiss = read_audio(clips[0].path)[0]
    said = classifier.probabilities(hiss, RATE)
    assert said["hiss"] > classifier.probabilities(sound(0.3, 260), RATE)["hiss"] + 0.2
    weights = tmp_path / "validation-classifier" / "genre-classifier.safetensors"
    written = weights.stat().st_mtime_ns
    assert validation_classifier(clips[1:], tmp_path, settings).probabilities(hiss, RATE) == said
    assert weights.stat().st_mtime_ns == written
    with torch.no_grad():  # as a trainer asks
        validation_classifier(clips, tmp_path, settings)
    assert weights.stat().st_mtime_ns != written  # another collection, another classifier
    weights.write_bytes(b"torn")
    assert validation_classifier(clips[1:], tmp_path, settings).probabilities(hiss, RATE) == said


# --- what is played


class Louder(SpectrogramModel):
    kind = "louder"

    def __init__(self) -> None:
        super().__init__()
        self.nats = torch.nn.Parameter(torch.tensor(math.log(2)))

    def predict(self, views: Tensor, stem: Tensor) -> Tensor:
        return views + self.nats

    def shape(self) -> dict[str, Any]:
        return {}


def test_samples_are_converted_by_the_present_generators() -> None:
    lines = [ValidationSample(str(n), "other", sound(0.1, 220 + n, 0.3)) for n in range(3)]
    network = Louder()
    samples = ValidationSamples(lines, SpectrogramSettings(bins=32), lambda _: {"jazz": network})
    (played,) = samples.convert(lines).values()
    assert [made.shape for made in played] == [sample.sound.shape for sample in lines]
    inner = slice(3000, -3000)
    torch.testing.assert_close(
        played[0][:, inner].square().mean().sqrt(),
        2 * lines[0].sound[:, inner].square().mean().sqrt(),
        rtol=0.02,
        atol=0,
    )
    logged = samples(NOBODY)
    assert list(logged) == ["0/source", "1/source", "0/jazz", "1/jazz"]
    assert all(rate == RATE for _, rate in logged.values())
    assert torch.equal(logged["1/jazz"][0], played[1])


def test_samples_of_rendered_songs_come_from_the_first_side_that_has_them(tmp_path: Path) -> None:
    for name, sides in (("a", ("source", "separated")), ("b", ("source",)), ("c", ())):
        for side in sides:
            path = tmp_path / name / side / "bass.wav"
            path.parent.mkdir(parents=True)
            write_audio(path, sound(0.1 if side == "source" else 0.4, 220, 0.5), RATE)
    songs = [tmp_path / name for name in "abc"]
    one, two = rendered_samples(songs, ("separated", "source"), "bass", 5, 0.2)
    assert [one.name, two.name] == ["a/bass", "b/bass"]
    assert one.sound.shape == (2, 8820)
    assert float(one.sound.abs().max()) > 2 * float(two.sound.abs().max())
    assert len(rendered_samples(songs, ("source",), "bass", 1)) == 1


def test_samples_of_recordings_are_at_the_level_of_windows(tmp_path: Path) -> None:
    from audiotransfer.data.stem_mixes import folder_stems

    write_audio(tmp_path / "one.wav", sound(0.9, 220, 0.5), RATE)
    (sample,) = recorded_samples(folder_stems(tmp_path, "other", tmp_path / "cache"), 4, 0.2)
    assert sample.stem == "other" and sample.sound.shape == (2, 8820)
    assert float(sample.sound.square().mean().sqrt()) == pytest.approx(0.06, rel=1e-3)
