"""The pitch network: features, decoding to notes, training, and what the shipped weights find."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from audiotransfer import recipes
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import Note
from audiotransfer.transcription import pitch_transcriber
from audiotransfer.transcription.activations import (
    BASSES,
    CHORD_QUALITIES,
    LOWEST,
    LOWEST_BASS,
    PITCHES,
    PitchActivations,
)
from audiotransfer.transcription.notes import (
    bass_notes,
    lead_notes,
    polyphonic_notes,
    second_voice,
    sung_spans,
)
from audiotransfer.transcription.pitch_examples import (
    UNKNOWN,
    Augmentation,
    PitchBatches,
    crop_features,
    crop_labels,
    read_examples,
)
from audiotransfer.transcription.pitch_features import (
    ALL_BINS,
    FRAME_RATE,
    HOP,
    LOWEST_BIN,
    PER_SEMITONE,
    SAMPLE_RATE,
    PitchFeatures,
    estimate_tuning,
    frame_count,
    pitch_features,
)
from audiotransfer.transcription.pitch_network import PitchNetwork, load_pitch_network
from audiotransfer.transcription.pitch_objective import PitchLoss, PitchObjective
from audiotransfer.transcription.pitch_transcriber import (
    BLOCK,
    CONTEXT,
    PitchTranscriber,
    transcribe_pitches,
)

MELODY = [(0.5, 0.4, 67), (1.0, 0.4, 69), (1.5, 0.4, 71), (2.0, 0.9, 72), (3.5, 0.4, 71)]


def tone(seconds: float, pitch: float, level: float = 0.2) -> NDArray[np.float32]:
    """A harmonic tone that decays slowly."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    frequency = 440.0 * 2.0 ** ((pitch - 69) / 12)
    partials = sum(np.sin(2 * np.pi * k * frequency * time) / k for k in range(1, 7))
    edges = np.minimum(1, np.minimum(time, time[::-1]) / 0.01)
    return (level * partials * np.exp(-time) * edges).astype(np.float32)


def sound(notes: list[tuple[float, float, float]], seconds: float) -> NDArray[np.float32]:
    samples = np.zeros(round(seconds * SAMPLE_RATE), dtype=np.float32)
    for start, duration, pitch in notes:
        first = round(start * SAMPLE_RATE)
        played = tone(duration, pitch)
        samples[first : first + len(played)] += played
    return samples


def song(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    """Random notes, a few at a time."""
    random = np.random.default_rng(seed)
    count = int(4 * seconds)
    starts = np.sort(random.uniform(0, seconds - 1, count))
    return sound([(float(s), 0.6, int(random.integers(40, 80))) for s in starts], seconds)


def moving_network(seed: int = 0) -> PitchNetwork:
    """A network whose every layer matters to its answers."""
    torch.manual_seed(seed)
    network = PitchNetwork(channels=6, head=4, side=12, reduced=2, told=1, voice=4)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3 if parameter.ndim > 1 else 0.05)
    return network.eval()


def activations(frames: int, **given: NDArray[np.floating]) -> PitchActivations:
    """Of a song in which nothing is played, but for what is given."""
    silence = {
        "lead": np.eye(PITCHES + 1)[np.full(frames, PITCHES)],
        "bass": np.eye(BASSES + 1)[np.full(frames, BASSES)],
        "chords": np.eye(12 * len(CHORD_QUALITIES) + 1)[np.full(frames, 12 * len(CHORD_QUALITIES))],
        **{n: np.zeros((frames, PITCHES)) for n in ("lead_onsets", "notes", "note_onsets")},
        "voice": np.zeros(frames),
        "levels": np.full((frames, PITCHES), -30.0),
    }
    values = {name: value.astype(np.float16) for name, value in (silence | given).items()}
    return PitchActivations(rate=FRAME_RATE, **values)


def frame(seconds: float) -> int:
    return round(seconds * FRAME_RATE)


