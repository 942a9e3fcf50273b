"""MIDI files edited message by message: preserved messages, damaged files, errors."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from audiotransfer import midi
from audiotransfer.cli import batch as cli_batch
from audiotransfer.data.rendering.arrangement import arrangement_of
from audiotransfer.errors import AudioTransferError
from audiotransfer.midi import reading
from audiotransfer.midi import score as scores
from audiotransfer.midi.new_tracks import NewTrack, with_tracks
from audiotransfer.midi.new_tracks import without_notes as without_any_notes
from audiotransfer.midi.retiming import begun_later, in_quarters
from audiotransfer.midi.score import edited, note_table, parse_score, score_of, with_notes
from audiotransfer.pipeline.midi_drums import DrumOptions, humanise_file
from audiotransfer.pipeline.midi_options import MidiOptions
from audiotransfer.pipeline.midi_output import render_midi
from audiotransfer.pipeline.midi_transfer import MidiReport, transfer_midi
from audiotransfer.pipeline.options import StemChoice
from audiotransfer.styles import Card, Style

Track = list[tuple[int, bytes]]
END = b"\xff\x2f"


# --- writing and reading of our own, apart from the package's


def number(value: int) -> bytes:
    assert value >= 0
    found = bytes([value & 0x7F])
    while value := value >> 7:
        found = bytes([value & 0x7F | 0x80]) + found
    return found


def on_the_wire(message: bytes) -> bytes:
    head = {0xFF: 2, 0xF0: 1, 0xF7: 1}.get(message[0], len(message))
    length = number(len(message) - head) if message[0] in (0xFF, 0xF0, 0xF7) else b""
    return message[:head] + length + message[head:]


def chunk(name: bytes, data: bytes, size: int | None = None) -> bytes:
    return name + struct.pack(">I", len(data) if size is None else size) + data


def track_bytes(track: Track) -> bytes:
    now, found = 0, b""
    for tick, message in track:
        found += number(tick - now) + on_the_wire(message)
        now = tick
    return found


def smf(tracks: list[Track], kind: int | None = None, division: int = 480) -> bytes:
    kind = min(1, len(tracks) - 1) if kind is None else kind
    head = chunk(b"MThd", struct.pack(">HHH", kind, len(tracks), division))
    return head + b"".join(chunk(b"MTrk", track_bytes(track)) for track in tracks)


def decoded(data: bytes) -> tuple[int, int, list[Track]]:
    """Kind, division and tracks of a file in which nothing is wrong: anything else fails."""
    assert data[:8] == b"MThd\0\0\0\6"
    kind, count, division = struct.unpack(">HHH", data[8:14])
    tracks, at = [], 14
    for _ in range(count):
        assert data[at : at + 4] == b"MTrk"
        end = at + 8 + struct.unpack(">I", data[at + 4 : at + 8])[0]
        at += 8
        tick, status, track = 0, 0, []

        def value() -> int:
            nonlocal at
            found = 0
            while True:
                found = found << 7 | data[at] & 0x7F
                at += 1
                if data[at - 1] < 0x80:
                    return found

        while at < end:
            tick += value()
            if data[at] >= 0x80:
                status = data[at]
                at += 1
            assert status >= 0x80
            if status in (0xFF, 0xF0, 0xF7):
                head = bytes([status]) + (data[at : at + 1] if status == 0xFF else b"")
                at += len(head) - 1
                size = value()
                track.append((tick, head + data[at : at + size]))
                status = 0  # metas and system exclusive end running status
            else:
                size = {0xF1: 1, 0xF2: 2, 0xF3: 1}.get(status, 0 if status > 0xF0 else 2)
                size = 1 if status & 0xE0 == 0xC0 else size
                assert max(data[at : at + size], default=0) < 0x80
                track.append((tick, bytes([status]) + data[at : at + size]))
                status = 0 if status > 0xF0 else status
            at += size
        assert at == end and track[-1][1] == END and END not in [m for _, m in track[:-1]]
        tracks.append(track)
    assert at == len(data)
    return kind, division, tracks


def note(
    start: int, length: int, pitch: int, channel: int = 0, velocity: int = 80, release: int = 64
) -> Track:
    return [
        (start, bytes([0x90 | channel, pitch, velocity])),
        (start + length, bytes([0x80 | channel, pitch, release])),
    ]


def line(*pitches: int, channel: int = 0, step: int = 240) -> Track:
    return [e for n, pitch in enumerate(pitches) for e in note(n * step, step, pitch, channel)]


def ended(track: Track, silence: int = 0) -> Track:
    return [*track, (max((tick for tick, _ in track), default=0) + silence, END)]


def name(words: bytes, kind: int = 3) -> tuple[int, bytes]:
    return 0, bytes([0xFF, kind]) + words


SCALE = (60, 62, 64, 65, 67, 69, 71, 72)
TEMPO = (0, b"\xff\x51\x07\xa1\x20")
PIANO = (0, b"\xc0\0")
#: One file for each kind of thing that rebuilding a file loses.
FILES: dict[str, bytes] = {
    "everything in the conductor's track": smf(
        [
            ended([TEMPO, (0, b"\xc0\x28"), (0, b"\xb0\x07\x28"), (0, b"\xb0\x0a\0"),
                   (0, b"\xc1\x39"), (0, b"\xb1\x07\x50")]),
            ended([name(b"violin"), *line(*SCALE)]),
            ended([name(b"brass"), *line(*SCALE, channel=1)]),
        ]
    ),
    "a pedal's own track": smf(
        [
            ended([TEMPO]),
            ended(line(*SCALE)),
            ended([(240 * n, bytes([0xB0, 64, 127 * (n % 2)])) for n in range(8)]),
        ]
    ),
    "notes that nothing ends": smf(
        [ended([*line(*SCALE), (1920, b"\x90\x3c\x50"), (2400, b"\x90\x40\x50")], 960)], 1
    ),
    "names in Shift-JIS and Latin-1": smf(
        [
            ended([name("メロディ".encode("shift-jis")), name(b"\xa9 B. K\xf6nig", 2), *line(60)]),
            ended([name(b"\xff\xfe\x80 all bytes \0"), name(b"", 4), *line(64, channel=1)]),
        ]
    ),
    "karaoke": smf(
        [
            ended([name(b"@KMIDI KARAOKE FILE", 1)]),
            ended([name(b"Words"), (0, b"\xff\x01\\Hel"), (0, b"\xff\x05\\Hel"),
                   (240, b"\xff\x01lo "), (480, b"\xff\x01/w\xf6rld")]),
            ended([name(b"Melody"), *line(*SCALE)]),
        ]
    ),
    "a program change in mid-track": smf(
        [
            ended([TEMPO]),
            ended([(0, b"\xb0\x07\x1e"), (0, b"\xe0\0\x50"), PIANO, *line(60, 62),
                   (480, b"\xc0\x1e"), *note(480, 240, 64), *note(720, 240, 65)]),
        ]
    ),
    "twenty programs on one channel": smf(
        [ended([e for n in range(20) for e in ((480 * n, bytes([0xC0, 6 * n])),
                *note(480 * n, 240, 60), *note(480 * n + 240, 240, 64))])]
    ),
    "a bank before its program": smf(
        [ended([TEMPO]),
         ended([(0, b"\xb0\0\x79"), (0, b"\xb0\x20\3"), (0, b"\xc0\4"), *line(60, 62)])]
    ),
    "a pedal at the tick of a note's end": smf(
        [ended([*note(0, 480, 60), (480, b"\xb0\x40\x7f"), (720, b"\xb0\x40\0"),
                *note(720, 480, 64), (1200, b"\xb0\x40\x7f"), (1440, b"\xb0\x40\0")])]
    ),
    "aftertouch": smf(
        [ended([(0, b"\xc0\x38"), (0, b"\x90\x3c\x5a"), (240, b"\xd0\x64"), (360, b"\xa0\x3c\x50"),
                (960, b"\x80\x3c\x40")])]
    ),
    "release velocities": smf(
        [ended([*note(0, 480, 60, release=17), *note(480, 480, 62, release=3)])]
    ),
    "ends by velocity 0": smf([ended([(0, b"\x90\x3c\x5a"), (480, b"\x90\x3c\0")])]),
    "metronome clocks": smf([ended([(0, b"\xff\x58\6\3\x24\x08"), *line(60, 62)])]),
    "silence at the end": smf([ended(line(60, 62), 2880)]),
    "type 2 with one song": smf([ended([TEMPO, PIANO, *line(*SCALE)])], 2),
    "type 0 with several channels": smf(
        [ended(sorted([*line(60, 64), *line(36, 38, channel=9), *line(48, 50, channel=5)]))]
    ),
    "ports": smf(
        [ended([(0, bytes([0xFF, 0x21, port])), (0, bytes([0xC0, 10 * port])), *line(60 + port)])
         for port in range(3)]
    ),
    "system exclusive, SMPTE offset and data of sequencers": smf(
        [
            ended([(0, b"\xff\x54\x60\0\0\0\0"), (0, b"\xff\x7f\0\0\x41\x99"), (0, b"\xff\0\0\1"),
                   (0, b"\xff\x09synth"), (0, b"\xff\x60odd"), (0, b"\xff\x59\x09\7"),
                   (0, b"\xff\x58"),
                   (0, b"\xf0\x7e\x7f\x09\1\xf7"), (10, b"\xf0\x43\x12"), (20, b"\xf7\x43\xf7"),
                   (30, b"\xf7\xf3\1"), (40, b"\xff\x7f" + bytes(range(256)) * 2),
                   *note(40, 9, 60)]),
        ]
    ),
    "more parts than channels": smf(
        [ended([name(b"part %d" % n), (0, bytes([0xC0 | n % 16, n])),
                *line(40 + n, channel=n % 16)])
         for n in range(25)]
    ),
    "time in frames": smf([ended(line(*SCALE))], division=0xE728),
    "an odd resolution": smf([ended(line(*SCALE, step=15))], division=30),
    "a resolution of one": smf([ended(line(60, 62, step=1))], division=1),
    "overlapping notes of one pitch": smf(
        [ended(sorted([*note(0, 960, 60), *note(240, 240, 60), *note(300, 60, 60),
                       *note(960, 9, 60)]))]
    ),
    "notes of no length and ends of nothing": smf(
        [ended([(0, b"\x80\x3c\x40"), (0, b"\x90\x3c\x40"), (0, b"\x80\x3c\x40"),
                (9, b"\x90\x3c\0"), *note(10, 20, 62), (40, b"\x80\x3e\x40")])]
    ),
}  # fmt: skip


# --- the law


def change(notes, grid, strength=1.0, generator=None, progress=None):
    """A style that changes something of each kind: notes go, come, grow, move and get louder."""
    if not strength:
        return notes
    made = notes[np.arange(len(notes)) % 3 != 2].copy()
    made[1::4, 1] += 60
    made[2::4, 0] += 7
    made[::5, 3] = 127 - made[::5, 3] % 64
    new = notes[::2].copy()
    new[:, 0] += 60
    new[:, 2] = (new[:, 2] + 7) % 128
    new[:, 1] = np.maximum(1, new[:, 1] // 2)
    table = np.concatenate([made, new])
    return table[np.lexsort((table[:, 4], table[:, 2], table[:, 0]))]


STYLE = Style("other", {"pitched": change, "drums": change}, Card("other", "", {}, {}))


def play(folder: Path, data: bytes, **options: object) -> tuple[bytes, MidiReport]:
    (folder / "in.mid").write_bytes(data)
    given = {"style": STYLE, "overwrite": True, "melody": "change", **options}
    wanted = MidiOptions(**given)  # type: ignore[arg-type]
    report = transfer_midi(folder / "in.mid", folder / "out.mid", wanted)
    return (folder / "out.mid").read_bytes(), report


def unmarked(tracks: list[Track]) -> list[Track]:
    """Tracks without the text that says how an output was made; fails where there is none."""
    first, *others = tracks
    marks = [event for event in first if b"audiotransfer " in event[1][:20]]
    assert [tick for tick, _ in marks] == [0]
    return [[event for event in first if event not in marks], *others]


def is_note(message: bytes) -> bool:
    return message[0] < 0xA0


def without_notes(tracks: list[Track]) -> list[Track]:
    return [[event for event in track if not is_note(event[1])] for track in tracks]


@pytest.mark.parametrize("kind", FILES)
def test_with_strength_zero_every_message_stays_where_it_was(kind: str, tmp_path: Path) -> None:
    out, report = play(tmp_path, FILES[kind], strength=0.0)
    assert decoded(out) == decoded(FILES[kind])
    assert report.notices[-1] == f"{tmp_path / 'in.mid'}: no note was changed"
    kept = {stem: StemChoice("keep") for stem in ("pitched", "drums")}
    assert play(tmp_path, FILES[kind], stems=kept)[0] == out


@pytest.mark.parametrize("kind", FILES)
def test_a_style_changes_notes_only(kind: str, tmp_path: Path) -> None:
    out, report = play(tmp_path, FILES[kind])
    (before_kind, division, before), (after_kind, new_division, after) = map(
        decoded, (FILES[kind], out)
    )
    after = unmarked(after)
    finer = new_division // division
    assert finer == (4 if kind == "a resolution of one" else 1)
    assert (after_kind, new_division) == (before_kind, finer * division)
    moved = [[(finer * tick, message) for tick, message in track] for track in before]
    for was, is_ in zip(without_notes(moved), without_notes(after), strict=True):
        assert is_[:-1] == was[:-1]
        assert is_[-1][0] >= was[-1][0]  # a note may sound longer than the track did
    assert after != moved
    assert "no note was changed" not in " ".join(report.notices)
    assert parse_score(out, "out").note_num() == report.notes_out


def test_muting_takes_away_the_notes_of_a_stem_and_nothing_else(tmp_path: Path) -> None:
    data = FILES["type 0 with several channels"]
    out, _ = play(tmp_path, data, strength=0.0, stems={"drums": StemChoice("mute")})
    ((track,), (made,)) = (decoded(data)[2], unmarked(decoded(out)[2]))
    assert made == [e for e in track if not is_note(e[1]) or e[1][0] & 15 != 9]


channel_messages = st.one_of(
    st.tuples(st.integers(0xA0, 0xBF), st.integers(0, 127), st.integers(0, 127)),
    st.tuples(st.integers(0xE0, 0xEF), st.integers(0, 127), st.integers(0, 127)),
    st.tuples(st.integers(0xC0, 0xDF), st.integers(0, 127)),
).map(bytes)
note_messages = st.tuples(
    st.sampled_from([0x80, 0x90, 0x91, 0x81, 0x99, 0x89]),
    st.sampled_from([36, 60, 60, 64]),
    st.sampled_from([0, 1, 64, 127]),
).map(bytes)
metas = st.tuples(st.integers(0, 127).filter(lambda kind: kind != 0x2F), st.binary(max_size=5)).map(
    lambda said: bytes([0xFF, said[0]]) + said[1]
)
system_messages = st.sampled_from([b"\xf1\5", b"\xf2\1\2", b"\xf3\7", b"\xf6", b"\xf8", b"\xfe"])
exclusive = st.tuples(st.sampled_from([b"\xf0", b"\xf7"]), st.binary(max_size=200)).map(b"".join)


@st.composite
def midi_files(draw: st.DrawFn) -> bytes:
    """Files in which nothing is wrong, with all that may stand in them."""
    tracks: list[Track] = []
    for _ in range(draw(st.integers(1, 4))):
        types = st.one_of(
            note_messages, note_messages, channel_messages, metas, exclusive, system_messages
        )
        steps = st.sampled_from([0, 0, 1, 5, 119, 130, 480])
        tick, track = 0, []
        for step, message in draw(st.lists(st.tuples(steps, types), max_size=30)):
            tick += step
            track.append((tick, message))
        tracks.append([*track, (tick + draw(steps), END)])
    tracks[-1].insert(0, (0, b"\x90\x3c\x40"))  # one note at least
    types_of_file = (0, 1, 2) if len(tracks) == 1 else (1,)
    division = draw(st.sampled_from([1, 3, 24, 30, 96, 480, 1000, 32767, 0xE728, 0xE250, 0xE802]))
    return smf(tracks, draw(st.sampled_from(types_of_file)), division)


@settings(max_examples=150, deadline=None)
@given(midi_files())
def test_any_file_keeps_every_message(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    out, report = play(tmp_path_factory.mktemp("any"), data, strength=0.0)
    assert decoded(out) == decoded(data)
    assert report.notes_in == report.notes_out == parse_score(data, "in").note_num()


@settings(max_examples=150, deadline=None)
@given(midi_files())
def test_any_file_keeps_all_that_is_no_note_in_any_style(data: bytes) -> None:
    file = midi.parse(data, "in")
    score = score_of(file)
    for drums in (False, True):
        score = with_notes(score, change(note_table(score, drums=drums), None), drums=drums)
    out = edited(file, score).to_bytes()
    (_, division, before), (_, new_division, after) = decoded(data), decoded(out)
    finer = 1 if division > 0x8000 else new_division // division
    for was, is_ in zip(without_notes(before), without_notes(after), strict=True):
        assert is_[:-1] == [(finer * tick, message) for tick, message in was[:-1]]
        assert is_[-1][0] >= finer * was[-1][0]


@settings(max_examples=100, deadline=None)
@given(midi_files())
def test_any_file_keeps_all_that_is_no_note_in_a_cover(data: bytes) -> None:
    """In quarter notes, later by some bars, with a new track instead of its notes."""
    file = midi.parse(data, "in")
    fine = in_quarters(file)
    new = NewTrack("lead", 66, False, np.array([[0, 100, 60, 90]]))
    moved = begun_later(without_any_notes(fine, lambda group: True), 1000)
    made = decoded(with_tracks(moved, [new]).to_bytes())[2]
    assert len(made) == len(file.tracks) + 1
    for was, is_ in zip(fine.tracks, made, strict=False):
        others = [(t + 1000 if t else 0, m) for t, m in was[:-1] if m[0] >= 0xB0]
        assert [event for event in is_[:-1] if event[1][0] >= 0xB0] == others
        assert not any(0x90 <= m[0] < 0xA0 and m[2] for _, m in is_)
    if file.ticks_a_second is None:
        factor = fine.division // file.division
        assert fine.division >= 480
        assert [e for t in fine.tracks for e in t] == [
            (factor * tick, message) for track in file.tracks for tick, message in track
        ]


def test_humanising_drums_keeps_every_message_that_is_none_of_theirs(tmp_path: Path) -> None:
    beat = [e for n in range(32) for e in note(240 * n, 60, (36, 42)[n % 2], 9, 90, release=33)]
    others = [*line(60, 64), (0, b"\xb9\x07\x50"), (7, b"\xff\x51\1\1\1"), name(b"\xff\xfe")]
    source, out = tmp_path / "a.mid", tmp_path / "b.mid"
    source.write_bytes(smf([ended(sorted([*beat, *others]))]))
    humanise_file(source, out)
    ((before,), (after,)) = (decoded(path.read_bytes())[2] for path in (source, out))
    drums = (0x99, 0x89)
    rest = [[e for e in track if e[1][0] not in drums] for track in (before, after)]
    assert rest[0] == rest[1]
    hits = [[m for _, m in track if m[0] in drums] for track in (before, after)]
    assert len(hits[0]) == len(hits[1]) and hits[0] != hits[1]
    assert {m[2] for m in hits[1] if m[0] == 0x89} == {33}  # how they are let go
    humanise_file(source, out, DrumOptions(tempo=90.0, overwrite=True))
    ((after,),) = (decoded(out.read_bytes())[2],)
    assert [m for _, m in after if m[:2] == b"\xff\x51"] == [b"\xff\x51\x0a\x2c\x2b"]


# --- editing


@st.composite
def note_lists(draw: st.DrawFn) -> tuple[list[list[int]], list[list[int]]]:
    """Two lists of notes [start, length, pitch, velocity, channel] of which none sounds into the
    next on its pitch and channel.
    """
    lists = []
    for _ in range(2):
        notes = []
        for key in draw(
            st.sets(st.tuples(st.integers(60, 63), st.sampled_from([0, 1, 9])), min_size=1)
        ):
            marks = sorted(draw(st.sets(st.integers(0, 60), min_size=2, max_size=8)))
            for start, stop in zip(marks[::2], marks[1::2], strict=False):
                notes.append([start, stop - start, key[0], draw(st.integers(1, 127)), key[1]])
        lists.append(sorted(notes, key=lambda n: (n[0], n[2], n[4])))
    return lists[0], lists[1]


def file_of(notes: list[list[int]], beside: Track) -> midi.MidiFile:
    """Every end before what stands beside at its tick, every beginning after it."""
    events = [(tick, 1, message) for tick, message in beside]
    for start, length, pitch, velocity, channel in notes:
        begin, end = note(start, length, pitch, channel, velocity)
        events += [(begin[0], 2, begin[1]), (end[0], 0, end[1])]
    track = [(tick, message) for tick, _, message in sorted(events)]
    return midi.parse(smf([ended(track, 100)]), "in")


@settings(max_examples=200, deadline=None)
@given(note_lists(), st.lists(st.tuples(st.integers(0, 60), channel_messages), max_size=6))
def test_any_notes_become_any_others(
    lists: tuple[list[list[int]], list[list[int]]], beside: Track
) -> None:
    """What is asked for is there, and the file is the one that would hold nothing else."""
    beside = [event for event in beside if event[1][0] < 0xC0 or event[1][0] >= 0xD0]  # no programs
    before, wanted = lists
    file = file_of(before, beside)
    notes = midi.notes_of(file)
    places = {group.channel: number for number, group in enumerate(notes.groups)}
    wanted = [n for n in wanted if n[4] in places]
    table = np.array([[*n[:4], places[n[4]]] for n in wanted], dtype=np.int64).reshape(-1, 5)
    table = table[np.lexsort((table[:, 4], table[:, 2], table[:, 0]))]
    made = midi.with_notes(file, table)
    again = midi.notes_of(made)
    rows = [[*row[:4], again.groups[row[4]].channel] for row in again.table.tolist()]
    assert sorted(rows) == sorted(wanted)
    assert made.end == file.end
    (track,) = made.tracks
    order = {tick: [] for tick, _ in track}
    for tick, message in track[:-1]:
        order[tick].append(0 if message[0] < 0x90 else 2 if message[0] < 0xA0 else 1)
    assert all(ranks == sorted(ranks) for ranks in order.values())


def test_a_note_that_changes_keeps_what_does_not() -> None:
    """Its release velocity, the way in which it ends, and its place among others at its tick."""
    track = [
        (0, b"\x90\x3c\x50"), (0, b"\xb0\x01\x05"), (480, b"\x80\x3c\x11"), (480, b"\x90\x40\x50"),
        (960, b"\x90\x40\0"), (960, b"\x90\x43\x50"), (1920, END),
    ]  # fmt: skip
    file = midi.parse(smf([track]), "in")
    table = midi.notes_of(file).table.copy()
    table[0, 3] = 99  # louder
    table[1, 1] = 240  # shorter
    table[2, 1] = 100  # the one that nothing ended
    assert list(midi.with_notes(file, table).tracks[0]) == [
        (0, b"\x90\x3c\x63"), (0, b"\xb0\x01\x05"), (480, b"\x80\x3c\x11"), (480, b"\x90\x40\x50"),
        (720, b"\x90\x40\0"), (960, b"\x90\x43\x50"), (1060, b"\x80\x43\x40"), (1920, END),
    ]  # fmt: skip
    table[1] = [480, 480, 64, 80, 0]
    table[0] = [7, 480, 60, 80, 0]  # later
    made = midi.with_notes(file, table).tracks[0]
    assert made[:2] == ((0, b"\xb0\x01\x05"), (7, b"\x90\x3c\x50"))
    assert (487, b"\x80\x3c\x11") in made


def test_a_new_note_is_not_ended_by_what_ended_nothing() -> None:
    file = midi.parse(smf([ended([*note(0, 10, 60), (50, b"\x80\x40\x40")], 100)]), "in")
    table = np.array([[0, 10, 60, 80, 0], [20, 60, 64, 80, 0]])
    made = midi.notes_of(midi.with_notes(file, table))
    assert np.array_equal(made.table, table)


def test_one_tempo_from_beginning_to_end() -> None:
    file = midi.parse(
        smf([ended([TEMPO, *line(60)]), ended([(7, b"\xff\x51\1\1\1"), *note(7, 9, 62)])]), "a"
    )
    made = midi.with_tempo(file, 90.0)
    assert [e for track in made.tracks for e in track if e[1][:2] == b"\xff\x51"] == [
        (0, b"\xff\x51\x0a\x2c\x2b")
    ]
    assert [len(track) for track in made.tracks] == [len(file.tracks[0]), len(file.tracks[1]) - 1]


# --- who plays


def groups(data: bytes) -> list[tuple[int, int, int, int, int]]:
    """Track, port, channel and program of each group, with the number of its notes."""
    notes = midi.notes_of(midi.parse(data, "in"))
    counts = np.bincount(notes.table[:, 4], minlength=len(notes.groups)).tolist()
    return [
        (g.track, g.port, g.channel, g.program, count)
        for g, count in zip(notes.groups, counts, strict=True)
    ]


def test_programs_belong_to_channels_whatever_track_they_stand_in() -> None:
    assert groups(FILES["everything in the conductor's track"]) == [
        (1, 0, 0, 40, 8),
        (2, 0, 1, 57, 8),
    ]
    assert [g[3] for g in groups(FILES["twenty programs on one channel"])] == [
        6 * n for n in range(20)
    ]
    assert [g[:4] for g in groups(FILES["ports"])] == [(n, n, 0, 10 * n) for n in range(3)]


def test_controllers_count_whatever_track_they_stand_in() -> None:
    score = parse_score(FILES["everything in the conductor's track"], "in")
    told = [[(c.number, c.value) for c in track.controls] for track in score.tracks]
    assert told == [[(7, 40), (10, 0)], [(7, 80)]]
    assert [track.name for track in score.tracks] == ["violin", "brass"]


def test_notes_that_nothing_ends_last_as_long_as_their_track() -> None:
    table = midi.notes_of(midi.parse(FILES["notes that nothing ends"], "in")).table
    assert table[-2:, :3].tolist() == [[1920, 1440, 60], [2400, 960, 64]]


def test_overlapping_notes_end_in_the_order_in_which_they_begin() -> None:
    table = midi.notes_of(midi.parse(FILES["overlapping notes of one pitch"], "in")).table
    assert table[:, :2].tolist() == [[0, 360], [240, 240], [300, 660], [960, 9]]


def test_time_in_frames_is_a_beat_of_half_a_second(tmp_path: Path) -> None:
    (notice,) = play(tmp_path, FILES["time in frames"])[1].notices
    assert notice.endswith("its time is counted in frames; half a second is taken for a beat")
    score = parse_score(FILES["time in frames"], "in").to("second")
    assert score.end() == pytest.approx(8 * 240 / 1000)
    assert score.tempos[0].qpm == pytest.approx(120)
    ntsc = parse_score(smf([ended(line(*SCALE))], division=0xE350), "in").to("second")
    assert ntsc.end() == pytest.approx(8 * 240 / (80 * 30_000 / 1001), rel=1e-3)


# --- what is rendered


def rendered(folder: Path, *tracks: Track) -> NDArray[np.float64]:
    (folder / "a.mid").write_bytes(smf(list(tracks)))
    render_midi(scores.read_score(folder / "a.mid"), folder / "a.wav", overwrite=True)
    return soundfile.read(folder / "a.wav")[0]


def level(sound: NDArray[np.float64]) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(np.square(sound))) + 1e-9))


def test_rendered_channels_have_their_volume_expression_and_pan(tmp_path: Path) -> None:
    """Also where the conductor's track says them, or they change while notes sound."""
    organ = ended([*note(0, 1920, 60)])
    usual = [TEMPO, (0, b"\xc0\x10")]
    plain = rendered(tmp_path, ended(usual), organ)
    softer = rendered(tmp_path, ended([*usual, (0, b"\xb0\x07\x32"), (0, b"\xb0\x0b\x7f")]), organ)
    assert level(plain) - level(softer) == pytest.approx(12.04, abs=0.5)  # half of 100, squared
    left = rendered(tmp_path, ended([*usual, (0, b"\xb0\x0a\0")]), organ)
    assert level(left[:, 0]) - level(left[:, 1]) > 60
    assert level(left[:, 0]) - level(plain[:, 0]) == pytest.approx(3.01, abs=0.5)
    fade = rendered(tmp_path, ended([*usual, (960, b"\xb0\x0b\0")]), organ)
    quarter = 44100 // 2
    assert level(fade[: 2 * quarter]) == pytest.approx(level(plain[: 2 * quarter]), abs=0.5)
    assert level(fade[2 * quarter + 500 : 4 * quarter]) < -100


