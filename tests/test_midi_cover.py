"""Covers of MIDI files: what of the file stays, where the band's notes are, the options."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
import symusic
from matplotlib.figure import Figure

from audiotransfer import midi
from audiotransfer.cover.band import read_band
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import lead_sheet
from audiotransfer.leadsheet.chord_sheet import write_chord_sheet
from audiotransfer.midi.grid import Grid
from audiotransfer.midi.retiming import ticks_at, with_tempos
from audiotransfer.midi.score import note_table, read_score
from audiotransfer.pipeline.cover_options import CoverOptions
from audiotransfer.pipeline.midi_cover import CoverPlan, cover_song
from audiotransfer.pipeline.midi_options import MidiExtras, MidiOptions
from audiotransfer.pipeline.midi_transfer import MidiReport, transfer_midi
from audiotransfer.pipeline.options import StemChoice
from audiotransfer.styles import load_style

Run = Callable[..., tuple[int, str, str]]
TPQ = 96
BARS = 8
ROOTS = (0, 9, 5, 7)  # C, Am, F, G
END = midi.file.END_OF_TRACK


def song_file(tempo: float = 120.0) -> midi.MidiFile:
    """Eight bars with a melody, chords, drums, controllers, lyrics and a change of tempo."""
    score = symusic.Score(TPQ)
    score.time_signatures.append(symusic.TimeSignature(0, 4, 4))
    score.tempos.append(symusic.Tempo(0, tempo))
    score.tempos.append(symusic.Tempo(4 * 4 * TPQ, 1.2 * tempo))
    score.key_signatures.append(symusic.KeySignature(0, 0, 0))
    score.markers.append(symusic.TextMeta(16 * TPQ, "bridge"))
    tune, keys = symusic.Track("Melody", 73, False), symusic.Track("Keys", 4, False)
    kit = symusic.Track("Kit", 0, True)
    for bar in range(BARS):
        at, root = bar * 4 * TPQ, 60 + ROOTS[bar % 4]
        for beat, step in enumerate((0, 4, 7, 4)):
            pitch = root + (3 if bar % 4 == 1 and step == 4 else step) + 12 * (root < 65)
            tune.notes.append(symusic.Note(at + beat * TPQ, TPQ, pitch, 90))
            kit.notes.append(symusic.Note(at + beat * TPQ, 20, (36, 38)[beat % 2], 80))
        third = 3 if bar % 4 == 1 else 4
        for step in (0, third, 7):
            keys.notes.append(symusic.Note(at, 4 * TPQ, root - 12 + step, 70))
        keys.notes.append(symusic.Note(at, 4 * TPQ, root - 24, 70))
    tune.controls.append(symusic.ControlChange(30, 7, 99))
    tune.pitch_bends.append(symusic.PitchBend(40, 512))
    tune.lyrics.append(symusic.TextMeta(4 * TPQ, "oh"))
    score.tracks.extend([tune, keys, kit])
    return midi.parse(score.dumps_midi(), "song.mid")


@pytest.fixture(scope="module")
def plan() -> CoverPlan:
    style = load_style("jazz", route="symbolic")
    assert style.band is not None
    return CoverPlan("jazz", read_band(style.band), seed=3)


@pytest.fixture
def song(tmp_path: Path) -> Path:
    (tmp_path / "song.mid").write_bytes(song_file().to_bytes())
    return tmp_path / "song.mid"


def play(song: Path, name: str = "out.mid", **more: object) -> MidiReport:
    options = MidiOptions(**{"style": "jazz", **more})  # type: ignore[arg-type]
    return transfer_midi(song, song.with_name(name), options)


def messages(file: midi.MidiFile, factor: int = 1) -> Counter[tuple[int, bytes]]:
    """All messages but notes and ends of tracks, with their ticks."""
    return Counter(
        (tick * factor, message)
        for track in file.tracks
        for tick, message in track
        if message[0] >= 0xA0 and message[:2] != END
    )


def planned(plan: CoverPlan, **options: object) -> CoverPlan:
    return CoverPlan(plan.style, plan.band, options=CoverOptions(**options), seed=plan.seed)  # type: ignore[arg-type]


# --- the file


def test_every_other_message_keeps_its_place(plan: CoverPlan) -> None:
    file = song_file()
    cover = cover_song(file, plan)
    factor = cover.file.division // file.division
    assert cover.file.division >= 480
    assert not messages(file, factor) - messages(cover.file)
    added = messages(cover.file) - messages(file, factor)
    assert all(tick == 0 and (m[0] & 0xF0 == 0xC0 or m[:2] == b"\xff\x03") for tick, m in added)
    assert len(cover.file.tracks) == len(file.tracks) + len(cover.parts)


@pytest.mark.parametrize(
    "options", [{}, {"intro": 4, "outro": 2}, {"tempo": 96.0, "intro": 1}, {"transpose": -2}]
)
def test_notes_sound_when_the_band_plays_them(plan: CoverPlan, options: dict[str, object]) -> None:
    """To the millisecond within the song; where bars are added its tempo goes on."""
    cover = cover_song(song_file(), planned(plan, **options))
    notes = midi.notes_of(cover.file)
    names = [part.name for part in cover.parts]
    sheet = cover.arrangement.sheet
    first = cover.arrangement.sheet.bars[cover_bars(options)].beat
    span = (sheet.beats[first], sheet.beats[first + 4 * BARS] - 0.5)
    for part in cover.parts:
        track = len(cover.file.tracks) - len(names) + names.index(part.name)
        own = notes.table[[notes.groups[g].track == track for g in notes.table[:, 4]]]
        at = ticks_at(cover.file, part.notes[:, 0])
        inside = (part.notes[:, 0] > span[0]) & (part.notes[:, 0] < span[1])
        nearest = np.abs(own[:, 0] - at[inside][:, None]).min(axis=1)
        assert nearest.max() <= 2, part.name  # ticks of 1 ms
        # Two strokes of one drum within a tick are one.
        assert len(part.notes) - len(own) in (0, 1)


def test_a_tempo_that_changes_within_a_beat_is_followed(plan: CoverPlan) -> None:
    ticks = np.arange(1, 40) * 70
    file = with_tempos(song_file(), ticks, 60 + 80 * (ticks % 3))
    cover = cover_song(file, plan)
    lead = next(part for part in cover.parts if part.name == "lead")
    starts = midi.notes_of(cover.file).table[:, 0]
    at = ticks_at(cover.file, lead.notes[:-1, 0])
    assert np.abs(starts - at[:, None]).min(axis=1).max() <= 2


def test_added_bars_have_the_tempo_that_the_band_plays(plan: CoverPlan) -> None:
    """The last of an outro's bars are slower, and all begin on their bar line."""
    cover = cover_song(song_file(), planned(plan, outro=4))
    sheet = cover.arrangement.sheet
    ticks = ticks_at(cover.file, [sheet.beats[bar.beat] for bar in sheet.bars])
    lines = np.arange(len(sheet.bars)) * 4 * cover.file.division
    assert np.abs(ticks - lines).max() <= 2
    tempos = [t for tr in cover.file.tracks for t, m in tr if m[:2] == b"\xff\x51"]
    assert len(tempos) > 2