def of_melody(
    melody: list[tuple[float, float, int]],
    frames: int,
    pitches: int = PITCHES,
    lowest: int = LOWEST,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A line's distribution, and its onsets ``[L, 88]``."""
    line, onsets = np.zeros((frames, pitches + 1)), np.zeros((frames, PITCHES))
    line[:, -1] = 1.0
    for start, duration, pitch in melody:
        own = slice(frame(start), frame(start + duration))
        line[own, -1] = 0.1
        line[own, pitch - lowest] = 0.9
        onsets[frame(start), pitch - LOWEST] = 0.9
    return line, onsets


def pitches_of(notes: list[Note]) -> list[tuple[float, int]]:
    return [(round(note.start, 1), note.pitch) for note in notes]


# Features


@pytest.mark.parametrize("pitch", [28, 45, 69, 100])
def test_a_sine_is_loudest_at_its_own_bin_at_its_own_level(pitch: int) -> None:
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    frequency = 440.0 * 2.0 ** ((pitch - 69) / 12)
    features = pitch_features((0.5 * np.sin(2 * np.pi * frequency * time)).astype(np.float32))
    middle = features[len(features) // 2, :264]
    own = PER_SEMITONE * (pitch - LOWEST_BIN)
    assert int(middle.argmax()) == own
    assert middle[own] == pytest.approx(-6.0, abs=0.3)


def test_low_semitones_are_told_apart_by_the_fine_bins() -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    samples = np.sin(2 * np.pi * 41.2 * time).astype(np.float32)  # E1
    middle = pitch_features(samples)[20]
    wide = middle[3 * (28 - LOWEST_BIN)] - middle[3 * (30 - LOWEST_BIN)]
    fine = middle[264 + 3 * (28 - 23)] - middle[264 + 3 * (30 - 23)]
    assert fine > wide + 6


def test_features_of_pushed_blocks_are_those_of_the_whole() -> None:
    samples, random = song(5.0), np.random.default_rng(1)
    features, parts, at = PitchFeatures(), [], 0
    while at < len(samples):
        size = int(random.integers(1, 20_000))
        parts.append(features.push(samples[at : at + size]))
        at += size
    joined = np.concatenate([*parts, features.finish()])
    assert joined.shape == (frame_count(len(samples)), ALL_BINS)
    np.testing.assert_allclose(joined, pitch_features(samples), atol=1e-3)


@pytest.mark.parametrize("cents", [-40.0, -15.0, 0.0, 30.0])
def test_tuning_is_estimated_and_followed(cents: float) -> None:
    samples = sound([(0.3 * i, 0.5, p + cents / 100) for i, p in enumerate((60, 64, 67, 71))], 2.0)
    assert estimate_tuning(pitch_features(samples)) == pytest.approx(cents, abs=5)
    assert estimate_tuning(pitch_features(samples, cents)) == pytest.approx(0, abs=5)
    transcriber = PitchTranscriber(moving_network())
    transcriber.push(samples)
    assert transcriber.finish().tuning == pytest.approx(cents, abs=5)


def test_silence_has_no_tuning() -> None:
    assert estimate_tuning(pitch_features(np.zeros(SAMPLE_RATE, dtype=np.float32))) == 0


# The transcriber


def test_blocks_equal_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = song(24.0)
    network = moving_network()
    whole = transcribe_pitches(samples, network)
    monkeypatch.setattr(pitch_transcriber, "BLOCK", 128)
    transcriber = PitchTranscriber(network)
    for part in np.split(samples, [1, 30_000, 200_000]):
        transcriber.push(part)
    blocks = transcriber.finish()
    assert len(whole.lead) == frame_count(len(samples))
    assert float(whole.lead.std(0).max()) > 0.01  # or everything would equal everything
    for field in fields(PitchActivations):
        one, two = getattr(whole, field.name), getattr(blocks, field.name)
        np.testing.assert_allclose(one, two, atol=2e-3, err_msg=field.name)


def test_the_context_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, network = song(24.0), moving_network()
    whole = transcribe_pitches(samples, network)
    monkeypatch.setattr(pitch_transcriber, "BLOCK", 128)
    monkeypatch.setattr(pitch_transcriber, "CONTEXT", 60)
    short = transcribe_pitches(samples, network)
    assert np.abs(whole.chords.astype(float) - short.chords).max() > 0.01


def test_the_same_sound_gives_the_same_activations() -> None:
    samples, network = song(3.0), moving_network()
    one, two = (transcribe_pitches(samples, network) for _ in range(2))
    assert all(np.array_equal(getattr(one, f.name), getattr(two, f.name)) for f in fields(one))


@pytest.mark.parametrize("samples", [0, 1, HOP, 3 * HOP + 1])
def test_short_recordings(samples: int) -> None:
    found = transcribe_pitches(np.full(samples, 0.1, dtype=np.float32), moving_network())
    assert len(found.lead) == len(found.voice) == frame_count(samples)
    assert lead_notes(found) == [] or samples > HOP


def test_memory_of_an_hour_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits between pushes has a constant size; what is kept is counted a frame."""
    monkeypatch.setattr(pitch_transcriber, "BLOCK", 64)
    monkeypatch.setattr(pitch_transcriber, "_TUNED_FROM", SAMPLE_RATE)
    transcriber = PitchTranscriber(moving_network())
    samples = song(2.0)
    for _ in range(20):
        transcriber.push(samples)
        assert transcriber.waiting <= 64 + 2 * CONTEXT
    found = transcriber.finish()
    sizes = (getattr(found, f.name) for f in fields(found))
    kept = sum(v.nbytes for v in sizes if isinstance(v, np.ndarray)) / len(found.lead)
    assert kept * FRAME_RATE * 3600 < 0.2e9
    assert BLOCK * ALL_BINS * 4 < 10e6


# What the shipped weights find


@pytest.fixture(scope="module")
def found() -> PitchActivations:
    """Activations of a melody, over a bass and chords, by the shipped network."""
    return transcribe_pitches(sound(MELODY, 5.0))


def test_a_melody_is_found(found: PitchActivations) -> None:
    notes = lead_notes(found)
    assert [note.pitch for note in notes] == [pitch for _, _, pitch in MELODY]
    for note, (start, duration, _) in zip(notes, MELODY, strict=True):
        assert note.start == pytest.approx(start, abs=0.05)
        assert note.duration == pytest.approx(duration, abs=0.25)
        assert note.confidence > 0.3


def test_polyphonic_notes_are_found(found: PitchActivations) -> None:
    truth = {(start, pitch) for start, _, pitch in MELODY}
    notes = set(pitches_of(polyphonic_notes(found)))
    assert len(notes & truth) >= 4 and len(notes - truth) <= 2


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_silence_and_faint_noise_give_nothing(level: float) -> None:
    noise = level * np.random.default_rng(0).standard_normal(4 * SAMPLE_RATE)
    nothing = transcribe_pitches(noise.astype(np.float32))
    assert lead_notes(nothing) == bass_notes(nothing) == polyphonic_notes(nothing) == []
    assert second_voice(nothing, []) == [] and sung_spans(nothing) == []


def test_shipped_weights_are_small_and_described() -> None:
    assert pitch_transcriber.SHIPPED.stat().st_size <= 3e6
    card = json.loads(pitch_transcriber.SHIPPED.with_suffix(".json").read_text())
    assert card["steps"] > 100 and card["excerpts"]


def test_a_damaged_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pitch.safetensors").write_bytes(b"no weights")
    with pytest.raises(AudioTransferError, match=r"pitch\.safetensors"):
        load_pitch_network(tmp_path / "pitch.safetensors")


# Decoding


def test_the_lead_is_decoded_note_by_note() -> None:
    line, onsets = of_melody(MELODY, frame(5.0))
    notes = lead_notes(activations(len(line), lead=line, lead_onsets=onsets))
    assert pitches_of(notes) == [(start, pitch) for start, _, pitch in MELODY]
    for note, (_, duration, _) in zip(notes, MELODY, strict=True):
        assert note.duration == pytest.approx(duration, abs=0.05)
        assert note.confidence == pytest.approx(0.9, abs=0.02)


def test_a_repeated_pitch_begins_anew_only_with_an_onset() -> None:
    held = [(1.0, 2.0, 60)]
    line, onsets = of_melody(held, frame(4.0))
    assert len(lead_notes(activations(len(line), lead=line, lead_onsets=onsets))) == 1
    onsets[frame(2.0), 60 - LOWEST] = 0.9
    notes = lead_notes(activations(len(line), lead=line, lead_onsets=onsets))
    assert pitches_of(notes) == [(1.0, 60), (2.0, 60)]
    assert notes[0].start + notes[0].duration <= notes[1].start


def test_single_frames_do_not_break_a_note() -> None:
    line, onsets = of_melody([(1.0, 1.0, 60)], frame(3.0))
    line[frame(1.5)] = np.roll(line[frame(1.5)], 12)
    notes = lead_notes(activations(len(line), lead=line, lead_onsets=onsets))
    assert pitches_of(notes) == [(1.0, 60)]


def test_a_voice_makes_an_unsure_lead_a_note() -> None:
    line, onsets = of_melody([(1.0, 1.0, 60)], frame(3.0))
    own = slice(frame(1.0), frame(2.0))
    line[own, -1], line[own, 60 - LOWEST] = 0.72, 0.28
    onsets *= 0.3
    played = activations(len(line), lead=line, lead_onsets=onsets)
    sung = replace(played, voice=np.ones(len(line), dtype=np.float16))
    assert lead_notes(played) == []
    assert [note.pitch for note in lead_notes(sung)] == [60]


def test_the_bass_is_decoded() -> None:
    walk = [(0.5 * i, 0.5, pitch) for i, pitch in enumerate((36, 40, 43, 45))]
    line, onsets = of_melody(walk, frame(3.0), BASSES, LOWEST_BASS)
    notes = bass_notes(activations(len(line), bass=line, note_onsets=onsets))
    assert pitches_of(notes) == [(start, pitch) for start, _, pitch in walk]


def test_polyphonic_notes_begin_at_onsets_and_end_with_their_sound() -> None:
    frames = frame(4.0)
    notes, onsets = np.zeros((frames, PITCHES)), np.zeros((frames, PITCHES))
    for start, end, pitch in [(0.5, 1.5, 60), (0.5, 2.5, 64), (1.5, 2.0, 60)]:
        notes[frame(start) : frame(end), pitch - LOWEST] = 0.8
        onsets[frame(start), pitch - LOWEST] = 0.8
    notes[frame(2.0) - 20, 60 - LOWEST] = 0.1  # a gap of one frame
    notes[frame(3.0) : frame(3.5), 80 - LOWEST] = 0.8  # without an onset
    found = polyphonic_notes(activations(frames, notes=notes, note_onsets=onsets))
    assert pitches_of(found) == [(0.5, 60), (0.5, 64), (1.5, 60)]
    assert [round(note.duration, 1) for note in found] == [1.0, 2.0, 0.5]


def test_louder_notes_have_higher_velocities() -> None:
    line, onsets = of_melody(MELODY, frame(5.0))
    levels = np.full((len(line), PITCHES), -30.0)
    levels[frame(2.0) :] = -20.0
    notes = lead_notes(activations(len(line), lead=line, lead_onsets=onsets, levels=levels))
    assert notes[0].velocity == notes[2].velocity < notes[3].velocity == notes[4].velocity


def test_the_second_voice_is_no_copy_of_the_lead() -> None:
    frames = frame(5.0)
    line, lead_onsets = of_melody(MELODY, frames)
    thirds = [(start, duration, pitch - 4) for start, duration, pitch in MELODY]
    notes, onsets = np.zeros((frames, PITCHES)), np.zeros((frames, PITCHES))
    for start, duration, pitch in MELODY + thirds:
        notes[frame(start) : frame(start + duration), pitch - LOWEST] = 0.8
        onsets[frame(start), pitch - LOWEST] = 0.8
    both = activations(frames, lead=line, lead_onsets=lead_onsets, notes=notes, note_onsets=onsets)
    second = second_voice(both, lead_notes(both))
    assert pitches_of(second) == [(start, pitch) for start, _, pitch in thirds]


def test_sung_spans() -> None:
    voice = np.zeros(frame(10.0))
    voice[frame(2.0) : frame(5.0)] = 0.9
    voice[frame(7.0) : frame(7.1)] = 0.9
    ((start, end),) = sung_spans(activations(len(voice), voice=voice))
    assert (start, end) == (pytest.approx(2.0, abs=0.15), pytest.approx(5.0, abs=0.15))


# Examples and training


def write_excerpt(path: Path, seconds: float = 8.0, **flags: bool) -> None:
    melody = np.array([(s, s + d, p) for s, d, p in MELODY], dtype=np.float32)
    samples = sound(MELODY, seconds)
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {f"has_{n}": True for n in ("lead", "notes", "bass", "chords", "beats", "drums")}
    np.savez(
        path,
        audio=np.rint(samples * 32767).astype(np.int16),
        lead=melody,
        notes=melody,
        bass=np.array([(1.0, 2.0, 40)], dtype=np.float32),
        drums=np.zeros((0, 2), dtype=np.float32),
        chords=np.array([(0.0, -1, 0), (1.0, 9, 1)], dtype=np.float32),
        beats=np.arange(0, seconds, 0.5, dtype=np.float32),
        downbeats=np.arange(0, seconds, 2.0, dtype=np.float32),
        sung=np.array([(0.5, 2.9)], dtype=np.float32),
        about=json.dumps({"set": "made"}),
        **(known | flags),
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("train/a", "train/b", "validation/c"):
        write_excerpt(tmp_path / "excerpts" / f"{name}.npz", has_bass=name != "train/b")
    return tmp_path / "excerpts"


def test_labels_follow_the_truth(data: Path) -> None:
    example = read_examples(data / "train")[0]
    first, shift = frame(0.4), 3
    labels = crop_labels(example, first, frame(2.0), shift)
    at = frame(1.2) - first
    assert labels["lead"][at] == 69 + shift - LOWEST and labels["lead"][0] == PITCHES
    assert labels["bass"][at] == 40 + shift - LOWEST_BASS
    assert labels["chords"][at] == 12 * 1 + (9 + shift) % 12
    assert labels["chords"][0] == 12 * len(CHORD_QUALITIES)
    assert (labels["voice"][0], labels["voice"][at]) == (0, 1)
    begin = frame(1.0) - first
    own = labels["lead_onsets"][begin - 2 : begin + 3, 69 + shift - LOWEST]
    assert own.tolist() == [0, 0.5, 1, 0.5, 0]
    assert labels["has_bass"] == 1
    past = crop_labels(example, len(example.features) - 10, 20)
    assert (past["lead"][10:] == UNKNOWN).all() and (past["lead"][:10] != UNKNOWN).all()


@pytest.mark.parametrize("shift", [-4, 0, 4])
def test_shifted_features_lie_where_their_labels_are(data: Path, shift: int) -> None:
    example = read_examples(data / "train")[0]
    features = crop_features(example, frame(1.1), 8, shift)
    assert int(features[4, :264].argmax()) == PER_SEMITONE * (69 + shift - LOWEST_BIN)


def test_batches_are_a_function_of_their_step(data: Path) -> None:
    examples = read_examples(data / "train", data / "cache")
    batches = PitchBatches(examples, 3, 64, 0, Augmentation())
    one, two, other = batches.batch(5), batches.batch(5), batches.batch(6)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["features"], other["features"])
    assert one["features"].shape == (3, 64, ALL_BINS)
    kept = read_examples(data / "train", data / "cache")
    assert all(np.array_equal(a.features, b.features) for a, b in zip(examples, kept, strict=True))


def test_a_share_of_the_crops_is_of_more_examples(data: Path) -> None:
    first = read_examples(data / "train")
    louder = [replace(e, features=np.full_like(e.features, 255)) for e in first]
    for share, wanted in ((0.0, 0.0), (0.5, 0.5), (1.0, 1.0)):
        batches = PitchBatches(first, 4, 32, 3, more=louder, share=share)
        found = [batches.batch(step)["features"].amin((1, 2)) > 5 for step in range(40)]
        assert torch.cat(found).float().mean().item() == pytest.approx(wanted, abs=0.15)


def test_a_folder_without_excerpts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioTransferError, match="no excerpts"):
        read_examples(tmp_path)


SMALL = [
    "batch=2",
    "seconds=1",
    "channels=6",
    "head=4",
    "side=8",
    "learning_rate=0.005",
]


@pytest.mark.usefixtures("every_branch")
def test_training(data: Path, tmp_path: Path) -> None:
    overrides = [f"pitch_transcription.{setting}" for setting in (*SMALL, f"data={data}")]
    trainer = ["steps=3", "warmup=0", "log_every=1", "workers=0", "precision=32-true"]
    figures = recipes.train(
        "pitch-transcription",
        [*overrides, *(f"trainer.{setting}" for setting in trainer)],
        tmp_path / "run",
    )
    assert figures["failed_steps"] == 0
    assert all(map(math.isfinite, figures.values()))
    card = json.loads((tmp_path / "run" / "pitch.json").read_text())
    assert card["excerpts"] == {"made": 2} and card["steps"] == 3
    first = tmp_path / "run" / "pitch.safetensors"
    network = load_pitch_network(first)
    assert network.channels == 6
    voice = [*overrides, f"pitch_transcription.start={first}"]
    shorter = [f"trainer.{setting}" for setting in (*trainer, "steps=2")]
    figures = recipes.train("pitch-voice", [*voice, *shorter], tmp_path / "voice")
    assert figures["failed_steps"] == 0
    after = load_pitch_network(tmp_path / "voice" / "pitch.safetensors").state_dict()
    changed = {name for name, value in network.state_dict().items() if (value != after[name]).any()}
    assert changed and all(name.startswith("voice.") for name in changed)
    sung = [*voice, f"pitch_transcription.voices={data}", "trainer.seed=5"]
    figures = recipes.train("pitch-singing", [*sung, *shorter], tmp_path / "singing")
    assert figures["failed_steps"] == 0 and "validation/sung score" in figures
    card = json.loads((tmp_path / "singing" / "pitch.json").read_text())
    assert card["excerpts of voices"] == 2 and "sung pitch" in card["validation"]
    after = load_pitch_network(tmp_path / "singing" / "pitch.safetensors").state_dict()
    before = network.state_dict()["first.weight"]
    assert (after["first.weight"] != before).any()
    kept = [*sung, *shorter, "pitch_transcription.kept=1.0"]
    recipes.train("pitch-singing", kept, tmp_path / "kept")
    same = load_pitch_network(tmp_path / "kept" / "pitch.safetensors").state_dict()
    assert torch.allclose(same["first.weight"], before, atol=1e-3)


def test_the_loss_falls(data: Path) -> None:
    network = moving_network().train()
    objective = PitchObjective(network, PitchLoss(), 1e-2, 0.0)
    batch = PitchBatches(read_examples(data / "train"), 2, 64, 0).batch(0)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(20):
        (turn,) = objective.turns(batch, 0, torch.Generator())
        loss = sum((turn.weights[name] * term for name, term in turn.terms.items()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_unknown_truth_counts_for_nothing(data: Path) -> None:
    objective = PitchObjective(moving_network(), PitchLoss(), 1e-3, 0.0)
    batch = PitchBatches(read_examples(data / "train"), 2, 64, 0).batch(0)
    batch["has_bass"] = torch.zeros(2)
    batch["has_notes"] = torch.tensor([1.0, 0.0])
    with torch.no_grad():
        before = objective.terms(batch)
    assert before["bass"].item() == 0 and before["lead"].item() > 0
    batch["notes"][1] = 1 - batch["notes"][1]
    assert float(objective.terms(batch)["notes"]) == pytest.approx(float(before["notes"]))
    batch["notes"][0] = 1 - batch["notes"][0]
    assert float(objective.terms(batch)["notes"]) != pytest.approx(float(before["notes"]))
