"""MIDI as scores: the grid of sixteenths, piano rolls, phrases, and edited notes."""

from __future__ import annotations

import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import symusic
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.midi import grid as grids
from audiotransfer.midi import reading
from audiotransfer.midi.archives import contents, in_split, list_midi
from audiotransfer.midi.grid import Grid
from audiotransfer.midi.piano_rolls import beginnings, cells_of, draw, notes_of, roll_of
from audiotransfer.midi.score import note_table, parse_score, read_score, with_notes, write_score
from audiotransfer.symbolic.genre.edits import change_notes
from audiotransfer.symbolic.genre.phrases import PhraseSettings, phrases_of, split_pieces
from audiotransfer.symbolic.genre.transfer import (
    SILENCE,
    GenreTransfer,
    beats_late,
    logits_over,
    window_starts,
)

TPQ = 480
STEP = TPQ // 4
Table = NDArray[np.int64]


def make_score(
    tracks: list[list[tuple[int, int, int, int]]],
    *,
    tpq: int = TPQ,
    metres: list[tuple[int, int, int]] | None = None,
    programs: list[int] | None = None,
    drums: tuple[int, ...] = (),
) -> symusic.Score:
    """Tracks of (start, length, pitch, velocity) in ticks."""
    score = symusic.Score(tpq)
    for at, numerator, denominator in metres or []:
        score.time_signatures.append(symusic.TimeSignature(at, numerator, denominator))
    for index, notes in enumerate(tracks):
        program = (programs or [0] * len(tracks))[index]
        track = symusic.Track(f"part {index}", program, index in drums)
        for note in notes:
            track.notes.append(symusic.Note(*note))
        score.tracks.append(track)
    return score


def scale(bars: int = 4, length: int = STEP, every: int = 4) -> list[tuple[int, int, int, int]]:
    """A note on each beat (every so many steps), going up and down."""
    return [
        (step * STEP, length, 60 + 2 * (step // every % 8), 40 + step % 60)
        for step in range(0, 16 * bars, every)
    ]


def cells(rows: list[tuple[int, int, int]]) -> Table:
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


# --- MIDI


def test_a_score_comes_back_from_its_file(tmp_path: Path) -> None:
    score = make_score([scale(), [(0, 2000, 40, 77)]], metres=[(0, 3, 4)], programs=[5, 33])
    score.tempos.append(symusic.Tempo(0, 93.0))
    score.markers.append(symusic.TextMeta(10, "verse"))
    score.tracks[0].controls.append(symusic.ControlChange(5, 64, 127))
    score.tracks[1].lyrics.append(symusic.TextMeta(6, "la"))
    score.tracks[0].pitch_bends.append(symusic.PitchBend(7, 300))
    write_score(score, tmp_path / "a.mid")
    back = read_score(tmp_path / "a.mid")
    assert [(t.time, t.text) for t in back.tracks[1].lyrics] == [(6, "la")]
    assert np.array_equal(note_table(back), note_table(score))
    assert [t.program for t in back.tracks] == [5, 33]
    assert [t.name for t in back.tracks] == ["part 0", "part 1"]
    assert back.tempos[0].qpm == pytest.approx(93.0, abs=1e-3)
    assert (back.markers[0].time, back.markers[0].text) == (10, "verse")
    assert back.tracks[0].controls[0].number == 64
    assert back.tracks[0].pitch_bends[0].value == 300
    assert [p.name for p in tmp_path.iterdir()] == ["a.mid"]  # nothing partial is left


def test_a_file_is_written_over_only_when_allowed(tmp_path: Path) -> None:
    score = make_score([scale()])
    write_score(score, tmp_path / "a.mid")
    with pytest.raises(AudioTransferError, match="exists"):
        write_score(score, tmp_path / "a.mid")
    write_score(score, tmp_path / "a.mid", overwrite=True)
    with pytest.raises(AudioTransferError, match="is not a folder"):
        write_score(score, tmp_path / "gone" / "a.mid")


def midi_bytes(score: symusic.Score) -> bytes:
    return score.dumps_midi()


GOOD = midi_bytes(make_score([scale()]))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"a song, in words", "is no MIDI file"),
        (GOOD[:10], "damaged"),
        (GOOD[:32], "damaged"),
        (GOOD[:8] + b"\x00\x02\x00\x02" + GOOD[12:], "type 2"),
        (GOOD[:12] + b"\xe0\0" + GOOD[14:], "does not say how fast"),
        (GOOD[:12] + b"\x00\x00" + GOOD[14:], "division 0"),
        (midi_bytes(make_score([[]])), "no notes"),
    ],
)
def test_what_is_no_score_is_named_in_one_line(data: bytes, says: str) -> None:
    with pytest.raises(AudioTransferError, match=says) as error:
        parse_score(data, "tune.mid")
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("tune.mid ")