def held(track: Track) -> list[tuple[float, float]]:
    band = arrangement_of(parse_score(smf([ended(track)]), "a"), controllers=True)
    return [(round(n[0], 6), round(n[0] + n[1], 6)) for part in band.parts for n in part.notes]


def test_rendered_notes_are_held_by_the_pedal() -> None:
    down, up = b"\xb0\x40\x7f", b"\xb0\x40\0"
    pedal = [(0, 0.5), (0.75, 1.25)]  # at 120 quarters a minute, 480 ticks are 0.5 s
    play = [*note(0, 480, 60), (720, b"\x90\x40\x50"), (1200, b"\x80\x40\x40")]
    assert held(play) == pedal
    assert held([(0, down), *play, (1920, up)]) == [(0, 2.0), (0.75, 2.0)]
    assert held([*play[:2], (480, down), *play[2:], (1920, up)]) == [(0, 0.5), (0.75, 2.0)]
    assert held([*play[:2], (600, down), (700, up), *play[2:]]) == pedal
    assert held([(0, down), (0, down), *play]) == [(0, 1.25), (0.75, 1.25)]  # never up: to the end
    again = [(0, down), *note(0, 480, 60), *note(960, 480, 60), (1920, up)]
    assert held(again) == [(0, 1.0), (1.0, 2.0)]  # struck again while it is held


