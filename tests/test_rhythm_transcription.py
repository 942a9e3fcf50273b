"""Beats, bars and drum hits of recordings: features, network, decoding, training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from audiotransfer import recipes
from audiotransfer.errors import AudioTransferError
from audiotransfer.transcription.activations import PitchActivations, RhythmActivations
from audiotransfer.transcription.bar_tracking import change_evidence, is_compound, track_bars
from audiotransfer.transcription.beats import BeatGrid, find_beats
from audiotransfer.transcription.drums import DRUM_KEYS, drum_hits
from audiotransfer.transcription.rhythm_detection import RhythmDetector, detect_rhythm
from audiotransfer.transcription.rhythm_examples import RhythmBatches, read_examples, targets_of
from audiotransfer.transcription.rhythm_features import (
    BANDS,
    FRAME_RATE,
    HOP,
    MEL_BANDS,
    RHYTHM_RATE,
    RhythmFeatures,
    rhythm_features,
)
from audiotransfer.transcription.rhythm_network import (
    OUTPUTS,
    RhythmNetwork,
    load_rhythm,
    save_rhythm,
)

Times = NDArray[np.float64]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def pulses(times: Times, seconds: float, rng: np.random.Generator, height: float = 0.9) -> Times:
    """An activation with a pulse at each time, of varied height, over a little noise."""
    frames = np.arange(int(np.ceil(seconds * FRAME_RATE))) / FRAME_RATE
    found = 0.02 * rng.random(len(frames))
    for time in times:
        found = np.maximum(
            found,
            height * rng.uniform(0.7, 1) * np.exp(-0.5 * ((frames - time) / 0.012) ** 2),
        )
    return found


def activations(
    beats: Times,
    downbeats: Times,
    seconds: float,
    rng: np.random.Generator,
    between: float = 0.0,
    jitter: float = 0.006,
) -> RhythmActivations:
    """Activations of beats that are played a little beside their times, and between them."""
    played = beats + jitter * rng.standard_normal(len(beats))
    both = pulses(played, seconds, rng)
    if between:
        both = np.maximum(both, pulses(beats[:-1] + np.diff(beats) / 2, seconds, rng, between))
    first = pulses(downbeats, seconds, rng, 0.8)
    drums = np.zeros((len(both), 5), np.float32)
    return RhythmActivations(FRAME_RATE, both.astype(np.float32), first.astype(np.float32), drums)


def found(rhythm: RhythmActivations, pitch: PitchActivations | None = None) -> BeatGrid:
    grid = find_beats(rhythm, pitch)
    assert grid is not None
    return grid


def furthest(truth: Times, times: Times) -> float:
    """The largest distance of a true time from the nearest found one."""
    return float(np.abs(truth[:, None] - times).min(1).max())


def drifting(seconds: float, tempo: float, drift: float) -> Times:
    """Beats whose tempo swings by a share ``drift`` once in the given time."""
    time = np.arange(0, seconds, 0.01)
    phase = np.cumsum(tempo / 60 * (1 + drift * np.sin(2 * np.pi * time / seconds)) * 0.01)
    return np.interp(np.arange(1, phase[-1]), phase, time)


# Features


def test_features_place_a_click_at_its_frame_and_a_tone_in_its_band() -> None:
    samples = torch.zeros(RHYTHM_RATE)
    samples[40 * HOP] = 1.0
    levels = rhythm_features(samples)
    assert levels.shape == (BANDS, -(-RHYTHM_RATE // HOP))
    assert set(levels[10:MEL_BANDS].argmax(1).tolist()) == {40}
    tone = torch.sin(2 * torch.pi * 110 * torch.arange(RHYTHM_RATE) / RHYTHM_RATE)
    middle = rhythm_features(tone)[MEL_BANDS:, 40]
    assert middle.argmax() == 45 - 28  # MIDI 45 is 110 Hz, the first semitone 28
    assert middle.max() > 0.9 and (rhythm_features(0 * tone) == 0).all()


def test_features_and_activations_of_blocks_are_those_of_the_whole() -> None:
    generator = torch.Generator().manual_seed(0)
    samples = 0.1 * torch.randn(RHYTHM_RATE * 75 + 77, generator=generator)
    torch.manual_seed(0)
    network = RhythmNetwork(16, (4, 4), 5)
    features, detector = RhythmFeatures(), RhythmDetector(network)
    blocks = []
    for block in samples.split([1, 0, 5000, 256, 70_000, 300_001, 1_278_569]):
        blocks.append(features.push(block))
        detector.push(block)
    levels = torch.cat([*blocks, features.finish()], 1)
    whole = rhythm_features(samples)
    assert levels.shape == whole.shape and torch.allclose(levels, whole, atol=1e-5)
    pushed, at_once = detector.finish(), network(whole[None])[0].sigmoid().detach().numpy()
    assert np.allclose(pushed.beats, at_once[0], atol=1e-4)
    assert np.allclose(pushed.downbeats, at_once[1], atol=1e-4)
    assert np.allclose(pushed.drums, at_once[2:].T, atol=1e-4)


@pytest.mark.parametrize("length", [0, 1, HOP - 1, HOP, HOP + 1, 3001])
def test_any_length_is_taken(length: int) -> None:
    network = RhythmNetwork(8, (2, 2), 2)
    rhythm = detect_rhythm(torch.zeros(length), network)
    assert len(rhythm.beats) == len(rhythm.drums) == -(-length // HOP)
    assert find_beats(rhythm) is None


def test_the_networks_context_is_what_it_depends_on() -> None:
    torch.manual_seed(1)
    network = RhythmNetwork(8, (2, 2), 3).eval()
    levels = torch.rand(1, BANDS, 400)
    other = levels.clone()
    other[..., 200] = 0
    changed = (network(levels) != network(other)).any(1)[0].nonzero()[:, 0]
    assert 200 - network.context <= changed.min() and changed.max() <= 200 + network.context
    assert changed.max() - changed.min() > network.context


def test_a_network_is_the_same_after_saving(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = RhythmNetwork(8, (2, 3), 2).eval()
    save_rhythm(tmp_path / "r.safetensors", network)
    levels = torch.rand(1, BANDS, 101)
    again = load_rhythm(tmp_path / "r.safetensors")(levels)
    assert again.shape == (1, OUTPUTS, 101) and torch.allclose(again, network(levels), atol=1e-2)
    (tmp_path / "r.safetensors").write_bytes(b"no weights")
    with pytest.raises(AudioTransferError, match="install"):
        load_rhythm(tmp_path / "r.safetensors")


# Beats and bars


@pytest.mark.parametrize("tempo", [58.3, 77.7, 97.3, 123.4, 148.0, 171.9, 208.0])
@pytest.mark.parametrize("metre", [3, 4])
def test_a_constant_tempo_is_found_exactly(
    tempo: float, metre: int, rng: np.random.Generator
) -> None:
    seconds = 80.0
    beats = np.arange(0.37, seconds, 60 / tempo)
    grid = found(activations(beats, beats[1::metre], seconds, rng))
    assert abs(grid.tempo / tempo - 1) < 1e-3
    assert np.ptp(np.diff(grid.beats)) < 1e-6
    assert furthest(beats, grid.beats) < 0.01
    assert grid.metre == metre and grid.confidence > 0.5
    assert furthest(beats[1::metre], grid.downbeats) < 0.01


@pytest.mark.parametrize("between", [0.3, 0.45])
@pytest.mark.parametrize("tempo", [90.0, 120.0, 165.0])
def test_weaker_pulses_between_the_beats_double_no_tempo(
    tempo: float, between: float, rng: np.random.Generator
) -> None:
    beats = np.arange(0.2, 60, 60 / tempo)
    grid = found(activations(beats, beats[::4], 60, rng, between))
    assert abs(grid.tempo / tempo - 1) < 1e-3 and furthest(beats, grid.beats) < 0.01


def test_equal_pulses_are_beats_each(rng: np.random.Generator) -> None:
    """The tempo is that of the activation, however the bars lie."""
    beats = np.arange(0.2, 60, 60 / 184)
    grid = found(activations(beats, beats[::8], 60, rng))
    assert abs(grid.tempo / 184 - 1) < 1e-3


@pytest.mark.parametrize("drift", [0.06, 0.15])
def test_a_drifting_drummer_is_followed(drift: float, rng: np.random.Generator) -> None:
    beats = drifting(60, 110, drift)
    grid = found(activations(beats, beats[::4], 60, rng, jitter=0.008))
    assert furthest(beats, grid.beats) < 0.025
    tempi = 60 / np.diff(grid.beats)
    assert tempi.max() / tempi.min() > 1 + 1.5 * drift


def test_a_new_tempo_and_a_slowing_end_are_followed(rng: np.random.Generator) -> None:
    time = np.arange(0, 80, 0.01)
    tempo = np.where(time < 30, 110.0, 128.0) * np.clip(1 - 0.04 * (time - 74), 0.7, 1)
    phase = np.cumsum(tempo / 6000)
    beats = np.interp(np.arange(1, phase[-1]), phase, time)
    grid = found(activations(beats, beats[::4], 80, rng))
    assert furthest(beats, grid.beats) < 0.04
    assert {bar.beats for bar in grid.bars[1:-1]} == {4}


def test_beats_go_on_through_a_quiet_beginning_middle_and_end(rng: np.random.Generator) -> None:
    beats = np.arange(0.2, 90, 60 / 97.3)
    played = beats[(beats > 15) & (beats < 80) & ((beats < 30) | (beats > 55))]
    whole = activations(beats, beats[::4], 90, rng)
    some = activations(played, played[::4], 90, rng)
    grid = found(some)
    assert furthest(beats, grid.beats) < 0.02 and len(grid.beats) == len(beats) + 1
    assert grid.beats[0] < 60 / 97.3 and grid.beats[-1] >= 90
    assert grid.confidence < found(whole).confidence


def test_bars_take_the_metre_of_the_downbeats_and_keep_it_through_errors(
    rng: np.random.Generator,
) -> None:
    odds = np.where(np.arange(60) % 4 == 1, 2.0, -2.0)
    odds[[9, 22, 40]] *= -1  # one downbeat missing, two too many
    places, _ = track_bars(odds)
    assert (places[:, 1] == 4).all() and (places[:, 0] == (np.arange(60) - 1) % 4).all()
    short = np.where(np.isin(np.arange(60), [*range(0, 28, 4), *range(26, 60, 4)]), 3.0, -3.0)
    places, _ = track_bars(short)
    assert np.flatnonzero(places[:, 0] == 0).tolist() == np.flatnonzero(short > 0).tolist()
    waltz, _ = track_bars(np.where(np.arange(40) % 3 == 0, 2.0, -2.0))
    assert (waltz[:, 1] == 3).all()


def test_changes_of_harmony_decide_where_downbeats_are_unclear(rng: np.random.Generator) -> None:
    beats = np.arange(0.1, 60, 0.5)
    rhythm = activations(beats, np.zeros(0), 60, rng)
    rate, frames = 43.0, 43 * 60
    chords = np.zeros((frames, 73), np.float32)
    # A chord a bar, from the third beat on.
    numbers = (np.floor((np.arange(frames) / rate - beats[2]) / 2.0).astype(int)) % 7
    chords[np.arange(frames), numbers] = 1
    bass = np.zeros((frames, 39), np.float32)
    bass[:, 0] = 1
    empty = np.zeros((frames, 88), np.float32)
    lead = np.zeros((frames, 89), np.float32)
    none = np.zeros(frames, np.float32)
    pitch = PitchActivations(rate, lead, empty, empty, empty, bass, chords, none, none)
    grid = found(rhythm, pitch)
    assert grid.metre == 4 and furthest(beats[2::4], grid.downbeats) < 0.02
    assert abs(change_evidence(chords, rate, beats).mean()) < 0.1


def test_a_beat_is_divided_in_three_where_both_thirds_are_played(
    rng: np.random.Generator,
) -> None:
    beats = np.arange(0.3, 50, 60 / 80)

    def strengths(*places: float) -> Times:
        times = np.concatenate([beats + place * 60 / 80 for place in places])
        return pulses(times, 50, rng)

    assert is_compound(strengths(0, 1 / 3, 2 / 3), FRAME_RATE, beats)
    for places in ((0, 0.5), (0, 2 / 3), (0, 0.25, 0.5, 0.75), (0,)):
        assert not is_compound(strengths(*places), FRAME_RATE, beats)
    rhythm = activations(beats, beats[::2], 50, rng)
    rhythm.drums[:, 2] = strengths(0, 1 / 3, 2 / 3)
    bars = found(rhythm).bars
    assert {(bar.numerator, bar.denominator) for bar in bars[1:-1]} == {(6, 8)}
    lengths = [bar.beats for bar in bars]
    assert [bar.beat for bar in bars] == np.cumsum([0, *lengths[:-1]]).tolist()


def test_nothing_steady_has_no_confidence(rng: np.random.Generator) -> None:
    seconds = 40.0
    frames = int(seconds * FRAME_RATE)

    def confidence(beats: Times) -> float:
        none = np.zeros(frames, np.float32)
        drums = np.zeros((frames, 5), np.float32)
        grid = find_beats(RhythmActivations(FRAME_RATE, beats.astype(np.float32), none, drums))
        return 0.0 if grid is None else grid.confidence

    steady = confidence(pulses(np.arange(0.2, seconds, 0.5), seconds, rng)[:frames])
    free = np.cumsum(rng.uniform(0.15, 1.1, 60))
    assert steady > 0.6
    assert confidence(np.zeros(frames)) < 0.05
    assert confidence(0.1 * rng.random(frames)) < 0.2
    assert confidence(pulses(free, seconds, rng, 0.5)[:frames]) < 0.6 * steady
    few = pulses(np.arange(0.2, 5, 0.5), 5, rng)
    assert confidence(few) < 0.7 * steady


# Drums


def test_hits_lie_at_their_peaks_with_velocities_by_their_probability(
    rng: np.random.Generator,
) -> None:
    frames = np.arange(1000) / FRAME_RATE
    drums = np.zeros((1000, 5), np.float32)
    expected = [(1.0031, 36, 0.9), (1.2, 42, 0.5), (1.26, 42, 0.95), (2.0, 38, 0.6), (9.5, 51, 0.7)]
    for time, key, height in expected:
        number = list(DRUM_KEYS.values()).index(key)
        shape = height * np.exp(-0.5 * ((frames - time) * FRAME_RATE) ** 2)
        drums[:, number] = np.maximum(drums[:, number], shape)
    drums[500:540, 3] = 0.1  # too improbable
    hits = drum_hits(RhythmActivations(FRAME_RATE, drums[:, 0], drums[:, 0], drums))
    assert [hit.pitch for hit in hits] == [key for _, key, _ in expected]
    assert furthest(np.array([e[0] for e in expected]), np.array([h.start for h in hits])) < 0.003
    soft, loud = (hit.velocity for hit in hits if hit.pitch == 42)
    assert 1 <= soft < loud <= 127
    nothing = np.zeros((0, 5), np.float32)
    assert drum_hits(RhythmActivations(FRAME_RATE, nothing[:, 0], nothing[:, 0], nothing)) == ()


# Training


def track(tempo: float, seconds: float, metre: int = 4, seed: int = 0) -> tuple[Times, Times]:
    """Samples of a kick, snare, hat and bass track at 22.05 kHz, and its beats."""
    rng = np.random.default_rng(seed)
    beats = np.arange(0.25, seconds - 0.3, 60 / tempo)
    samples = 0.002 * rng.standard_normal(int(seconds * RHYTHM_RATE))
    length = int(0.25 * RHYTHM_RATE)
    t = np.arange(length) / RHYTHM_RATE
    kick = np.sin(2 * np.pi * (50 * t + 4 * (1 - np.exp(-30 * t)))) * np.exp(-t / 0.08)
    noise = rng.standard_normal(length)
    snare = (0.6 * noise + np.sin(2 * np.pi * 190 * t)) * np.exp(-t / 0.06) * 0.6
    hat = np.diff(noise, 2, prepend=0, append=0)[:length] * np.exp(-t / 0.02) * 0.12

    def add(time: float, sound: Times) -> None:
        first = int(time * RHYTHM_RATE)
        part = sound[: max(len(samples) - first, 0)]
        samples[first : first + len(part)] += part

    for number, beat in enumerate(beats):
        place = number % metre
        add(beat, hat)
        add(beat + 30 / tempo, 0.7 * hat)
        add(beat, kick if place in (0, 2) and not (metre == 3 and place) else snare)
        pitch = 41.2 * 2 ** ((0, 5, 7, 3)[number // metre % 4] / 12)
        tone = np.sin(2 * np.pi * pitch * t) + 0.5 * np.sin(4 * np.pi * pitch * t)
        add(beat, 0.3 * tone * np.minimum(1, (0.25 - t) * 20))
    return 0.5 * samples, beats


@pytest.fixture
def excerpts(tmp_path: Path) -> Path:
    """Folders ``train`` and ``validation`` of two excerpts each, one without known beats."""
    for split in ("train", "validation"):
        (tmp_path / split).mkdir()
        for number, tempo in enumerate((100.0, 130.0)):
            samples, beats = track(tempo, 4.0, seed=number)
            drums = np.stack([beats, np.where(np.arange(len(beats)) % 2, 38.0, 36.0)], 1)
            np.savez(
                tmp_path / split / f"{number}.npz",
                audio=(32767 * samples).clip(-32768, 32767).astype(np.int16),
                beats=beats.astype(np.float32),
                downbeats=beats[::4].astype(np.float32),
                drums=drums.astype(np.float32),
                has_beats=np.array(number == 0 or split == "validation"),
                has_drums=np.array(True),
            )
    return tmp_path


def test_examples_are_varied_with_their_targets(excerpts: Path, tmp_path: Path) -> None:
    examples = read_examples(excerpts / "train", tmp_path / "levels")
    again = read_examples(excerpts / "train", tmp_path / "levels")
    assert torch.equal(examples[0].levels(), again[0].levels())
    assert examples[1].beats is None
    targets, known = targets_of(examples[0], 700, 2.0)
    assert known.tolist() == [1.0] * 7 and targets_of(examples[1], 700)[1][:2].tolist() == [0, 0]
    assert examples[0].beats is not None and examples[0].drums is not None
    peaks = np.rint(examples[0].beats * 2 * FRAME_RATE).astype(int)
    assert (targets[0, peaks] > 0.9).all() and targets[0].mean() < 0.1
    kicks = examples[0].drums[examples[0].drums[:, 1] == 0, 0]
    assert (targets[2, np.rint(2 * kicks * FRAME_RATE).astype(int)] > 0.85).all()
    batches = RhythmBatches(examples, 4, 300, seed=1, scrambled=0.5)
    first, second = batches.batch(7), RhythmBatches(examples, 4, 300, 1, scrambled=0.5).batch(7)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert first["levels"].shape == (4, BANDS, 300)
    assert first["targets"].shape == first["weights"].shape == (4, OUTPUTS, 300)
    assert set(first["weights"].unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(first["levels"], batches.batch(8)["levels"])
    with pytest.raises(AudioTransferError, match="no excerpts"):
        read_examples(tmp_path / "train" / "none", tmp_path / "levels")


@pytest.mark.usefixtures("every_branch")
def test_training_steps_and_writes_the_weights(excerpts: Path, tmp_path: Path) -> None:
    settings = [f"rhythm_transcription.data={excerpts}"]
    settings += [f"rhythm_transcription.{s}" for s in ("width=8", "front=[2,2]", "layers=2")]
    settings += ["rhythm_transcription.frames=200", "rhythm_transcription.batch=2"]
    # A folder beside the data counts as often as it is named, in validation once.
    extra = tmp_path / "extra"
    shutil.copytree(excerpts / "train", extra / "train")
    shutil.copytree(excerpts / "validation", extra / "validation")
    settings += [f"rhythm_transcription.extra=[{extra},{extra}]"]
    settings += [
        f"trainer.{setting}"
        for setting in (
            "steps=2",
            "workers=0",
            "warmup=0",
            "log_every=1",
            "checkpoint_every=1",
            "preview_every=1",
            "validate_every=1",
            "diagnose_every=1",
        )
    ]
    run = tmp_path / "run"
    figures = recipes.train("rhythm-transcription", settings, run)
    assert {"validation/beats", "validation/downbeats", "validation/drums"} <= set(figures)
    card = json.loads((run / "rhythm.json").read_text())
    assert card["excerpts"] == {"train": 6, "validation": 4}
    assert load_rhythm(run / "rhythm.safetensors").width == 8


# The shipped network


@pytest.mark.parametrize(("tempo", "metre"), [(84.0, 4), (118.0, 4), (141.0, 3)])
def test_the_shipped_network_finds_beats_bars_and_hits(tempo: float, metre: int) -> None:
    samples, beats = track(tempo, 24.0, metre)
    rhythm = detect_rhythm(torch.from_numpy(samples).float())
    grid = found(rhythm)
    assert abs(grid.tempo / tempo - 1) < 2e-3
    assert furthest(beats, grid.beats) < 0.03
    assert grid.confidence > 0.6
    # Kicks on the first and third beat sound alike: either may begin a bar of four.
    assert grid.metre == metre
    assert furthest(grid.downbeats, beats[:: 3 if metre == 3 else 2]) < 0.03
    kicks = np.array([hit.start for hit in drum_hits(rhythm) if hit.pitch == 36])
    truth = beats[::metre] if metre == 3 else beats[::2]
    assert (np.abs(truth[:, None] - kicks).min(1) < 0.03).mean() > 0.9


def test_the_shipped_network_is_not_confident_of_noise_and_silence() -> None:
    rng = np.random.default_rng(5)
    noise = torch.from_numpy(0.1 * rng.standard_normal(20 * RHYTHM_RATE)).float()
    for samples in (noise, 0 * noise, track(120.0, 5.0)[0][: 3 * RHYTHM_RATE]):
        grid = find_beats(detect_rhythm(torch.as_tensor(samples).float()))
        assert grid is None or grid.confidence < 0.5