def test_a_file_that_is_not_there_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(AudioTransferError, match="does not exist"):
        read_score(tmp_path / "a.mid")
    with pytest.raises(AudioTransferError, match="cannot be read"):
        read_score(tmp_path)


def test_too_many_notes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_NOTES", 15)
    with pytest.raises(AudioTransferError, match="16 notes, more than 15"):
        parse_score(GOOD, "long")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_bytes_give_a_score_or_one_line(data: st.DataObject) -> None:
    broken = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 8))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    try:
        score = parse_score(bytes(broken[: data.draw(st.integers(0, len(broken)))]), "x.mid")
        grid = Grid.of(score)
    except AudioTransferError as error:
        assert "\n" not in str(error)
        return
    assert roll_of(note_table(score), grid).shape == (2, grid.steps, 84)


def test_a_coarse_resolution_is_refined_and_nothing_moves() -> None:
    score = make_score([[(0, 1, 60, 64), (1, 1, 62, 64)]], tpq=1)
    fine = parse_score(midi_bytes(score), "coarse")
    assert fine.tpq == 4
    assert note_table(fine)[:, :2].tolist() == [[0, 4], [4, 4]]


def test_tables_hold_pitched_notes_or_drums_and_go_back() -> None:
    score = make_score(
        [scale(1), [(0, 10, 36, 99)], [(0, 10, 50, 60)]], programs=[0, 0, 122], drums=(1,)
    )
    table = note_table(score)
    assert set(table[:, 4].tolist()) == {0}  # neither the drums nor the sound effect
    assert note_table(score, drums=True)[:, 2:].tolist() == [[36, 99, 1]]
    changed = with_notes(score, np.array([[7, 30, 71, 50, 0]]))
    assert note_table(changed).tolist() == [[7, 30, 71, 50, 0]]
    assert [len(t.notes) for t in changed.tracks] == [1, 1, 1]
    assert len(score.tracks[0].notes) == 4  # the score itself is as it was


# --- the grid


def test_the_grid_of_four_in_a_bar() -> None:
    grid = Grid.of(make_score([scale(2)]))
    assert grid.steps == 32
    assert grid.bars.tolist() == [0, 16, 32]
    assert grid.ticks.tolist() == list(range(0, 33 * STEP, STEP))
    assert grid.nearest([0, 59, 60, 119, 180, 32 * STEP]).tolist() == [0, 0, 1, 1, 2, 32]