# --- what stands around


BAND = smf([ended([TEMPO]), ended([name(b"a"), *line(*SCALE)]), ended(line(40, 41, channel=1))])
RIFF = (
    b"RIFF" + struct.pack("<I", len(BAND) + 12) + b"RMIDdata" + struct.pack("<I", len(BAND)) + BAND
)
MAC = bytearray(128)
MAC[1:10] = b"\x08song.mid"
MAC[65:69] = b"Midi"
MAC[83:87] = struct.pack(">I", len(BAND))
HEAD, FIRST = BAND[:14], BAND[14:]


@pytest.mark.parametrize(
    "data",
    [
        RIFF,
        bytes(MAC) + BAND + bytes(-len(BAND) % 128) + b"resource fork MTrk",
        b"From: me\n\n" + BAND,
        BAND + b"\0\0\0",
        BAND + b"\r\n-- sent by mail",
        HEAD + chunk(b"MTrk", track_bytes([TEMPO])) + FIRST[8 + 11 :],  # no end-of-track
        HEAD[:10] + b"\0\2" + HEAD[12:] + FIRST,  # fewer tracks announced than there are
        BAND[:4] + b"\0\0\0\7" + BAND[8:],  # a header that says it is longer than it is
    ],
    ids=lambda data: repr(data[:18]),
)  # fmt: skip
def test_what_stands_around_the_music_is_passed_over(data: bytes) -> None:
    file = midi.parse(data, "in")
    assert file.notices == ()
    assert decoded(file.to_bytes()) == decoded(BAND)


