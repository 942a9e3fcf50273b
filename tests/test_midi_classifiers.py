"""MIDI classifiers: features, predictions, and configs trained on tiny genres."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import symusic
import torch
from torch import Tensor

from audiotransfer import recipes
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.baselines.midi import transpose
from audiotransfer.evaluation.classifiers import midi_diagnostics
from audiotransfer.evaluation.classifiers.midi_genre import (
    GenreProbabilities,
    MidiGenreClassifier,
    MidiGenreObjective,
    fitting_temperature,
    phrase_validation,
    shipped_midi_classifiers,
)
from audiotransfer.evaluation.classifiers.midi_networks import (
    COUNTS,
    NETWORKS,
    OctaveClassifier,
    counts,
    intervals,
    rhythm,
)
from audiotransfer.midi.piano_rolls import draw, notes_of
from audiotransfer.symbolic.genre.data import genre_phrases, joined
from audiotransfer.symbolic.genre.phrases import PhraseSettings, phrases_of

C = 60
GENRES = ("jazz", "classical", "pop")


def roll(*notes: tuple[int, int, int]) -> Tensor:
    """A phrase [2, 64, 84] of notes (step, length, MIDI pitch)."""
    return torch.from_numpy(draw(np.array(notes, dtype=np.int64).reshape(-1, 3), 64))


def random_phrases(count: int, seed: int, low: int = 40, high: int = 80) -> Tensor:
    random = np.random.default_rng(seed)
    return torch.stack(
        [
            roll(
                *(
                    (int(random.integers(0, 60)), int(random.integers(1, 5)), int(pitch))
                    for pitch in random.integers(low, high, size=30)
                )
            )
            for _ in range(count)
        ]
    )


# -- counts


def test_intervals_by_hand() -> None:
    onsets = torch.stack([roll((0, 1, C), (0, 1, C + 4), (3, 1, C + 7), (40, 1, C))])[:, 0]
    found = intervals(onsets)[0]
    expected = {(0, 4): 1, (3, 7): 1, (3, 3): 1}  # the last note follows too late
    assert {(int(a), int(b) - 20): int(found[a, b]) for a, b in found.nonzero()} == expected


def test_no_interval_wraps_around_the_edges() -> None:
    corners = roll((0, 1, 24), (63, 1, 107), (0, 1, 107), (63, 1, 24))
    assert intervals(corners[None, 0]).sum() == 0


def test_rhythm_by_hand() -> None:
    # A held note that is struck again ends there; one from before the phrase has no beginning.
    notes = roll((0, 2, C), (2, 14, C), (18, 1, C + 5), (60, 4, 30))
    notes[1, :20, 80] = True
    found = rhythm(notes[None, 0], notes[None, 1])[0]
    # Lengths 2, 14, 1 and 4 are the kinds 1 (2 to 3), 6 (12 to 16), 0 (below 2) and 3 (4 to 6).
    expected = {(0, 1): 1, (2, 6): 1, (2, 0): 1, (12, 3): 1}
    assert {(int(a), int(b)): int(found[a, b]) for a, b in found.nonzero()} == expected


def test_counts_do_not_change_with_the_key() -> None:
    given = random_phrases(4, 0)
    assert counts(given).shape == (4, COUNTS)
    moved = transpose(given, torch.tensor([5, -6, 12, 1]))
    assert torch.allclose(counts(given), counts(moved), atol=1e-6)
    assert not torch.allclose(counts(given)[0], counts(given)[1], atol=1e-2)
    # Each of the five histograms has length 1; silence has none.
    assert counts(given).square().sum(dim=1).tolist() == pytest.approx([5] * 4)
    assert not counts(torch.zeros(1, 2, 64, 84)).any()


# -- networks and classifiers


def test_the_classifier_has_the_published_size() -> None:
    network = OctaveClassifier(2)
    convolutions = sum(p.numel() for p in network.parameters() if p.ndim == 4)
    assert convolutions == 12 * 64 + 4 * 64 * 128 + 2 * 128 * 256 + 8 * 256 * 512 + 7 * 512 * 2
    assert convolutions == pytest.approx(1.15e6, rel=0.01)
    assert network(random_phrases(3, 1).float()).shape == (3, 2)


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_classifier_comes_back_as_it_was_saved(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    classifier = MidiGenreClassifier(kind, GENRES, 8, 1.5, {"steps": 3})
    given = random_phrases(5, 2)
    classifier.save(tmp_path)
    again = MidiGenreClassifier.load(tmp_path)
    assert torch.equal(again.predict(given).shares, classifier.predict(given).shares)
    assert (again.genres, again.temperature, again.report) == (GENRES, 1.5, {"steps": 3})
    # A batch is judged as its phrases are one by one, and silence is nothing.
    singles = [classifier.predict(phrase[None]).shares[0] for phrase in given]
    assert torch.allclose(classifier.predict(given).shares, torch.stack(singles), atol=1e-5)
    silent = classifier.predict(torch.zeros(1, 2, 64, 84))
    assert silent.shares[0].tolist() == pytest.approx([1 / 3] * 3)


def test_a_damaged_classifier_is_refused_in_a_line(tmp_path: Path) -> None:
    MidiGenreClassifier("counts", GENRES, 4).save(tmp_path)
    weights = tmp_path / "midi-classifier.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(AudioTransferError, match="is not what") as caught:
        MidiGenreClassifier.load(tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(AudioTransferError, match="no MIDI classifier"):
        MidiGenreClassifier.load(tmp_path / "nowhere")
    with pytest.raises(AudioTransferError, match="octaves, counts"):
        MidiGenreClassifier("colours", GENRES)


def test_verdicts_among_all_and_among_two() -> None:
    found = GenreProbabilities(
        GENRES, torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [1 / 3] * 3])
    )
    assert found.is_likeliest("jazz").tolist() == [True, False, True]
    assert found.is_likeliest("classical").tolist() == [False, False, True]
    assert found.is_likeliest("classical", ("classical", "pop")).tolist() == [True, False, True]
    assert found.of("pop").tolist() == pytest.approx([0.2, 0.5, 1 / 3])
    with pytest.raises(AudioTransferError, match="polka"):
        found.is_likeliest("polka")


def test_files_of_0_1_0_are_read(tmp_path: Path) -> None:
    classifier = MidiGenreClassifier("counts", GENRES, 8, 1.5, {"steps": 3})
    classifier.save(tmp_path)
    card = json.loads((tmp_path / "midi-classifier.json").read_text())
    card = {("hearing" if key == "architecture" else key): value for key, value in card.items()}
    (tmp_path / "midi-classifier.json").unlink()
    (tmp_path / "judge.json").write_text(json.dumps(card))
    (tmp_path / "midi-classifier.safetensors").rename(tmp_path / "judge.safetensors")
    old = MidiGenreClassifier.load(tmp_path)
    assert (old.architecture, old.genres, old.report) == ("counts", GENRES, {"steps": 3})
    given = (torch.rand(3, 2, 64, 84) < 0.05).float()
    assert torch.equal(old.predict(given).shares, classifier.predict(given).shares)


def test_shipped_classifiers_know_the_genres_and_say_how_good_they_are() -> None:
    for folder in shipped_midi_classifiers().values():
        classifier = MidiGenreClassifier.load(folder)
        assert set(classifier.genres) == set(GENRES)
        assert classifier.report["test"]["balanced_accuracy"] > 0.8
        assert classifier.report["held out"]


# -- what a classifier can be believed in


class LoudOctave:
    """Hears jazz where the lowest note is below C4, else pop; as sure as it is told to be."""

    genres = ("jazz", "pop")

    def __init__(self, sure: float = 0.9) -> None:
        self.sure = sure

    def predict(self, given: Tensor) -> GenreProbabilities:
        rows = []
        for phrase in given:
            low = notes_of((phrase > 0.5).numpy())[:, 2].min(initial=200) < C
            rows.append([self.sure, 1 - self.sure] if low else [1 - self.sure, self.sure])
        return GenreProbabilities(self.genres, torch.tensor(rows, dtype=torch.float64))


LOW, HIGH = random_phrases(4, 3, 40, 60), random_phrases(4, 4, 60, 80)


def test_confusion_and_pairs_by_hand() -> None:
    given = {"jazz": torch.cat([LOW[:3], HIGH[:1]]), "pop": HIGH}
    found = midi_diagnostics.confusion(LoudOctave(), given)  # type: ignore[arg-type]
    assert found.counts.tolist() == [[3, 1], [0, 4]]
    pairs = midi_diagnostics.pair_accuracies(LoudOctave(), given)  # type: ignore[arg-type]
    assert pairs == {"jazz-pop": (3 / 4 + 1) / 2}
    # Noise of a standard deviation of 0.5 on -1 and +1 lifts few cells over the middle, of 5.0
    # nearly half of them: then all is low.
    noisy = midi_diagnostics.pair_accuracies(LoudOctave(), given, noise=5.0)  # type: ignore[arg-type]
    assert noisy == {"jazz-pop": 0.5}


def test_calibration_error_by_hand() -> None:
    given = {"jazz": torch.cat([LOW[:3], HIGH[:1]]), "pop": HIGH}
    # Sure to 0.9; right in (3/4 + 1)/2 of the cases.
    assert midi_diagnostics.calibration_error(LoudOctave(), given) == pytest.approx(0.9 - 7 / 8)  # type: ignore[arg-type]
    assert midi_diagnostics.calibration_error(LoudOctave(0.6), given) == pytest.approx(7 / 8 - 0.6)  # type: ignore[arg-type]


def test_probes_take_away_what_they_say() -> None:
    generator = torch.Generator().manual_seed(0)
    given = roll((0, 8, C), (2, 2, C + 7), (16, 4, 40), (35, 1, C))[None]
    probed = {
        name: [tuple(note) for note in notes_of(probe(given.clone(), generator)[0].numpy())]
        for name, probe in midi_diagnostics.PROBES.items()
    }
    assert probed["an octave up"] == [(0, 8, 72), (2, 2, 79), (16, 4, 52), (35, 1, 72)]
    assert probed["an octave down"] == [(0, 8, 48), (2, 2, 55), (16, 4, 28), (35, 1, 48)]
    assert probed["an eighth late"] == [(2, 8, C), (4, 2, C + 7), (18, 4, 40), (37, 1, C)]
    assert probed["on the beat"] == [(0, 8, C), (0, 4, C + 7), (16, 4, 40), (32, 4, C)]
    assert probed["without bass"] == [(0, 8, C), (2, 2, C + 7), (35, 1, C)]
    # The C is hidden while the G sounds, and comes out again after it.
    assert probed["top voice alone"] == [
        (0, 2, C), (2, 2, C + 7), (4, 4, C), (16, 4, 40), (35, 1, C),
    ]  # fmt: skip
    steps = [(begin, length) for begin, length, _ in probed["pitch classes exchanged"]]
    assert sorted(steps) == [(0, 8), (2, 2), (16, 4), (35, 1)]
    bars = {begin // 16 for begin, _, _ in probed["bars shuffled"]}
    assert len(bars) == 3
    assert set(midi_diagnostics.probes(LoudOctave(), {"jazz": LOW, "pop": HIGH})) == set(
        midi_diagnostics.PROBES
    )  # type: ignore[arg-type]


# -- learning


def test_the_objective_learns_and_says_how_well() -> None:
    torch.manual_seed(0)
    classifier = MidiGenreClassifier("octaves", ("jazz", "pop"), 4)
    objective = MidiGenreObjective(classifier, learning_rate=0.01)
    batch = {"rolls": torch.cat([LOW, HIGH]).float(), "genres": torch.tensor([0] * 4 + [1] * 4)}
    optimiser = torch.optim.Adam(classifier.network.parameters(), 0.02)
    losses: list[Tensor] = []
    for _ in range(12):
        (turn,) = objective.turns(batch, 0, torch.Generator())
        assert turn.weights == {"accuracy": 0.0}
        losses.append(turn.terms["cross_entropy"])
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    assert losses[0].item() == pytest.approx(math.log(2), rel=0.2)
    assert losses[-1] < 0.3
    figures = phrase_validation([LOW.float(), HIGH.float()])(objective)
    assert figures["score"] == 1
    assert figures["cross_entropy"] == pytest.approx(losses[-1].item(), abs=0.1)


def test_the_temperature_makes_shares_hold() -> None:
    class Loud(torch.nn.Module):
        """Says log-odds of ±4 where ±2 would be true: right in 22 of 25 cases."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, phrases: Tensor) -> Tensor:
            logit = 4 * (2 * phrases[:, 0, 0, 0] - 1)
            return torch.stack([logit, 0 * logit], dim=1)

    share = 1 / (1 + math.exp(-2))
    count = 1000
    given = []
    for right in (share, 1 - share):
        phrases = torch.zeros(count, 2, 64, 84)
        phrases[: round(right * count), 0, 0, 0] = 1
        given.append(phrases)
    assert fitting_temperature(Loud(), given) == pytest.approx(2, abs=0.06)