@pytest.mark.parametrize(
    ("numerator", "denominator", "steps"),
    [(3, 4, 12), (6, 8, 12), (5, 4, 20), (7, 8, 14), (2, 2, 16)],
)
def test_bars_of_other_metres(numerator: int, denominator: int, steps: int) -> None:
    grid = Grid.of(make_score([scale(4)], metres=[(0, numerator, denominator)]))
    bars = -(-61 // steps)  # the last note ends on step 61
    assert grid.bars.tolist() == [steps * n for n in range(bars + 1)]


def test_metres_that_change_and_one_in_the_middle_of_a_bar() -> None:
    metres = [(0, 3, 4), (24 * STEP, 4, 4), (46 * STEP, 6, 8)]
    grid = Grid.of(make_score([scale(4)], metres=metres))
    # two of 12; one of 16 and what is left before the change; then of 12
    assert grid.bars.tolist() == [0, 12, 24, 40, 46, 58, 70]
    assert grid.ticks[46] == 46 * STEP


def test_a_metre_without_whole_sixteenths_keeps_its_bar_lines() -> None:
    grid = Grid.of(make_score([[(0, TPQ * 3, 60, 64)]], metres=[(0, 5, 32)]))
    bar = TPQ * 5 // 8
    assert np.array_equal(grid.ticks[grid.bars], bar * np.arange(6)[: len(grid.bars)])
    assert set(np.diff(grid.bars).tolist()) == {2}  # 2.5 sixteenths in two steps


def test_a_late_end_opens_no_bar_and_a_later_one_does() -> None:
    for late, bars in ((STEP // 2, 1), (STEP // 2 + 2, 2)):
        assert len(Grid.of(make_score([[(0, 16 * STEP + late, 60, 64)]])).bars) == bars + 1


def test_notes_beside_the_grid_by_one_amount_move_it_and_swing_does_not() -> None:
    beside = [(start + 40, length, pitch, v) for start, length, pitch, v in scale()]
    for notes, moved in ((beside, 40), (beside[1:], 0)):  # fifteen notes are too few to tell
        assert abs(Grid.of(make_score([notes])).ticks[0] - moved) <= STEP / 40
    assert Grid.of(make_score([beside], drums=(0,))).ticks[0] == 0
    swung = [(8 * n * STEP // 2 + (n % 2) * 2 * TPQ // 3 % TPQ, 50, 60, 64) for n in range(32)]
    assert Grid.of(make_score([swung])).ticks[0] == 0


def test_the_grid_of_annotated_beats() -> None:
    score = make_score([scale(4)])
    score.tempos.append(symusic.Tempo(0, 120.0))
    score.tempos.append(symusic.Tempo(4 * TPQ, 60.0))
    times = np.array([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 4.5])  # half a beat late, in both tempos
    flags = np.array([0, 2, 0, 0, 0, 2, 0])
    grid = Grid.of_beats(score, times, flags)
    assert grid.bars.tolist() == [0, 16]
    assert grid.ticks[::4].tolist() == [720, 1200, 1680, 2160, 2640]
    with pytest.raises(AudioTransferError, match="no bar"):
        Grid.of_beats(score, times, np.zeros(7, np.int64))


def test_a_score_of_weeks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AudioTransferError, match="cut it"):
        Grid.of(make_score([[(0, 10, 60, 64), (2_000_000_000, 10, 60, 64)]]))
    monkeypatch.setattr(grids, "MOST_STEPS", 20)
    with pytest.raises(AudioTransferError, match="more than 20"):
        Grid.of(make_score([scale(2)]))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 9000), st.integers(0, 12), st.sampled_from([1, 2, 4, 8, 16, 32])),
        max_size=5,
    ),
    st.integers(1, 9000),
)
def test_any_metres_give_a_grid_that_rises_and_covers(
    metres: list[tuple[int, int, int]], end: int
) -> None:
    grid = Grid.of(make_score([[(end - 1, 1, 60, 64)]], metres=sorted(metres)))
    offset = grid.ticks[0]
    assert abs(offset) <= STEP / 2
    assert (np.diff(grid.ticks) > 0).all()
    assert grid.ticks[-1] >= end
    assert (np.diff(grid.bars) > 0).all()
    assert grid.bars[-1] == grid.steps
    assert np.array_equal(grid.nearest(grid.ticks), np.arange(grid.steps + 1))


# --- rolls


@st.composite
def note_cells(draw_value: st.DrawFn) -> Table:
    """Notes on a grid of 40 steps, of which none sounds into the next on its pitch."""
    rows = []
    for pitch in draw_value(st.lists(st.integers(24, 107), unique=True, max_size=6)):
        marks = sorted(draw_value(st.sets(st.integers(0, 40), min_size=2, max_size=10)))
        for start, stop in pairwise(marks):
            if draw_value(st.booleans()):
                rows.append((start, stop - start, pitch))
    return cells(sorted(rows, key=lambda row: (row[0], row[2])))


@settings(max_examples=80, deadline=None)
@given(note_cells())
def test_rolls_and_notes_are_each_others_inverse(notes: Table) -> None:
    roll = draw(notes, 40)
    assert np.array_equal(notes_of(roll), notes)
    assert np.array_equal(draw(notes_of(roll), 40), roll)
    assert not (roll[0] & ~roll[1]).any()


def test_repeated_notes_do_not_fuse() -> None:
    notes = cells([(0, 2, 60), (2, 2, 60), (4, 4, 60)])
    assert np.array_equal(notes_of(draw(notes, 8)), notes)