@pytest.mark.parametrize("wrong", [0, 7, 12, 40, 0xFF0000])
def test_a_track_whose_length_is_wrong_is_read_to_its_end(wrong: int) -> None:
    data = HEAD + b"MTrk" + struct.pack(">I", wrong) + FIRST[8:]
    file = midi.parse(data, "x.mid")
    assert file.notices == (
        "x.mid: the length of track 1 is wrong; it is read to its end-of-track",
    )
    assert decoded(file.to_bytes()) == decoded(BAND)


def test_chunks_of_others_and_longer_headers_stay() -> None:
    other_chunk = chunk(b"XFIH", b"karaoke\0\1")
    data = chunk(b"MThd", BAND[8:14] + b"more") + other_chunk + FIRST + other_chunk
    file = midi.parse(data, "in")
    assert file.notices == ()
    assert file.to_bytes() == data


def test_a_riff_with_more_in_it_than_music_says_so() -> None:
    more = b"LIST\4\0\0\0INFO"
    data = b"RIFF" + struct.pack("<I", len(RIFF) - 8 + len(more)) + RIFF[8:] + more
    (notice,) = midi.parse(data, "a.rmi").notices
    assert notice == "a.rmi: what stands beside the music in its RIFF is left out"


def test_running_status_goes_on_behind_metas_as_everybody_reads_it() -> None:
    body = b"\0\x90\x3c\x50\x10\xff\x01\1a\0\x3e\x50\x10\xf0\1\xf7\0\x3c\0\0\x3e\0\0\xff\x2f\0"
    data = HEAD[:8] + b"\0\0\0\1\1\xe0" + chunk(b"MTrk", body)
    table = midi.notes_of(midi.parse(data, "in")).table
    assert table[:, :3].tolist() == [[0, 32, 60], [16, 16, 62]]


