"""Metrics of MIDI: figures by hand, baselines, and laws of the transfer strength."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.baselines.midi import (
    RandomPhrases,
    Retrieval,
    Scattered,
    Transposed,
    do_nothing,
    transpose,
)
from audiotransfer.evaluation.classifiers.midi_genre import GenreProbabilities
from audiotransfer.evaluation.metrics import midi
from audiotransfer.evaluation.metrics.midi_transfer import (
    References,
    TransferredPhrases,
    figures,
    pair_figures,
    strengths,
    transfer_there_and_back,
)
from audiotransfer.evaluation.report.statistics import Interval, bootstrap, resampled_means
from audiotransfer.midi.piano_rolls import draw, notes_of

C, E, F_SHARP, G = 60, 64, 66, 67


def roll(*notes: tuple[int, int, int], steps: int = 64) -> Tensor:
    """A phrase [2, S, 84] of notes (step, length, MIDI pitch)."""
    return torch.from_numpy(draw(np.array(notes, dtype=np.int64).reshape(-1, 3), steps))


def phrases(*rolls: Tensor) -> Tensor:
    return torch.stack(rolls)


SILENCE = roll()


def random_phrases(count: int, seed: int, density: float = 0.02, low: int = 48) -> Tensor:
    """Phrases of quarter notes within two octaves from ``low``."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        cells = np.argwhere(random.random((16, 24)) < 4 * density)
        found.append(roll(*((4 * int(step), 4, low + int(pitch)) for step, pitch in cells)))
    return torch.stack(found)


# -- content


def test_chroma_counts_what_sounds_over_two_beats_every_beat() -> None:
    found = midi.chroma(roll((0, 4, C), (0, 8, C + 12), (12, 4, G), steps=16))
    assert found.shape == (3, 12)
    assert found[0].tolist() == [12 / 8, *[0] * 11]
    assert found[1].tolist() == [4 / 8, *[0] * 11]  # the upper C sounds for four steps of it
    assert found[2].tolist() == [0] * 7 + [4 / 8] + [0] * 4


def test_a_scrap_of_a_roll_has_one_window() -> None:
    found = midi.chroma(roll((0, 2, C), steps=2))
    assert found.shape == (1, 12)
    assert found[0, 0] == 2 / 8


def test_content_is_the_mean_cosine_where_anything_sounds() -> None:
    # Two windows, bars of two beats: C against C, and C against C with E.
    source = roll((0, 8, C), steps=8)
    both = roll((0, 8, C), (0, 8, E), steps=8)
    assert midi.content(source, source) == pytest.approx(1)
    assert midi.content(source, both) == pytest.approx(1 / math.sqrt(2))
    assert midi.content(source, roll((0, 8, G), steps=8)) == 0
    # A window that is silent on one side counts as unlike, on both sides not at all.
    half = roll((0, 4, C), steps=16)
    assert midi.content(half, half) == pytest.approx(1)
    assert midi.content(half, roll(steps=16)) == 0
    assert midi.content(roll(steps=16), roll(steps=16)).isnan()
    # Windows at beats 0, 1 and 2: C|C+G, then C|C+G halves of it, then silence|G.
    other = roll((0, 8, C), (8, 8, G), steps=16)
    first = roll((0, 8, C), steps=16)
    windows = [1.0, 4 / math.hypot(4, 4), 0.0]
    assert midi.content(first, other) == pytest.approx(np.mean(windows))


def test_centred_content_of_one_class_against_another() -> None:
    # A unit vector less its mean: squared length 1 - 1/12, product of two of them -1/12.
    source, other = roll((0, 8, C), steps=8), roll((0, 8, G), steps=8)
    assert midi.centred_content(source, source) == pytest.approx(1)
    assert midi.centred_content(source, other) == pytest.approx(-1 / 11)
    cluster = roll(*((0, 8, C + n) for n in range(12)), steps=8)
    assert midi.centred_content(source, cluster) == pytest.approx(0, abs=1e-6)
    assert midi.content(source, cluster) == pytest.approx(1 / math.sqrt(12))


def test_content_forgets_the_octave_and_not_the_key() -> None:
    given = random_phrases(3, 0)
    octave, tritone = (transpose(given, torch.full((3,), n)) for n in (12, 6))
    assert midi.content(given, octave).tolist() == pytest.approx([1] * 3)
    assert (midi.centred_content(given, tritone) < 0.5).all()


def test_measures_take_batches_and_whole_songs_alike() -> None:
    one, two = random_phrases(2, 1), random_phrases(2, 2)
    for measure in (midi.content, midi.centred_content, midi.note_f1):
        singles = [measure(a, b).item() for a, b in zip(one, two, strict=True)]
        assert measure(one, two).tolist() == pytest.approx(singles)


# -- notes


def test_note_f1_by_hand() -> None:
    source = roll((0, 4, C), (4, 4, E), (8, 4, G))
    # The same C (another length), E late by a step, no G.
    output = roll((0, 2, C), (5, 4, E))
    assert midi.note_f1(source, output) == pytest.approx(2 / 5)
    assert midi.note_f1(source, source) == 1
    assert midi.note_f1(source, SILENCE) == 0
    assert midi.note_f1(SILENCE, SILENCE).isnan()