def test_rolls_that_no_score_has_are_read_too() -> None:
    roll = np.zeros((2, 8, 84), dtype=np.bool_)
    roll[1, 2:5, 10] = True  # sounds, and nothing begins
    roll[0, 6, 10] = True  # begins, and does not sound
    assert notes_of(roll).tolist() == [[2, 3, 34], [6, 1, 34]]
    assert np.argwhere(beginnings(roll)).tolist() == [[2, 10], [6, 10]]


def test_a_roll_of_ticks_rounds_and_keeps_every_note() -> None:
    score = make_score([[(STEP - 7, 3, 60, 64), (4 * STEP + 5, 2 * STEP, 108, 64), (0, 0, 24, 64)]])
    roll = roll_of(note_table(score), Grid.of(score))
    assert notes_of(roll).tolist() == [[0, 1, 24], [1, 1, 60]]  # 108 has no row


# --- packs and phrases


def write_pack(folder: Path, pieces: dict[str, symusic.Score], *, zipped: bool = False) -> str:
    for name, score in pieces.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(midi_bytes(score))
    if not zipped:
        return str(folder)
    place = folder.with_suffix(".zip")
    with zipfile.ZipFile(place, "w") as archive:
        for name in pieces:
            archive.write(folder / name, f"{folder.name}/{name}")
    return str(place)