def cover_bars(options: dict[str, object]) -> int:
    return int(options.get("intro", 0))  # type: ignore[call-overload]


def test_parts_have_names_programs_and_channels_of_their_own(plan: CoverPlan) -> None:
    file = song_file()
    cover = cover_song(file, plan)
    groups = midi.notes_of(cover.file).groups
    used = {m[0] & 0x0F for t in file.tracks for _, m in t if 0xB0 <= m[0] < 0xF0}
    melodic = [group for group in groups if not group.drums]
    assert len({group.channel for group in melodic}) == len(melodic)
    assert not used & {group.channel for group in melodic}
    assert sum(group.drums for group in groups) == 1
    programs = {part.name: g.program for part, g in zip(cover.parts, groups, strict=True)}
    assert (programs["lead"], programs["bass"], programs["comping"]) == (66, 32, 0)
    names = [track[0][1][2:].decode() for track in cover.file.tracks[-len(cover.parts) :]]
    assert names == [part.name for part in cover.parts]


def test_a_channel_whose_program_changes_plays_the_part(plan: CoverPlan) -> None:
    """A file that uses all channels: the part's program follows each of its changes."""
    changes = tuple((TPQ * n, bytes((0xC0 | n, 20 + n))) for n in range(16))
    crowded = midi.MidiFile(1, TPQ, (*song_file().tracks, (*changes, (16 * TPQ, END))))
    groups = midi.notes_of(cover_song(crowded, plan).file).groups
    assert {group.program for group in groups if not group.drums} <= {0, 32, 56, 66}