def test_data_bytes_above_127_are_clipped_with_one_notice() -> None:
    track = [(0, b"\xb0\x07\xa8"), (0, b"\x90\x3c\xff"), (0, b"\xc0\x80"), (9, b"\x80\x3c\x40")]
    file = midi.parse(smf([ended(track), ended([(0, b"\xe1\x90\x90")])]), "x.mid")
    assert [m for _, m in file.tracks[0]][:3] == [b"\xb0\x07\x7f", b"\x90\x3c\x7f", b"\xc0\x7f"]
    assert file.notices == ("x.mid: data bytes above 127 are read as 127 (5)",)


# --- what is damaged


@pytest.mark.parametrize("cut", range(len(BAND)))
def test_a_file_that_is_cut_off_says_what_is_missing(cut: int) -> None:
    """Anywhere: what there is plays, with a notice, or one line says that nothing can."""
    try:
        file = midi.parse(BAND[:cut], "x.mid")
    except AudioTransferError as error:
        assert str(error).startswith("x.mid ") and "\n" not in str(error)
        return
    whole = decoded(BAND)[2]
    for was, is_ in zip(whole, file.tracks, strict=False):
        assert list(is_[:-1]) == was[: len(is_) - 1]
    ends = [track[-1] for track in whole]
    if len(file.tracks) < 3 or [track[-1] for track in file.tracks] != ends:
        assert file.notices