def test_density_ratio_by_hand() -> None:
    source = roll((0, 4, C), (4, 4, C))
    assert midi.density_ratio(source, roll((0, 4, C), (4, 4, C), (8, 4, C))) == 1.5
    assert midi.density_ratio(source, SILENCE) == 0
    assert midi.density_ratio(SILENCE, source).isnan()


def test_empty_bars_by_hand() -> None:
    assert midi.empty_bar_rate(SILENCE) == 1
    assert midi.empty_bar_rate(roll((0, 16, C), (33, 1, C))) == 0.5
    held = roll((0, 64, C))  # one note, no bar is empty
    assert midi.empty_bar_rate(held) == 0
    assert midi.empty_bar_rate(roll((0, 1, C), steps=40)) == 0.5
    with pytest.raises(AudioTransferError, match="no bar"):
        midi.empty_bar_rate(roll(steps=15))


def test_spread_is_the_mean_distance_of_all_pairs() -> None:
    given = random_phrases(5, 3)
    cells = given[:, 1].flatten(1)
    pairs = [
        (cells[i] != cells[j]).float().mean().item() for i in range(5) for j in range(i + 1, 5)
    ]
    assert midi.spread(given) == pytest.approx(np.mean(pairs))
    assert midi.spread(given[:1].expand(4, -1, -1, -1)) == 0
    with pytest.raises(AudioTransferError, match="two or more"):
        midi.spread(given[:1])


def test_copies_are_found_in_any_key_and_note_by_note() -> None:
    known = random_phrases(3, 4)
    moved = transpose(known, torch.tensor([5, -3, 0]))
    assert midi.copies(moved, known).tolist() == [True] * 3
    changed = moved.clone()
    changed[0, 0] = 0  # the same sounds, begun elsewhere
    changed[1] = roll((0, 4, C))
    changed[2] = 0
    assert midi.copies(changed, known).tolist() == [False] * 3
    assert not midi.copies(SILENCE[None], SILENCE[None]).any()


# -- statistics


def test_groups_are_drawn_whole() -> None:
    # Two songs, one of a phrase and one of three: a resample's mean is 0, 3/4, or 1.
    means = resampled_means([0, 1, 1, 1], [7, 9, 9, 9], resamples=400)
    assert set(means.round(6)) == {0.0, 0.75, 1.0}
    assert np.mean(means == 0.75) == pytest.approx(0.5, abs=0.1)
    alone = bootstrap([0.0, 1.0, 2.0, 5.0])
    assert bootstrap([0.0, 1.0, 2.0, 5.0], [3, 1, 2, 0]).mean == alone.mean
    found = bootstrap([math.nan, 1.0, 3.0], [0, 1, 1])
    assert (found.mean, found.low, found.high, found.count) == (2, 2, 2, 2)


# -- baselines


def test_doing_nothing_and_transposing() -> None:
    given = random_phrases(40, 5)
    assert torch.equal(do_nothing(given, "pop"), given)
    moved = Transposed(seed=1)(given, "pop")
    assert torch.equal(midi.note_counts(moved), midi.note_counts(given))
    shifts = {
        int(notes_of(after.numpy())[:, 2].min() - notes_of(before.numpy())[:, 2].min())
        for before, after in zip(given, moved, strict=True)
    }
    assert 0 not in shifts
    assert shifts <= set(range(-6, 7))
    assert min(shifts) < 0 < max(shifts)


def test_what_is_transposed_out_of_range_is_lost() -> None:
    edges = phrases(roll((0, 4, 24), (0, 4, C), (0, 4, 107)))
    up, down = (transpose(edges, torch.tensor([n]))[0] for n in (1, -1))
    assert notes_of(up.numpy())[:, 2].tolist() == [25, C + 1]
    assert notes_of(down.numpy())[:, 2].tolist() == [C - 1, 106]


def test_random_phrases_use_every_one_before_any_twice() -> None:
    pool = random_phrases(5, 6)
    drawn = RandomPhrases({"pop": pool}, seed=2)(random_phrases(10, 7), "pop")
    places = [next(i for i, p in enumerate(pool) if torch.equal(p, found)) for found in drawn]
    assert sorted(places[:5]) == sorted(places[5:]) == list(range(5))


def test_retrieval_finds_the_phrase_of_the_same_harmony() -> None:
    pool = random_phrases(30, 8)
    wanted = torch.tensor([4, 17])
    octave = transpose(pool[wanted], torch.full((2,), 12))
    assert torch.equal(Retrieval({"pop": pool})(octave, "pop"), pool[wanted])


def test_scattered_notes_are_as_many_and_stay_in_range() -> None:
    given = torch.cat([random_phrases(6, 9), SILENCE[None]])
    out = Scattered(seed=3)(given, "pop")
    # Notes may run into each other on one pitch, but each begins for itself.
    assert torch.equal(midi.note_counts(out), midi.note_counts(given))
    assert midi.note_f1(given[:6], out[:6]).max() < 0.5
    for before, after in zip(given[:6], out[:6], strict=True):
        pitches = notes_of(before.numpy())[:, 2]
        found = notes_of(after.numpy())[:, 2]
        assert pitches.min() <= found.min()
        assert found.max() <= pitches.max()
    assert not out[6].any()