def test_added_bars_move_what_is_not_at_the_beginning(plan: CoverPlan) -> None:
    file = song_file()
    cover = cover_song(file, planned(plan, intro=4, outro=2))
    factor = cover.file.division // TPQ
    bars = 4 * 4 * cover.file.division
    moved = Counter({(tick + bars if tick else 0, m): 1 for tick, m in messages(file, factor)})
    assert not moved - messages(cover.file)
    score = symusic.Score.from_midi(cover.file.to_bytes())
    assert len(Grid.of(score, shifted=False).bars) - 1 == BARS + 6
    assert cover.marks["after"].added == 4
    assert cover.marks["after"].sections[0] == (0.0, "intro")


@pytest.mark.parametrize("style", ["jazz", "classical", "rock", "bossa"])
@pytest.mark.parametrize(("strength", "outro"), [(0.1, 0), (0.3, 0), (1.0, 0), (1.0, 2)])
def test_a_cover_ends_with_its_last_bar(style: str, strength: float, outro: int) -> None:
    band = load_style(style, route="symbolic").band
    assert band is not None
    wanted = CoverPlan(style, read_band(band), strength, CoverOptions(outro=outro))
    file = cover_song(song_file(), wanted).file
    notes = midi.notes_of(file).table
    last = (BARS + outro) * 4 * file.division
    assert last - file.division <= notes[:, :2].sum(axis=1).max() <= last
    assert (notes[:, 1] > 0).all()