def test_archives_are_folders_or_zips(tmp_path: Path) -> None:
    pieces = {"b/two.mid": make_score([scale(1)]), "one.MIDI": make_score([scale(2)])}
    folder = write_pack(tmp_path / "scores", pieces)
    packed = write_pack(tmp_path / "packed", pieces, zipped=True)
    assert list_midi(folder) == ("b/two.mid", "one.MIDI")
    assert list_midi(packed) == ("packed/b/two.mid", "packed/one.MIDI")
    assert dict(contents(folder, ["one.MIDI"])) == {"one.MIDI": midi_bytes(pieces["one.MIDI"])}
    assert [d for _, d in contents(packed, list_midi(packed))] == [
        d for _, d in contents(folder, list_midi(folder))
    ]
    for place, name in ((folder, "gone.mid"), (packed, "gone.mid")):
        with pytest.raises(AudioTransferError, match="cannot be read"):
            list(contents(place, [name]))
    with pytest.raises(AudioTransferError, match="do not exist"):
        list_midi(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(AudioTransferError, match="no MIDI"):
        list_midi(str(tmp_path / "empty"))


def test_a_split_of_an_archive_holds_each_score_once() -> None:
    names = tuple(f"{n}.mid" for n in range(20))
    test, train = (in_split(names, split, 0.2) for split in ("test", "train"))
    assert len(test) == 4
    assert sorted(test + train) == sorted(names)


@pytest.fixture
def pieces(tmp_path: Path) -> str:
    long = scale(10)
    return write_pack(
        tmp_path / "pieces",
        {
            "four.mid": make_score([long, [(0, 100, 36, 99)]], metres=[(0, 4, 4)], drums=(1,)),
            "late.mid": make_score([[n for n in long if n[0] >= 16 * STEP]]),
            "symphony.mid": make_score([long], metres=[(0, 4, 4)]),
            "three.mid": make_score([long], metres=[(0, 3, 4)]),
            "turns.mid": make_score([long], metres=[(0, 3, 4), (24 * STEP, 2, 4)]),
        },
    )


def counts(place: str, **changes: object) -> dict[str, int]:
    found = phrases_of(place, PhraseSettings(**changes))  # type: ignore[arg-type]
    assert found.rolls.shape == (len(found), 2, 64, 84)
    return {found.names[i]: n for i, n in enumerate(np.bincount(found.pieces)) if n}


def test_phrases_by_the_metre_that_files_say(pieces: str) -> None:
    # Ten bars: two phrases, and two bars left; the first phrase of `late` has three bars of notes.
    assert counts(pieces) == {"four.mid": 2, "late.mid": 2, "symphony.mid": 2}
    assert counts(pieces, from_start=True) == {"four.mid": 2, "symphony.mid": 2}
    assert counts(pieces, leave_out=["Symphon"]) == {"four.mid": 2, "late.mid": 2}
    assert counts(pieces, hop=1) == {"four.mid": 7, "late.mid": 7, "symphony.mid": 7}
    # 160 steps: 24 in three, then 17 bars of eight, of which sixteen are eight of sixteen.
    assert counts(pieces, metre="spans")["turns.mid"] == 2
    assert "three.mid" not in counts(pieces, metre="spans")
    with pytest.raises(AudioTransferError, match="metre 'waltz' is unknown"):
        counts(pieces, metre="waltz")


def test_a_phrase_is_its_bars_and_too_few_notes_make_none(pieces: str) -> None:
    found = phrases_of(pieces, PhraseSettings())
    whole = roll_of(note_table(make_score([scale(10)])), Grid.of(make_score([scale(10)])))
    assert np.array_equal(found[0], whole[:, :64])
    assert np.array_equal(found[1], whole[:, 64:128])
    assert counts(pieces, fewest_notes=13) == {"four.mid": 2, "late.mid": 1, "symphony.mid": 2}
    with pytest.raises(AudioTransferError, match="no phrase"):
        phrases_of(pieces, PhraseSettings(fewest_notes=17))


def test_phrases_of_annotated_beats(tmp_path: Path) -> None:
    # In 1/4 by its file; a quarter late on the tick grid; the first downbeat is beat 1.
    score = make_score([[(s + TPQ + 37, n, p, v) for s, n, p, v in scale(9)]], metres=[(0, 1, 4)])
    place = write_pack(tmp_path / "played", {"007.mid": score, "008.mid": score})
    times = (np.arange(38) * TPQ + 37) / TPQ / 2
    flags = np.where(np.arange(38) % 4 == 1, 2, 0)
    np.savez(tmp_path / "played" / "beats.npz", **{"007_t": times, "007_f": flags})
    found = phrases_of(place, PhraseSettings(metre="beats"))
    assert found.pieces.tolist() == [0, 0]
    straight = make_score([scale(9)])
    assert np.array_equal(found[0], roll_of(note_table(straight), Grid.of(straight))[:, :64])


def test_phrases_are_kept_and_cut_again_when_asked_otherwise(pieces: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = phrases_of(pieces, PhraseSettings(), cache)
    (kept,) = cache.iterdir()
    with np.load(kept) as stored:
        bits = stored["bits"].copy()
    np.savez(kept, bits=bits, pieces=np.zeros(len(bits), np.int64))
    again = phrases_of(pieces, PhraseSettings(), cache)
    assert np.array_equal(again.bits, first.bits)
    assert not again.pieces.any()  # it was the kept one that was read
    assert len(phrases_of(pieces, PhraseSettings(hop=2), cache)) > len(first)
    assert len(list(cache.iterdir())) == 2


def test_the_phrases_of_some_pieces(pieces: str) -> None:
    found = phrases_of(pieces, PhraseSettings())
    chosen = found.of(["late.mid", "three.mid"])
    assert {chosen.names[i] for i in chosen.pieces} == {"late.mid"}
    assert np.array_equal(chosen.rolls, found.rolls[2:4])


def test_pieces_are_split_with_those_who_play_them() -> None:
    names = [f"pack/Player{n % 12}_Tune{n}.mid" for n in range(60)]
    split = split_pieces(names, seed=3)
    who = {}
    for name, part in split.items():
        who.setdefault(name.split("_")[0], set()).add(part)
    assert all(len(parts) == 1 for parts in who.values())
    held = [list(split.values()).count(part) for part in ("validation", "test")]
    assert held == [5, 5]
    assert split_pieces(names, seed=3) == split != split_pieces(names, seed=4)
    apart = split_pieces(names, seed=3, together=False)
    assert list(apart.values()).count("test") == 6


def test_names_tell_who_plays_only_where_they_tell_some_apart() -> None:
    folders = [f"p/{who}/{n}.mid" for who in ("Bach", "Haydn", "Bizet") for n in range(5)]
    parts = split_pieces(folders, {"test": 0.34})
    assert len({parts[n] for n in folders[:5]}) == 1
    prefix = [f"d_{n}.mid" for n in range(20)]
    assert sorted(split_pieces(prefix, {"test": 0.1}).values()).count("test") == 2
    own = ["p/train/a.mid", "p/train/b.mid", "p/valid/c.mid", "p/test/d.mid"]
    assert list(split_pieces(own).values()) == ["train", "train", "validation", "test"]


# --- windows


class Toy:
    """Gives logits that a function makes of the roll: a network's promise without a network."""

    def __init__(self, rule, channels: int = 2) -> None:
        self.rule, self.channels = rule, channels
        self.genres = ("jazz", "pop")
        self.seen: list[Tensor] = []

    def __call__(self, roll: Tensor, target: Tensor) -> Tensor:
        self.seen.append(roll)
        return self.rule(roll)


def same(roll: Tensor) -> Tensor:
    return 8.0 * roll - 4.0


@pytest.mark.parametrize("bar", [16, 12, 20, 10, 40, 7])
@pytest.mark.parametrize("bars", [1, 2, 9])
def test_windows_begin_on_bars_and_cover_everything(bar: int, bars: int) -> None:
    lines = np.arange(bars + 1) * bar
    starts = window_starts(lines)
    assert starts[0] == 0
    assert starts[-1] + 64 >= lines[-1]
    assert all(0 < b - a <= 32 for a, b in pairwise(starts))
    if bar <= 32:
        assert set(starts) <= set(lines.tolist())


@pytest.mark.parametrize("channels", [1, 2])
def test_windows_of_a_rule_for_cells_are_the_rule(channels: int) -> None:
    score = make_score([scale(11)], metres=[(0, 5, 4)])
    grid = Grid.of(score)
    roll = roll_of(note_table(score), grid)
    told: list[float] = []
    logits = logits_over(Toy(same, channels), roll, grid.bars, 0, torch.device("cpu"), told.append)
    assert logits.shape == (channels, grid.steps, 84)
    assert np.allclose(logits, same(torch.from_numpy(roll[-channels:]).float()), atol=1e-5)
    assert told[-1] == 1.0


def test_windows_are_cross_faded_and_silent_ones_passed_over() -> None:
    score = make_score([[(0, STEP, 60, 64), (40 * 16 * STEP, STEP, 60, 64)]])
    grid = Grid.of(score)
    count = iter(range(100))
    network = Toy(lambda roll: torch.stack([torch.full(r.shape, next(count) * 1.0) for r in roll]))
    roll = roll_of(note_table(score), grid)
    roll[:, 40, 3] = True  # sounds in the first window and in the second
    logits = logits_over(network, roll, grid.bars, 0, torch.device("cpu"))
    assert sum(len(batch) for batch in network.seen) == 3
    assert np.allclose(logits[0, :32], 0)
    assert np.allclose(logits[0, 32:64, 0], (np.arange(32) + 0.5) / 32)
    assert np.allclose(logits[0, 128:192], SILENCE)


@pytest.mark.parametrize("late", [0, 1, 2, 3])
def test_windows_begin_with_a_beat_wherever_the_bars_are(late: int) -> None:
    """A network that plays on the first step of each beat of its windows plays on the beats."""
    half_notes = [((late + 8 * n) * STEP, 8 * STEP, 60, 64) for n in range(20)]
    offbeats = [((late + 2 + 8 * n) * STEP, STEP, 72, 64) for n in range(20)]
    score = make_score([half_notes + offbeats])
    grid = Grid.of(score)
    roll = roll_of(note_table(score), grid)
    assert beats_late(roll, grid.bars) == late
    on_beats = torch.where(torch.arange(64) % 4 == 0, 1.0, -1.0)[:, None]
    network = Toy(lambda roll: on_beats.expand_as(roll))
    logits = logits_over(network, roll, grid.bars, 0, torch.device("cpu"))
    assert logits.shape == (2, grid.steps, 84)
    assert set(np.flatnonzero(logits[0, :, 0] > 0) % 4) == {late}
    assert not (logits == SILENCE).any()


def test_beats_are_where_the_bars_say_unless_notes_clearly_contradict() -> None:
    roll = np.zeros((2, 48, 84), dtype=bool)
    assert beats_late(roll, np.array([0, 16, 32, 48])) == 0
    roll[:, 0:4, 40] = True  # four steps on a beat
    roll[:, 6:12, 40] = True  # six beside one
    roll[1, 7:12, 40] = True
    roll[0, [1, 2, 3, *range(7, 12)], 40] = False
    assert beats_late(roll, np.array([0, 16, 32, 48])) == 0
    roll[1, 12, 40] = True
    assert beats_late(roll, np.array([0, 16, 32, 48])) == 2
    assert beats_late(roll, np.array([0, 6, 12, 18, 24, 30, 36, 42, 48])) == 0


# --- notes changed


def transfer(score: symusic.Score, rule, strength: float = 1.0, channels: int = 2) -> Table:
    grid = Grid.of(score)
    return GenreTransfer(Toy(rule, channels), "pop", "cpu")(note_table(score), grid, strength)


def duet() -> symusic.Score:
    """A melody, swung and soft, over a bass, loud and straight; a note that no roll holds."""
    melody = [(4 * n * STEP + 17 * (n % 2), 3 * STEP - 5, 72 + n % 5, 50 + n) for n in range(16)]
    bass = [(8 * n * STEP, 8 * STEP, 40 + n % 3, 110) for n in range(8)]
    return make_score([melody, [*bass, (0, STEP, 12, 90)]], programs=[65, 32])


@pytest.mark.parametrize("channels", [1, 2])
def test_a_network_that_changes_nothing_changes_nothing(channels: int) -> None:
    score = duet()
    assert np.array_equal(transfer(score, same, channels=channels), note_table(score))


@pytest.mark.parametrize("channels", [1, 2])
def test_repeated_notes_survive_a_network(channels: int) -> None:
    score = make_score([[(n * STEP, STEP, 60, 64) for n in range(32)]])
    assert len(transfer(score, same, channels=channels)) == 32


def test_strength_zero_asks_no_network() -> None:
    score = duet()
    network = Toy(same)
    table = GenreTransfer(network, "jazz", "cpu")(note_table(score), Grid.of(score), 0.0)
    assert np.array_equal(table, note_table(score))
    assert not network.seen


def up_a_third(roll: Tensor) -> Tensor:
    """Everything four semitones up."""
    return same(torch.cat([torch.zeros_like(roll[..., :4]), roll[..., :-4]], dim=-1))


def test_new_notes_go_to_who_plays_nearest() -> None:
    score = duet()
    before, after = note_table(score), transfer(score, up_a_third)
    assert after[after[:, 2] == 12].tolist() == before[before[:, 2] == 12].tolist()
    before, after = before[before[:, 2] > 20], after[after[:, 2] > 20]
    last = before[:, 0] + before[:, 1] == 64 * STEP
    kept = (after[:, None] == before[last]).all(axis=2).any(axis=1)
    assert kept.sum() == last.sum() == 1
    after = after[~kept]
    for track in (0, 1):
        old, new = before[before[:, 4] == track], after[after[:, 4] == track]
        assert np.array_equal(new[:, 2], old[:, 2] + 4)
        assert np.array_equal(new[:, 0], old[:, 0])  # late where the others were late
    assert set(after[after[:, 4] == 1, 3].tolist()) == {110}
    assert set(after[after[:, 4] == 0, 3].tolist()) <= set(range(50, 66))


def test_new_notes_swing_where_nobody_plays_at_the_moment() -> None:
    late = STEP // 3  # the third sixteenth of each beat; a beat is left out
    places = [(n, 0) for n in range(0, 64, 4)] + [(n, late) for n in range(2, 64, 4) if n != 30]
    score = make_score([[(n * STEP + at, STEP, 60, 64) for n, at in sorted(places)]])

    def filled(roll: Tensor) -> Tensor:
        logits = same(roll)
        logits[:, 0, 30, 40] = logits[:, 1, 30:32, 40] = 4.0
        logits[:, :, 29, 44] = 4.0
        return logits

    new = transfer(score, filled)
    assert new[new[:, 2] == 64, :2].tolist() == [[30 * STEP + late, 2 * STEP - late]]
    assert new[new[:, 2] == 68, :2].tolist() == [[29 * STEP, STEP + late]]


def test_what_sounds_last_stays_and_with_it_the_bars() -> None:
    score = make_score([[(0, STEP, 50, 64), (8 * STEP, 60 * STEP, 60, 64), (0, STEP, 24, 64)]])

    def repeated(roll: Tensor) -> Tensor:
        logits = torch.full_like(roll, -4.0)
        logits[:, :, 20:22, 36] = 4.0
        logits[:, :, 20:22, 38] = 4.0
        return logits

    after = transfer(score, repeated)
    assert [8 * STEP, 60 * STEP, 60, 64, 0] in after.tolist()
    # In every window two keys are struck, but not the one that is held.
    assert set(after[:, 2].tolist()) == {60, 62}
    assert (after[:, 2] == 60).sum() == 1


def test_what_is_shortened_keeps_its_beginning_and_its_gap() -> None:
    score = make_score([[(9, 8 * STEP - 30, 60, 64), (9 * STEP, STEP, 40, 64)]])

    def shorter(roll: Tensor) -> Tensor:
        logits = same(roll)
        logits[:, :, 5:] = -4.0
        return logits

    (start, length, pitch, velocity, track), _ = transfer(score, shorter).tolist()
    assert (start, pitch, velocity, track) == (9, 60, 64, 0)
    assert start + length == 5 * STEP - 21


def test_nothing_is_invented_where_nobody_plays() -> None:
    score = make_score([[(0, STEP, 60, 64), (64 * STEP, STEP, 60, 64)]])

    def everywhere(roll: Tensor) -> Tensor:
        logits = torch.full_like(roll, -4.0)
        logits[..., 30] = 4.0
        return logits

    steps = transfer(score, everywhere)[:, 0] // STEP
    assert set(steps.tolist()) == {*range(9), *range(56, 73)}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2]), st.booleans())
