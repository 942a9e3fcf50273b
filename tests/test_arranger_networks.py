"""The jazz band's small networks: examples from archives, training, and what they predict."""

from __future__ import annotations

import csv
import io
import itertools
import json
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import symusic
import torch

from audiotransfer import recipes
from audiotransfer.cover.arranger import arrange
from audiotransfer.cover.band import read_band
from audiotransfer.cover.examples import Examples, bass_examples, comping_examples, half_beats
from audiotransfer.cover.features import (
    AHEAD,
    BASS_FEATURES,
    COMPING_FEATURES,
    HISTORY,
    SLOTS,
    bass_features,
    comping_features,
)
from audiotransfer.cover.learned_comping import MelodyInfluence
from audiotransfer.cover.networks import EventNetwork, load_events, save_events
from audiotransfer.cover.walking import PITCHES, Slot, walking_model
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import LeadSheet, Note
from audiotransfer.recipes.arranger_network import split
from audiotransfer.styles.find import SHIPPED

Chart = Callable[..., LeadSheet]

TPQ = 480
CHORD, HIGH = (50, 55, 59), 79
TRAINER = ["steps=150", "warmup=0", "log_every=50", "checkpoint_every=50", "validate_every=50"]


def archive(path: Path, folder: str, files: dict[str, bytes], rows: list[dict[str, str]]) -> Path:
    """A zip of MIDI files with its list."""
    listed = io.StringIO()
    writer = csv.DictWriter(listed, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    with zipfile.ZipFile(path, "w") as file:
        for name, data in files.items():
            file.writestr(f"{folder}/{name}", data)
        file.writestr(f"{folder}/metadata.csv", listed.getvalue())
    return path


def midi(notes: list[tuple[float, int]], chords: list[tuple[float, str]] = ()) -> bytes:
    """Notes (onset in beats, pitch) of a quarter of a beat, and chord symbols as markers."""
    score = symusic.Score(TPQ)
    track = symusic.Track("piano")
    for beat, pitch in notes:
        track.notes.append(symusic.Note(round(beat * TPQ), TPQ // 4, pitch, 80))
    score.tracks.append(track)
    for beat, symbol in chords:
        score.markers.append(symusic.TextMeta(round(beat * TPQ), symbol))
    return bytes(score.dumps_midi())


def trio(bars: int) -> bytes:
    """A left hand on the swung & of 2 and 4, and a right hand on all beats."""
    left = [(4 * bar + at, pitch) for bar in range(bars) for at in (1.66, 3.62) for pitch in CHORD]
    return midi(left + [(float(beat), HIGH) for beat in range(4 * bars)])


@pytest.fixture
def piano(tmp_path: Path) -> Path:
    names = [f"take{n}.mid" for n in range(4)]
    row = {"beats_per_bar": "4", "downbeat": "manual", "parity": "", "qpm": "160"}
    rows = [{"file": name, "pianist": name[:5], **row} for name in names]
    rows.append({"file": "waltz.mid", "pianist": "other", **row, "beats_per_bar": "3"})
    rows.append({"file": "doubtful.mid", "pianist": "other", **row, "downbeat": "auto"})
    files = {name: trio(20 + n) for n, name in enumerate([*names, "waltz.mid", "doubtful.mid"])}
    return archive(tmp_path / "piano.zip", "piano", files, rows)


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    names = [f"line{n}.mid" for n in range(4)]
    walk = [36, 40, 43, 45] * 10
    chords = [(0.0, "C7"), (8.0, "F-7")]
    files = {name: midi([(b + 0.02, p) for b, p in enumerate(walk)], chords) for name in names}
    rows = [{"file": name, "chords_usable": "1", "signature": "4/4"} for name in names]
    files["wrong.mid"] = files[names[0]]
    rows.append({"file": "wrong.mid", "chords_usable": "0", "signature": "4/4"})
    return archive(tmp_path / "bass.zip", "bass", files, rows)


def test_swung_eighths_are_the_second_half_of_their_beat() -> None:
    onsets = np.array([0.0, 0.1, 0.5, 0.68, 0.9, 1.95, 2.6])
    assert half_beats(onsets).tolist() == [0, 0, 1, 1, 2, 4, 5]


def test_comping_examples_are_the_left_hands_chords(piano: Path) -> None:
    examples = comping_examples(str(piano))
    assert examples.features.shape == (len(examples), COMPING_FEATURES)
    bar = examples.events[:SLOTS]
    assert bar.tolist() == [
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        1,
    ]  # two chords of three notes, none of single ones
    assert set(examples.groups) == {f"take{n}" for n in range(4)}
    # The melody of the present half beat stands after the histories of chords and melody.
    now = examples.features[:, 2 * HISTORY]
    assert now[:SLOTS].tolist() == [1, 0] * 4


def test_bass_examples_are_intervals_with_their_chords(lines: Path) -> None:
    examples = bass_examples(str(lines))
    assert examples.features.shape == (len(examples), BASS_FEATURES)
    assert (examples.events[:4] - 12).tolist() == [4, 3, 2, -9]
    assert set(examples.groups) == {f"line{n}.mid" for n in range(4)}


def test_features_do_not_see_the_chords_to_come() -> None:
    random = np.random.default_rng(0)
    comping, melody = random.integers(0, 2, (2, 64))
    later = comping.copy()
    later[40:] = 1 - later[40:]
    rows = [comping_features(part, melody, 180, 2, [40]) for part in (comping, later)]
    assert np.array_equal(*rows)
    assert not np.array_equal(rows[0], comping_features(comping, 1 - melody, 180, 2, [40]))
    assert rows[0].shape == (1, 2 * HISTORY + AHEAD + SLOTS + 2)


def test_bass_features_are_the_same_in_every_key() -> None:
    past = np.array([36, 38, 40, 41])
    low = bass_features(past, 3, 2, 0, 5, 1, False)
    high = bass_features(past + 2, 3, 2, 2, 7, 1, False)
    changed = np.flatnonzero(low != high)
    assert changed.size == 1  # the register alone
    assert low.shape == (BASS_FEATURES,)


def test_splits_share_no_musician() -> None:
    groups = np.repeat([f"m{n}" for n in range(10)], 5)
    examples = Examples(np.zeros((50, 2), np.float32), np.zeros(50, np.int64), groups)
    parts = split(examples, 2, 3)
    names = [set(part.groups) for part in parts.values()]
    assert [len(n) for n in names] == [5, 3, 2] and len(set.union(*names)) == 10
    with pytest.raises(AudioTransferError, match="too few"):
        split(examples, 5, 5)


def test_networks_are_the_same_after_saving(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = EventNetwork(6, 3, (5,)).eval()
    save_events(tmp_path / "n.safetensors", network)
    features = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
    again = load_events(tmp_path / "n.safetensors").probabilities(features)
    assert np.allclose(again, network.probabilities(features), atol=2e-3)  # half precision
    assert np.allclose(again.sum(1), 1)
    (tmp_path / "n.safetensors").write_bytes(b"x" * 20)
    with pytest.raises(AudioTransferError, match="install"):
        load_events(tmp_path / "n.safetensors")


@pytest.mark.parametrize("config", ["comping", "walking-bass"])
@pytest.mark.usefixtures("every_branch")
def test_training_learns_what_repeats(
    config: str, piano: Path, lines: Path, tmp_path: Path
) -> None:
    place = piano if config == "comping" else lines
    name = "comping" if config == "comping" else "bass"
    overrides = [f"arranger_network.data={place.parent}", f"arranger_network.archive={place.name}"]
    overrides += [
        "arranger_network.validation=1",
        "arranger_network.test=1",
        "arranger_network.dropout=0",
    ]
    run = tmp_path / "run"
    figures = recipes.train(config, overrides + [f"trainer.{setting}" for setting in TRAINER], run)
    card = json.loads((run / f"{name}.json").read_text())
    assert card["bits"]["test"] < 0.5 * card["bits of the class shares"]["test"]
    assert figures["test bits"] == card["bits"]["test"] and len(card["held out"]) == 1
    load_events(run / f"{name}.safetensors")


def test_the_melodys_influence_is_that_of_the_network(tmp_path: Path) -> None:
    torch.manual_seed(1)
    save_events(tmp_path / "n.safetensors", EventNetwork(COMPING_FEATURES, 2, (6,)))
    random = np.random.default_rng(0)
    rhythms = random.integers(0, 2, (9, SLOTS)).astype(bool)
    melody, played = random.integers(0, 2, 80), random.integers(0, 2, 40)
    influence = MelodyInfluence(tmp_path / "n.safetensors", rhythms, melody, 160.0, 2.0)
    network = load_events(tmp_path / "n.safetensors")

    def log_probability(rhythm: np.ndarray, notes: np.ndarray) -> float:
        comping = np.concatenate([played, rhythm.astype(np.int64)])
        slots = 40 + np.arange(SLOTS)
        shares = network.probabilities(comping_features(comping, notes, 160.0, 2.0, slots))
        return float(np.log(shares[np.arange(SLOTS), rhythm.astype(int)]).sum())

    beside = np.array([log_probability(rhythm, melody) for rhythm in rhythms])
    alone = np.array([log_probability(rhythm, 0 * melody) for rhythm in rhythms])
    change = beside - alone
    assert np.allclose(influence.weights(40, played), np.exp(change - change.mean()), rtol=1e-3)
    # Without a melody it changes nothing.
    silent = MelodyInfluence(tmp_path / "n.safetensors", rhythms, 0 * melody, 160.0, 2.0)
    assert np.allclose(silent.weights(40, played), 1)


def test_a_band_may_name_a_network_of_comping(tmp_path: Path, chart: Chart) -> None:
    source = SHIPPED / "jazz-midi"
    for name in ("band.yaml", "counts.json"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    torch.manual_seed(1)
    network = EventNetwork(COMPING_FEATURES, 2, (6,))
    with torch.no_grad():
        network.layers[-1].weight *= 20  # so that the melody counts
    save_events(tmp_path / "n.safetensors", network)
    sheet = chart("Dm7 | G7 | Cmaj7 | A7", times=8)
    melody = tuple(Note(0.43 * i, 0.4, 72 + i % 5) for i in range(100))
    sheet = replace(sheet, melody=melody, energy=(0.5,) * len(sheet.bars))
    band = read_band(tmp_path / "band.yaml")
    roles = [
        replace(role, settings={**role.settings, "network": "n.safetensors"})
        if role.name == "comping"
        else role
        for role in band.roles
    ]
    parts = {
        one: {part.name: part.notes for part in arrange(sheet, one_band, 0.5, seed()).parts}
        for one, one_band in (("counts", band), ("network", replace(band, roles=tuple(roles))))
    }
    assert not np.array_equal(parts["counts"]["comping"], parts["network"]["comping"])
    assert np.array_equal(parts["counts"]["bass"], parts["network"]["bass"])


def seed() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_lines_are_drawn_as_often_as_their_probability_says(chart: Chart) -> None:
    model = walking_model(SHIPPED / "jazz-midi" / "counts.json")
    chord = chart("C7").chords[0]
    # Roots, any tone, fifths: few enough lines to add them all up.
    slots = [Slot(0, 0, chord, 0), Slot(1, 1, chord), Slot(2, 2, chord, 7)]
    ends = [PITCHES[fixed == PITCHES % 12].tolist() for fixed in (0, 7)]
    lines = list(itertools.product(ends[0], PITCHES.tolist(), ends[1]))
    probabilities = np.exp([model.log_probability(slots, line) for line in lines])
    assert probabilities.sum() == pytest.approx(1)
    random, count = np.random.default_rng(0), 1500
    drawn = Counter(tuple(model.draw(slots, random).tolist()) for _ in range(count))
    assert set(drawn) <= set(lines)
    for index in np.argsort(probabilities)[-12:]:
        deviation = np.sqrt(probabilities[index] / count)
        assert abs(drawn[lines[index]] / count - probabilities[index]) < 4 * deviation