def test_added_bars_are_whole_though_the_song_begins_with_a_pickup(plan: CoverPlan) -> None:
    score = symusic.Score.from_midi(song_file().to_bytes())
    score.time_signatures[0] = symusic.TimeSignature(0, 1, 4)
    score.time_signatures.append(symusic.TimeSignature(TPQ, 4, 4))
    cover = cover_song(
        midi.parse(score.dumps_midi(), "pickup.mid"), planned(plan, intro=3, outro=2)
    )
    bars = len(cover.sheet.bars)
    assert [bar.beats for bar in cover.sheet.bars[:3]] == [1, 4, 4]
    assert cover.marks["after"].added == 3
    lines = [0, 4, 8, 12, *(13 + 4 * bar for bar in range(bars + 2))]
    assert list(cover.marks["after"].lines) == pytest.approx(lines)
    signs = symusic.Score.from_midi(cover.file.to_bytes()).time_signatures
    quarter = cover.file.division
    assert [(s.time // quarter, s.numerator) for s in signs] == [(0, 4), (12, 1), (13, 4)]
    lead = next(part for part in cover.parts if part.name == "lead")
    assert ticks_at(cover.file, lead.notes[:1, 0])[0] == pytest.approx(
        12 * cover.file.division, abs=0.3 * cover.file.division
    )


def test_a_slow_song_gets_whole_bars_though_its_feel_is_doubled(plan: CoverPlan) -> None:
    cover = cover_song(song_file(50.0), planned(plan, intro=1))
    tempos = [t for tr in cover.file.tracks for t, m in tr if m[:2] == b"\xff\x51"]
    assert tempos == [0, 20 * cover.file.division]  # bar 5 became bar 6


def test_tempo_and_key_follow_the_options(plan: CoverPlan) -> None:
    file = song_file()
    cover = cover_song(file, planned(plan, tempo=66.0, transpose=3))
    score = symusic.Score.from_midi(cover.file.to_bytes())
    before = symusic.Score.from_midi(file.to_bytes())
    ratios = [a.qpm / b.qpm for a, b in zip(score.tempos, before.tempos, strict=True)]
    assert ratios == pytest.approx([ratios[0]] * 2, rel=1e-5)
    assert score.end() / cover.file.division == pytest.approx(4 * BARS, abs=2)
    mean = 60 * 4 * BARS / (before.to("second").end() * 1)
    assert ratios[0] == pytest.approx(66.0 / mean, rel=0.02)
    assert score.key_signatures[0].key == -3
    tune = np.array([[n.pitch for n in file_notes] for file_notes in [cover.sheet.melody]])
    lead = next(part for part in cover.parts if part.name == "lead")
    assert set((tune[0] + 3) % 12) == set(lead.notes[:, 2].astype(int) % 12)


def test_time_in_frames_becomes_beats(plan: CoverPlan) -> None:
    frames = midi.MidiFile(1, 0xE728, song_file().tracks)  # 25 frames of 40 ticks a second
    cover = cover_song(frames, plan)
    lead = next(part for part in cover.parts if part.name == "lead")
    notes = midi.notes_of(cover.file).table
    assert cover.file.ticks_a_second is None
    # The last of 32 notes, of 96 ticks each at 1000 ticks a second.
    assert lead.notes[-1, 0] == pytest.approx(31 * TPQ / 1000, abs=0.2)
    nearest = np.abs(notes[:, 0] - ticks_at(cover.file, lead.notes[-1:, 0])).min()
    assert nearest <= 2


# --- the job


def test_auto_is_a_cover_and_the_output_says_how_it_was_made(song: Path) -> None:
    report = play(song, cover=CoverOptions(lead="trumpet", tempo=90.0, intro=2), seed=5)
    assert report.mode == "cover" and report.stems == {}
    assert report.cover is not None and report.cover.lead == "trumpet"
    assert report.notes_out == sum(part.notes for part in report.cover.parts.values())
    assert len(report.cover.chords) == BARS + 2 and all(report.cover.chords)
    assert 0 <= report.cover.reharmonised < 1
    texts = [
        m[2:].decode()
        for track in midi.read(report.output).tracks
        for tick, m in track
        if m[:2] == b"\xff\x01" and tick == 0
    ]
    (text,) = texts
    assert text.startswith("audiotransfer ")
    assert text.endswith("style=jazz mode=cover seed=5 strength=1 lead=trumpet tempo=90 intro=2")
    json.dumps(report.to_dict())


def test_karaoke_gets_an_information_line(song: Path) -> None:
    file = song_file()
    tracks = (((0, b"\xff\x01@KMIDI KARAOKE FILE"), *file.tracks[0]), *file.tracks[1:])
    song.write_bytes(midi.MidiFile(1, TPQ, tracks).to_bytes())
    texts = [
        m[2:] for tr in midi.read(play(song).output).tracks for _, m in tr if m[:2] == b"\xff\x01"
    ]
    assert any(text.startswith(b"@Iaudiotransfer ") for text in texts)


@pytest.mark.parametrize("mode", ["cover", "network"])
def test_strength_zero_is_the_file_itself(song: Path, mode: str) -> None:
    report = play(song, strength=0.0, mode=mode)
    assert Path(report.output).read_bytes() == song.read_bytes()
    assert report.notices == [f"{song}: no note was changed"]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(song: Path) -> None:
    made = [Path(play(song, f"{n}.mid", seed=n // 2).output).read_bytes() for n in range(3)]
    assert made[0] == made[1] != made[2]


def test_own_drums_and_own_pitched_parts_can_stay(song: Path) -> None:
    before = read_score(song)
    drums = play(song, "a.mid", stems={"drums": StemChoice("keep")})
    after = read_score(drums.output)
    own, kept = note_table(before, drums=True), note_table(after, drums=True)
    factor = after.tpq // before.tpq
    assert np.array_equal(own[:, :4] * [factor, factor, 1, 1], kept[:, :4])
    assert drums.cover is not None and "drums" not in drums.cover.parts
    pitched = play(song, "b.mid", stems={"pitched": StemChoice("keep")})
    assert pitched.cover is not None and set(pitched.cover.parts) == {"drums"}
    own, kept = note_table(before), note_table(read_score(pitched.output))
    assert np.array_equal(own[:, :4] * [factor, factor, 1, 1], kept[:, :4])
    higher = play(
        song, "c.mid", stems={"pitched": StemChoice("keep")}, cover=CoverOptions(transpose=5)
    )
    assert np.array_equal(note_table(read_score(higher.output))[:, 2], own[:, 2] + 5)
    muted = play(song, "d.mid", stems={"drums": StemChoice("mute")})
    assert not len(note_table(read_score(muted.output), drums=True))


def test_drums_alone_get_the_drums_of_the_band(song: Path) -> None:
    score = symusic.Score.from_midi(song_file().to_bytes())
    score.tracks = [track for track in score.tracks if track.is_drum]
    score.dump_midi(song)
    report = play(song)
    assert report.cover is not None and set(report.cover.parts) == {"drums"}
    assert any("no melody" in notice for notice in report.notices)


@pytest.mark.parametrize(
    ("tracks", "style", "stems", "says"),
    [
        ("drums", "classical", {}, "no pitched parts and the band of classical has no drums"),
        ("drums", "jazz", {"drums": "mute"}, "no pitched parts and drums are muted"),
        ("all", "classical", {"pitched": "mute"}, "pitched parts are muted and the band of"),
        ("melody", "jazz", {"pitched": "mute", "drums": "keep"}, "the song has no drums"),
    ],
)
def test_a_cover_without_notes_says_why(
    song: Path, tracks: str, style: str, stems: dict[str, str], says: str
) -> None:
    only(song, tracks)
    choices = {stem: StemChoice(action) for stem, action in stems.items()}
    with pytest.raises(AudioTransferError, match=says) as caught:
        play(song, style=style, stems=choices)
    assert str(caught.value).startswith(f"{song}: no note would be left: ")
    ways = str(caught.value).split("(")[1]
    for stem, action in stems.items():
        assert f"leave out --stem {stem}={action}" in ways
    assert ("as jazz" in ways) == (style == "classical")
    assert ("with --stem drums=keep" in ways) == (style == "classical")
    assert not song.with_name("out.mid").exists()


def only(song: Path, tracks: str) -> None:
    """Leaves only the drums, or only the melody, of a song's file."""
    score = symusic.Score.from_midi(song.read_bytes())
    kept = {"drums": {"Kit"}, "melody": {"Melody"}}.get(tracks, {"Melody", "Keys", "Kit"})
    score.tracks = [track for track in score.tracks if track.name in kept]
    score.dump_midi(song)


@pytest.mark.parametrize(("tracks", "missing"), [("melody", "drums"), ("drums", "pitched parts")])
def test_what_is_to_be_kept_and_missing_is_named(song: Path, tracks: str, missing: str) -> None:
    stem = missing.split()[0]
    only(song, tracks)
    report = play(song, stems={stem: StemChoice("keep")})
    notice = f"{song}: the song has no {missing} to keep, and the cover has none"
    assert notice in report.notices
    assert notice not in play(song, "b.mid", stems={stem: StemChoice("mute")}).notices


@pytest.mark.parametrize("wanted", [{"strength": 0.0}, {"stems": {"drums": StemChoice("keep")}}])
def test_stems_that_are_not_written_are_named(song: Path, wanted: dict[str, object]) -> None:
    extras = MidiExtras(render=True, stems_out=song.parent / "parts")
    (song.parent / "parts").mkdir()
    report = play(song, extras=extras, **wanted)
    assert not list((song.parent / "parts").iterdir())
    assert any("no stems are written" in notice for notice in report.notices)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"mode": "covr"}, "mode 'covr': did you mean cover"),
        ({"mode": "timbre"}, "a MIDI file has cover or network"),
        ({"mode": "cover", "style": "pop"}, "style 'pop' has no band .* --mode network"),
        ({"mode": "network", "style": "bossa"}, "style 'bossa' has no network: give --mode cover"),
        ({"cover": CoverOptions(lead="trumpett")}, "lead 'trumpett': did you mean trumpet"),
        ({"cover": CoverOptions(lead="kazoo")}, "lead 'kazoo': there are sax_tenor"),
        ({"mode": "cover", "stems": {"drums": StemChoice("style", "pop")}}, "needs --mode network"),
        ({"melody": "kep"}, "melody 'kep': did you mean keep"),
    ],
)  # fmt: skip
def test_wrong_requests_are_one_line(song: Path, options: dict[str, object], says: str) -> None:
    with pytest.raises(AudioTransferError, match=says) as caught:
        play(song, **options)
    assert "\n" not in str(caught.value)
    assert not song.with_name("out.mid").exists()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"transpose": 25}, "transpose 25 is out of range: give -24 to 24"),
        ({"transpose": 1.5}, "a whole number"),
        ({"tempo": 10}, "tempo 10 is out of range: give 20 to 400"),
        ({"intro": -1}, "intro -1"),
        ({"outro": 65}, "outro 65"),
        ({"swing": 1.1}, "swing 1.1"),
        ({"swing": float("nan")}, "swing nan"),
    ],
)
def test_values_out_of_range(values: dict[str, object], says: str) -> None:
    with pytest.raises(AudioTransferError, match=says):
        CoverOptions(**values)  # type: ignore[arg-type]