def test_strength_is_the_share_of_changes_and_grows(seed: int, channels: int, dense: bool) -> None:
    random = np.random.default_rng(seed)
    onsets = np.sort(random.integers(0, 90, 60)) * STEP + random.integers(-30, 30, 60)
    rows = zip(
        np.maximum(onsets, 0).tolist(),
        random.integers(0, 9 * STEP, 60).tolist(),
        random.integers(15, 115, 60).tolist(),
        random.integers(1, 128, 60).tolist(),
        strict=True,
    )
    notes = list(rows)
    score = make_score([notes[::2], notes[1::2]])
    table, grid = note_table(score), Grid.of(score)
    logits = random.normal(-4 if dense else -7, 3, (channels, grid.steps, 84)).astype(np.float32)
    plain = {tuple(row) for row in table.tolist()}
    changes, amounts = [], []
    for strength in (0.0, 0.25, 0.5, 1.0):
        after = change_notes(table, grid, logits, strength)
        outside = table[(table[:, 2] < 24) | (table[:, 2] > 107)].tolist()
        assert [row for row in after.tolist() if row[2] < 24 or row[2] > 107] == outside
        assert (after[:, 1] > 0).all() or strength == 0.0 or (table[:, 1] == 0).any()
        assert after[:, 0].min() >= 0
        here = {tuple(row) for row in after.tolist()}
        changes.append(here)
        amounts.append(len(plain - here) + len(here - plain))
    assert changes[0] == plain
    assert amounts == sorted(amounts)
    if amounts[-1] > 40:
        assert 0.35 < amounts[2] / amounts[-1] < 0.65