# -- strength


class Classifier:
    """Hears low phrases as jazz, high ones as pop, by their lowest note; silence as both."""

    def predict(self, given: Tensor) -> GenreProbabilities:
        rows = []
        for phrase in given:
            notes = notes_of(phrase.bool().numpy())
            jazz = 0.5 if not len(notes) else 0.9 if notes[:, 2].min() < C else 0.2
            rows.append([jazz, 1 - jazz])
        return GenreProbabilities(("jazz", "pop"), torch.tensor(rows, dtype=torch.float64))


def octave(given: Tensor, genre: str) -> Tensor:
    """A perfect transfer to Classifier's mind: pop is two octaves higher."""
    return transpose(given, torch.full((len(given),), 24 if genre == "pop" else -24))


JAZZ, POP = random_phrases(6, 10), random_phrases(6, 11, low=72)
CLASSIFIERS: Any = {"toy": Classifier()}


def test_strength_is_the_published_formula() -> None:
    high, low = roll((0, 4, C + 12)), roll((0, 4, C - 12))
    # Four phrases of jazz, of which three are heard so (3/4); one is afterwards (1/4); two again.
    way = TransferredPhrases(
        "jazz",
        "pop",
        phrases(low, low, low, high),
        phrases(high, high, low, high),
        phrases(low, high, low, high),
    )
    classifier = Classifier()
    predicted = [classifier.predict(given) for given in (way.phrases, way.outputs, way.back)]
    expected = ((3 / 4 - 1 / 4) + (2 / 4 - 1 / 4)) / 2
    assert strengths(way, *predicted).mean() == pytest.approx(expected)
    # With no way back the first half is all there is.
    assert strengths(way, *predicted[:2]).mean() == pytest.approx(3 / 4 - 1 / 4)


def test_silence_wins_nothing() -> None:
    found = pair_figures(
        lambda given, _: torch.zeros_like(given),
        {"jazz": JAZZ, "pop": POP},
        ("jazz", "pop"),
        CLASSIFIERS,
    )
    assert found["S toy"] == 0
    assert found["empty bars"] == 1
    assert found["centred content"] == found["density ratio"] == found["diversity"] == 0
    assert found["style"] == found["target rate toy"] == found["H"] == 0


def test_a_perfect_transfer_and_doing_nothing() -> None:
    real = {"jazz": JAZZ, "pop": POP}
    best = pair_figures(octave, real, ("jazz", "pop"), CLASSIFIERS)
    for name in (
        "S toy",
        "target rate toy",
        "content",
        "centred content",
        "style",
        "H",
    ):
        assert best[name] == pytest.approx(1), name
    assert best["density ratio"] == 1
    assert best["jazz>pop S toy"] == best["pop>jazz S toy"] == 1
    nothing = pair_figures(do_nothing, real, ("jazz", "pop"), CLASSIFIERS)
    assert nothing["S toy"] == nothing["style"] == nothing["H"] == nothing["target rate toy"] == 0
    assert nothing["note F1"] == 1
    assert nothing["content"] == pytest.approx(1)
    random = pair_figures(RandomPhrases(real), real, ("jazz", "pop"), CLASSIFIERS)
    assert random["S toy"] == random["style"] == random["diversity"] == 1
    assert random["H"] == pytest.approx(0, abs=1e-6)


def test_density_is_of_all_notes_together() -> None:
    sparse, dense = roll((0, 4, C)), roll(*((4 * n, 4, C) for n in range(9)))
    way = TransferredPhrases("jazz", "pop", phrases(sparse, dense), phrases(dense, dense))
    found = figures(way, References(CLASSIFIERS, {"pop": POP}))["density ratio"]
    assert isinstance(found, Interval)
    assert found.mean == pytest.approx(18 / 10)


def test_copies_are_looked_for_among_what_was_trained_on() -> None:
    references = References(CLASSIFIERS, {"pop": POP}, {"pop": torch.cat([POP[:2], JAZZ])})
    way = transfer_there_and_back(
        lambda given, genre: POP if genre == "pop" else JAZZ, JAZZ, "jazz", "pop"
    )
    found = figures(way, references)["copies"]
    assert isinstance(found, Interval)
    assert found.mean == pytest.approx(2 / 6)


def test_intervals_are_over_pieces() -> None:
    out = torch.cat([octave(JAZZ[:3], "pop"), JAZZ[3:]])
    alone = TransferredPhrases("jazz", "pop", JAZZ, out)
    grouped = TransferredPhrases("jazz", "pop", JAZZ, out, None, [0, 0, 0, 1, 1, 1])
    references = References(CLASSIFIERS, {"pop": POP})
    one, two = (figures(way, references)["S toy"] for way in (alone, grouped))
    assert isinstance(one, Interval)
    assert isinstance(two, Interval)
    assert one.mean == two.mean == 0.5
    assert (two.low, two.high) == (0, 1)
    assert one.low > 0
    assert one.high < 1