def test_a_corrected_chord_is_played(song: Path, tmp_path: Path) -> None:
    sheet = lead_sheet(midi.read(song))
    write_chord_sheet(sheet, tmp_path / "song.chords.txt")
    text = (tmp_path / "song.chords.txt").read_text()
    options = CoverOptions(leadsheet=tmp_path / "song.chords.txt")
    same = play(song, "a.mid", cover=options, strength=0.5)
    assert same.cover is not None and any(c.startswith("F") for c in same.cover.chords)
    lines = [line.replace("F", "Db") if "|" in line else line for line in text.splitlines()]
    (tmp_path / "song.chords.txt").write_text("\n".join(lines) + "\n")
    other = play(song, "b.mid", cover=options, strength=0.5)
    assert other.cover is not None
    assert any(chord.startswith(("Db", "C#")) for chord in other.cover.chords)
    assert not any(chord.startswith("F") for chord in other.cover.chords)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn."""
    kept: list[Figure] = []
    drawn = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (kept.append(self), drawn(self, *a, **k))
    )
    return kept


def test_notation_and_plot_stand_beside(song: Path, figures: list[Figure]) -> None:
    report = play(song, extras=MidiExtras(plot=True, score=True), cover=CoverOptions(intro=1))
    assert {Path(p).name for p in report.files.values()} == {"out.png", "out.musicxml"}
    score = ElementTree.parse(report.files["score"]).getroot()
    assert report.cover is not None
    assert len(score.findall("part")) == len(report.cover.parts)
    assert len(score.find("part").findall("measure")) == BARS + 1  # type: ignore[union-attr]
    before, after = figures[0].axes
    names = [text.get_text() for text in before.texts]
    assert "Am" in names or "Am7" in names
    assert "intro" in [text.get_text() for text in after.texts]
    # The song's first bar stands above the same bar of the cover.
    assert before.get_xticks()[0] == pytest.approx(
        after.get_xlim()[0] - before.get_xlim()[0], abs=16
    )
    labels = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert "before: Melody" in labels and "after: lead" in labels


@pytest.mark.parametrize("metre", [(1, 4), (2, 4), (4, 4)])
@pytest.mark.parametrize(("tempo", "added"), [(120.0, 0), (120.0, 2), (50.0, 1)])
def test_bars_of_plot_and_report_are_those_of_the_lead_sheet(
    song: Path, metre: tuple[int, int], tempo: float, added: int, figures: list[Figure]
) -> None:
    """Also where the file's metre is not believed, and where the band's feel is doubled."""
    score = symusic.Score.from_midi(song_file(tempo).to_bytes())
    score.time_signatures[0] = symusic.TimeSignature(0, *metre)
    score.dump_midi(song)
    sheet = lead_sheet(midi.read(song))
    bars = len(sheet.bars)
    assert bars == {1: BARS, 2: 2 * BARS, 4: BARS}[metre[0]]
    cover = CoverOptions(intro=added, outro=added)
    report = play(song, extras=MidiExtras(plot=True), cover=cover)
    assert report.cover is not None
    assert report.bars == len(report.cover.chords) == bars + 2 * added and all(report.cover.chords)
    for figure_axes, count in ((0, bars), (1, bars + 2 * added)):
        rows = figures[0].axes[figure_axes::2]
        labels = [int(text.get_text()) for axis in rows for text in axis.get_xticklabels()]
        assert labels == list(range(1, count + 1))
    ticks = np.concatenate([axis.get_xticks() for axis in figures[0].axes[::2]])
    assert ticks == pytest.approx([4 * bar.beat for bar in sheet.bars], abs=0.1)


def test_the_legend_of_many_tracks_is_cut(song: Path, figures: list[Figure]) -> None:
    """Of the file's many tracks eleven and a number are named, and all of the band's parts."""
    score = symusic.Score.from_midi(song_file().to_bytes())
    for number in range(80):
        track = symusic.Track(f"Pad {number}", 88, False)
        track.notes.append(symusic.Note(number * 12, 96, 60 + number % 12, 60))
        score.tracks.append(track)
    score.dump_midi(song)
    report = play(song, extras=MidiExtras(plot=True))
    labels = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert len(labels) <= 24
    assert any(label.startswith("before: ") and label.endswith(" more") for label in labels)
    assert report.cover is not None
    assert {f"after: {name}" for name in report.cover.parts} <= set(labels)


def test_a_cover_without_a_part_of_the_band_is_notated_and_drawn(song: Path) -> None:
    """The band has no drums, and the song's pitched parts stay: its melody is notated."""
    wanted = MidiExtras(plot=True, score=True)
    report = play(song, style="classical", stems={"pitched": StemChoice("keep")}, extras=wanted)
    assert report.cover is not None and report.cover.parts == {}
    score = ElementTree.parse(report.files["score"]).getroot()
    assert len(list(score.iter("note"))) >= 4 * BARS
    assert Path(report.files["plot"]).is_file()