def broken_track(body: bytes) -> bytes:
    return HEAD + FIRST[:19] + chunk(b"MTrk", body) + chunk(b"MTrk", track_bytes(ended(line(50))))


GOOD_START = b"\0\x90\x3c\x50\x60\x80\x3c\x40"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"\0\x3c\x50" + GOOD_START, "track 2 is damaged after tick 0 (data without a status)"),
        (GOOD_START + b"\xff\xff\xff\xff\x7f\x90\x3c\x50", "a number of more than four bytes"),
        (GOOD_START + b"\xff\xff\xff\x7f\x90\x3c\x50", "time runs beyond what MIDI can count"),
        (
            GOOD_START + b"\0\xff\x01\x70abc",
            "track 2 is damaged after tick 96 (a message is cut off)",
        ),
        (GOOD_START + b"\0\x90", "a message is cut off"),
        (
            GOOD_START + b"\0\xff\x2f\0\0\x90\x3c\x50",
            "4 bytes after the end of track 2 are left out",
        ),
    ],
)
def test_of_a_damaged_track_what_comes_before_plays(body: bytes, says: str) -> None:
    file = midi.parse(broken_track(body), "x.mid")
    assert says in file.notices[0] and file.notices[0].startswith("x.mid: ")
    assert len(file.tracks) == 3
    assert file.tracks[2] == tuple(ended(line(50)))  # the next one is whole