# -- recipes


def write_midi(path: Path, seed: int, shift: int) -> None:
    """Eight bars in four: genres differ in register and rhythm."""
    random = np.random.default_rng(seed)
    score = symusic.Score(480)
    score.time_signatures.append(symusic.TimeSignature(0, 4, 4))
    track = symusic.Track(program=0)
    for beat in range(32):
        pitch = 48 + shift + int(random.integers(12))
        track.notes.append(symusic.Note(480 * beat + 120 * (shift // 12), 240, pitch, 80))
    score.tracks.append(track)
    path.parent.mkdir(parents=True, exist_ok=True)
    score.dump_midi(path)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pieces each of three genres, the last with annotated beats."""
    folder = tmp_path_factory.mktemp("archives")
    for genre, name in enumerate(("jazz_wjd.zip", "classical_pianomidide.zip", "pop_pop909.zip")):
        for piece in range(10):
            write_midi(folder / name / f"{piece:03}.mid", 100 * genre + piece, 12 * genre)
    times = np.arange(33) / 2
    beats = {f"{n:03}_t": times for n in range(10)}
    beats |= {f"{n:03}_f": np.where(np.arange(33) % 4, 0, 2) for n in range(10)}
    np.savez(folder / "pop_pop909.zip" / "beats.npz", **beats)
    return folder


def test_parts_of_several_archives_share_no_piece(archives: Path) -> None:
    how = PhraseSettings()
    both = {"jazz_wjd.zip": how, "classical_pianomidide.zip": how}
    parts = genre_phrases({"all": both, "one": {"jazz_wjd.zip": how}}, archives)
    of_both = {part: found["all"] for part, found in parts.items()}
    pieces = {part: set(found.pieces.tolist()) for part, found in of_both.items()}
    assert not pieces["train"] & pieces["test"]
    assert not pieces["train"] & pieces["validation"]
    assert sum(len(found) for found in of_both.values()) == 2 * 10 * 2
    # A pack is divided alike whatever else there is.
    assert {n for n in pieces["test"] if n < 10} == set(parts["test"]["one"].pieces.tolist())
    whole = [phrases_of(str(archives / name), how) for name in both]
    together = joined(whole)
    assert np.array_equal(together.rolls, np.concatenate([one.rolls for one in whole]))
    assert together.pieces.max() == 19


@pytest.mark.parametrize(
    ("config", "genres"), [("midi-classifier", GENRES), ("midi-classifier-counts", ("jazz", "pop"))]
)
@pytest.mark.usefixtures("every_branch")
def test_the_configs_become_classifiers(
    config: str, genres: tuple[str, ...], archives: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    overrides = [
        f"midi_classifier.data={archives}",
        "midi_classifier.width=4",
        "midi_classifier.batch=6",
        f"midi_classifier.genres=[{','.join(genres)}]",
        "trainer.steps=2",
        "trainer.validate_every=1",
    ]
    figures = recipes.train(config, overrides, run)
    classifier = MidiGenreClassifier.load(run)
    assert classifier.genres == genres
    assert 0.2 <= classifier.temperature <= 5
    report = classifier.report
    assert report["steps"] == 2
    assert np.sum(report["test"]["confusion"]) == sum(report["phrases"]["test"].values())
    assert figures["accuracy"] == report["test"]["balanced_accuracy"]
    assert len(report["held out"]) == len(genres)
    noises = ["0.0", "0.01", "0.1", "0.2", "0.3", "0.5"] if config == "midi-classifier" else ["0.0"]
    assert list(report["pairs"]) == noises
    assert len(report["pairs"]["0.0"]) == len(genres) * (len(genres) - 1) // 2
    # The card holds only what JSON can.
    assert json.loads((run / "midi-classifier.json").read_text())["report"] == report


def test_a_classifier_needs_two_genres_that_are_there(archives: Path, tmp_path: Path) -> None:
    for genres in ("[jazz]", "[jazz,polka]"):
        overrides = [f"midi_classifier.data={archives}", f"midi_classifier.genres={genres}"]
        with pytest.raises(AudioTransferError, match="two genres or more"):
            recipes.train("midi-classifier", overrides, tmp_path)


def test_both_classifiers_learn_from_the_same_archives() -> None:
    one, other = (
        recipes.load_training(name).recipe for name in ("midi-classifier", "midi-classifier-counts")
    )
    assert one is not None
    assert other is not None
    assert one.archives == other.archives
    assert one.network != other.network