def test_the_band_is_rendered_with_its_instruments(song: Path) -> None:
    report = play(song, extras=MidiExtras(render=True))
    audio, rate = soundfile.read(report.files["audio"])
    assert rate == 44100 and audio.shape[1] == 2
    assert len(audio) / rate == pytest.approx(report.seconds + 2, abs=1.5)
    assert 0.05 < np.abs(audio).max() <= 0.91


def test_stems_of_the_band_sum_to_its_sound(song: Path, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    wanted = MidiExtras(render=True, encoding="float32", stems_out=tmp_path / "parts")
    report = play(song, extras=wanted)
    assert report.cover is not None
    files = sorted((tmp_path / "parts").iterdir())
    assert {path.stem for path in files} == set(report.cover.parts)
    mix, _ = soundfile.read(report.files["audio"])
    total = sum(soundfile.read(path)[0] for path in files)
    assert np.abs(mix - total).max() < 1e-4
    with pytest.raises(AudioTransferError, match=r"parts/\w+\.wav exists"):
        play(song, "other.mid", extras=wanted)
    assert not song.with_name("other.mid").exists()


# --- the command line


@pytest.fixture
def place(song: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    soundfile.write(song.with_name("noise.wav"), np.full((4000, 2), 0.1), 44100)
    monkeypatch.chdir(song.parent)
    return song.parent


def test_options_reach_the_band(run: Run, place: Path) -> None:
    words = ("--lead", "trumpet", "--transpose", "-2", "--tempo", "132", "--outro", "2")
    code, out, err = run("song.mid", "--style", "jazz", *words, "--swing", "0", "--json")
    assert (code, err) == (0, "")
    (done,) = json.loads(out)["done"]
    assert (done["mode"], done["cover"]["lead"]) == ("cover", "trumpet")
    assert len(done["cover"]["chords"]) == BARS + 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("song.mid", "--mode", "timbre"), "a MIDI file has cover or network"),
        (("noise.wav", "--mode", "network"), "a recording has cover or timbre"),
        (("song.mid", "--mode", "coverr"), "did you mean cover"),
        (("song.mid", "--lead", "saxx"), "did you mean sax"),
        (("song.mid", "--tempo", "5"), "tempo 5.0 is out of range"),
        (("song.mid", "--tempo", "fast"), "'fast' is no number"),
        (("song.mid", "--intro", "1.5"), "'1.5' is no whole number"),
        (("song.mid", "--melody", "kepe"), "did you mean keep"),
        (("song.mid", "--leadsheet", "gone.json"), "gone.json"),
    ],
)
def test_a_line_says_what_is_possible(
    run: Run, place: Path, words: tuple[str, ...], says: str
) -> None:
    code, out, err = run(*words, "--style", "jazz")
    assert (code, out) == (2, "") and says in err and len(err.splitlines()) == 1