def test_tracks_that_are_missing_are_named() -> None:
    data = HEAD + FIRST.replace(b"MTrk", b"NTrk", 2).replace(b"NTrk", b"MTrk", 1)
    assert midi.parse(data, "x.mid").notices == (
        "x.mid announces 3 tracks and holds 2; the rest is missing",
    )
    gap = HEAD + FIRST[:19] + b"\xff" * 30 + FIRST[19:]
    (notice,) = midi.parse(gap, "x.mid").notices
    assert notice == "x.mid: 30 bytes between its tracks are no MIDI and are left out"


def test_a_kind_that_cannot_be_is_put_right() -> None:
    for kind, tracks, becomes in ((0, 2, 1), (1, 1, 1)):
        data = smf([ended(line(60))] * tracks, kind)
        assert midi.parse(data, "in").kind == becomes


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (smf([ended(line(60))] * 2, 2), "type 2 (several songs in one)"),
        (smf([ended(line(60))], 3), "type 3 is unknown"),
        (smf([ended(line(60))] * 2, 9), "type 9 is unknown"),
        (smf([ended([])]), "holds no notes"),
        (smf([ended([(0, b"\x90\x3c\0")])]), "holds no notes"),
        (smf([], 1), "holds no notes"),
        (smf([ended(line(60))], division=0), "does not say how fast it is (division 0)"),
        (smf([ended(line(60))], division=0xE700), "does not say how fast"),
        (HEAD[:12], "its header is cut off"),
        (HEAD, "without one note that can be read"),
    ],
)
def test_what_cannot_be_played_is_refused_in_one_line(data: bytes, says: str) -> None:
    with pytest.raises(AudioTransferError) as error:
        midi.parse(data, "x.mid")
    assert says in str(error.value) and str(error.value).startswith("x.mid ")
    assert "\n" not in str(error.value)