def test_notes_that_were_changed_do_not_sound_into_the_next() -> None:
    random = np.random.default_rng(1)
    score = duet()
    grid = Grid.of(score)
    logits = random.normal(-2, 3, (2, grid.steps, 84)).astype(np.float32)
    after = change_notes(note_table(score), grid, logits)
    order = after[np.lexsort((after[:, 0], after[:, 2], after[:, 4]))]
    together = (np.diff(order[:, 2]) == 0) & (np.diff(order[:, 4]) == 0)
    assert together.any()
    assert (order[:-1, 0] + order[:-1, 1] <= order[1:, 0])[together].all()


def test_a_genre_that_a_network_cannot_give() -> None:
    with pytest.raises(AudioTransferError, match="cannot give the genre 'polka': jazz, pop"):
        GenreTransfer(Toy(same), "polka", "cpu")


def test_a_higher_threshold_gives_fewer_notes() -> None:
    score = duet()
    grid = Grid.of(score)

    def noise(roll: Tensor) -> Tensor:
        return 3 * torch.randn(roll.shape, generator=torch.Generator().manual_seed(3)) - 2

    found = [
        len(GenreTransfer(Toy(noise), "pop", "cpu", threshold)(note_table(score), grid))
        for threshold in (0.0, 2.0, 4.0)
    ]
    assert found[0] > found[1] > found[2]


def test_cells_never_pass_the_end() -> None:
    score = make_score([[(16 * STEP - 1, 10, 60, 64)]])
    grid = Grid.of(score)
    assert cells_of(note_table(score), grid).tolist() == [[15, 1, 60]]