def test_a_lead_sheet_is_that_of_one_song(run: Run, place: Path) -> None:
    (place / "other.mid").write_bytes((place / "song.mid").read_bytes())
    write_chord_sheet(lead_sheet(midi.read(place / "song.mid")), place / "song.chords.txt")
    words = ("--style", "jazz", "--leadsheet", "song.chords.txt", "-o", "made/")
    code, out, err = run("song.mid", "other.mid", *words)
    assert (code, out) == (2, "") and not (place / "made").exists()
    assert "song.chords.txt is the lead sheet of one song, and there are 2" in err
    assert run("song.mid", *words)[0] == 0


def test_several_songs_have_a_folder_of_stems_each(run: Run, place: Path) -> None:
    (place / "other.mid").write_bytes((place / "song.mid").read_bytes())
    words = ("--style", "jazz", "--strength", "0.1", "--render", "--stems-out", "stems")
    code, _, err = run("song.mid", "other.mid", *words)
    assert (code, err) == (0, "")
    assert {path.name for path in (place / "stems").iterdir()} == {"song.jazz", "other.jazz"}
    assert (place / "stems" / "song.jazz" / "lead.wav").is_file()


def test_a_mode_of_the_other_kind_does_not_end_a_batch(run: Run, place: Path) -> None:
    words = ("--style", "jazz", "--mode", "network", "-o", "made/")
    code, out, err = run("song.mid", "noise.wav", *words)
    assert (code, out) == (1, "made/song.jazz.mid\n")
    (line,) = err.splitlines()
    assert line.startswith("audiotransfer: noise.wav: mode network changes the notes of MIDI files")
    code, out, err = run(".", *words[:-1], "both/")
    assert (code, out) == (0, "both/song.jazz.mid\n")
    assert "1 recording is left out: mode network changes the notes of MIDI files" in err