def test_a_file_with_too_many_messages_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_MESSAGES", 15)
    with pytest.raises(AudioTransferError, match="more than 15 messages; cut it into pieces"):
        midi.parse(BAND, "long")


# --- mutations: a small share of benchmarks/fuzz_midi.py


def mutated(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """A file with something wrong: bytes changed, lost, doubled, the end or the header damaged,
    spliced with another.
    """
    broken = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at = rng.randrange(len(broken))
        match rng.randrange(9):
            case 0 | 1:
                broken[at] = rng.randrange(256)
            case 2:
                broken[at] ^= 1 << rng.randrange(8)
            case 3:
                del broken[at : at + rng.choice((1, 1, 2, 7))]
            case 4:
                broken[at:at] = rng.randbytes(rng.choice((1, 1, 3, 9)))
            case 5:
                broken = broken[: max(at, 1)]
            case 6:
                broken[rng.randrange(min(14, len(broken)))] = rng.randrange(256)
            case 7:
                broken[at:] = other[rng.randrange(len(other)) :]
            case _:
                place = broken.find(b"MTrk", at)
                if place >= 0:
                    broken[place + rng.randrange(8)] = rng.choice((0, 1, 255, rng.randrange(256)))
        broken = broken or bytearray(b"M")
    return bytes(broken)


def notes_by_mido(data: bytes) -> int | None:
    """How many notes begin, as mido reads the file; None where it does not."""
    try:
        file = mido.MidiFile(file=io.BytesIO(data), clip=True)
    except Exception:
        return None
    messages = [message for track in file.tracks for message in track]
    return sum(message.type == "note_on" and message.velocity > 0 for message in messages)


def notes_by_us(file: midi.MidiFile) -> int:
    messages = [message for track in file.tracks for _, message in track]
    return sum(message[0] & 0xF0 == 0x90 and message[2] > 0 for message in messages)


@pytest.mark.parametrize("seed", range(8))
def test_damaged_files_lose_nothing_without_a_word(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    files = list(FILES.values())
    refused = 0
    for _ in range(40):
        data = mutated(rng.choice(files), rng.choice(files), rng)
        peer = notes_by_mido(data)
        try:
            out, report = play(tmp_path, data, strength=0.0)
        except AudioTransferError as error:
            assert len(str(error).splitlines()) == 1
            refused += bool(peer)
            continue
        _, _, tracks = decoded(bytes_without_other_chunks(out))
        made = midi.parse(out, "out")
        assert [list(track) for track in made.tracks] == tracks
        if peer is not None and notes_by_us(made) < peer:
            assert len(report.notices) > 1
    assert refused <= 2


def bytes_without_other_chunks(data: bytes) -> bytes:
    file = midi.parse(data, "out")
    return midi.MidiFile(file.kind, file.division, file.tracks).to_bytes()


# --- names


def test_the_command_knows_the_names_of_midi_files() -> None:
    assert cli_batch.MIDI_SUFFIXES == midi.SUFFIXES == scores.SUFFIXES
    assert set(scores.WRITTEN) < set(midi.SUFFIXES)