def test_options_of_the_other_mode_are_named(run: Run, place: Path) -> None:
    words = ("song.mid", "--style", "jazz", "-f")
    code, _, err = run(*words, "--mode", "network", "--lead", "sax", "--intro", "2")
    assert code == 0
    assert "--lead, --intro: for covers only; --mode network goes without" in err
    code, _, err = run(*words, "--melody", "change")
    assert (code, err) == (
        0,
        "audiotransfer: --melody: for --mode network only; a cover keeps the melody\n",
    )


def test_options_of_sound_need_rendering(run: Run, place: Path) -> None:
    words = ("song.mid", "--style", "jazz", "-f")
    code, _, err = run(*words, "--stems-out", "parts")
    assert (code, err) == (0, "audiotransfer: --stems-out: needs --render with MIDI files\n")
    assert not (place / "parts").exists()
    code, _, err = run(*words, "--stems-out", "parts", "--format", "flac")
    assert "--format, --stems-out: need --render with MIDI files" in err
    code, _, err = run(*words, "--stems-out", "parts", "--render", "--strength", "0.1")
    assert (code, err) == (0, "") and (place / "parts" / "lead.wav").is_file()


def test_options_of_midi_have_a_help_page(run: Run) -> None:
    code, out, err = run("transfer", "--help-midi")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80 and len(lines) <= 50
    for word in ("--lead", "--leadsheet", "--melody", "--score", "--render"):
        assert word in out
    assert "--help-midi" in run("transfer", "--help")[1]


def test_rows_without_chords_and_songs_of_drums_alone_are_plotted(tmp_path: Path) -> None:
    score = symusic.Score(TPQ)
    drums = symusic.Track("drums", 0, True)
    drums.notes.extend(symusic.Note(TPQ * beat, TPQ // 4, 38, 90) for beat in range(140))
    piano = symusic.Track("piano", 0)
    piano.notes.extend(symusic.Note(0, 2 * TPQ, pitch, 80) for pitch in (60, 64, 67))
    score.tracks.extend([drums, piano])  # 35 bars in two rows, chords in the first alone
    for name in ("sparse", "drums"):
        folder = tmp_path / name
        folder.mkdir()
        score.dump_midi(folder / "song.mid")
        report = play(folder / "song.mid", extras=MidiExtras(plot=True))
        assert Path(report.files["plot"]).read_bytes().startswith(b"\x89PNG")
        del score.tracks[1:]
