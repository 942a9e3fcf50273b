"""Readers of data sets: each layout as it is distributed, in one form, with disjoint splits."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from hypothesis import given
from hypothesis import strategies as st

from audiotransfer.data.datasets import base
from audiotransfer.data.datasets.base import SPLITS, Found, Song
from audiotransfer.data.datasets.genre_folders import artist_of
from audiotransfer.data.datasets.gtzan import fault_filtered
from audiotransfer.data.datasets.melon import read_spectrogram
from audiotransfer.data.manifest import PreparedSong
from audiotransfer.data.splits import hold_apart, split_songs
from audiotransfer.errors import AudioTransferError

DATA = Path(__file__).parent / "data"
RATE = 8000


def sound(path: Path, seconds: float = 1.0, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.1 * np.sin(np.arange(round(seconds * rate)) * 0.2)
    soundfile.write(path, wave, rate, format="AU" if path.suffix == ".au" else None)
    return path


def gtzan(root: Path, layout: str = "genres_original", suffix: str = ".wav") -> Path:
    """Five clips of each split, a faulty one and, in wav, the broken one."""
    splits = fault_filtered()
    for genre in ("jazz", "rock"):
        for split in SPLITS:
            of_split = [c for c in splits if c.startswith(genre) and splits[c] == split]
            for clip in [c for c in of_split if c != "jazz.00054"][:5]:
                sound(root / layout / genre / f"{clip}{suffix}")
    sound(root / layout / "jazz" / f"jazz.00033{suffix}")  # in none of the lists
    if suffix == ".wav":
        (root / layout / "jazz" / "jazz.00054.wav").write_bytes(b"no header")
    return root


def own(root: Path) -> Path:
    for genre in ("rock", "jazz"):
        for artist in range(4):
            for title in range(2):
                sound(root / genre / f"{genre} artist {artist} - song {title}.wav")
    return root


def melon(root: Path, packed: bool = True) -> Path:
    root.mkdir(parents=True)
    names = {"GN1000": "록", "GN1001": "all", "GN1700": "재즈", "GN1701": "all", "GN0100": "ballad"}
    (root / "genre_gn_all.json").write_text(json.dumps(names))
    songs = [
        {
            "id": number,
            "song_gn_gnr_basket": ["GN1000"] if number % 2 else ["GN1700"],
            "song_gn_dtl_gnr_basket": ["GN1001"] if number % 2 else ["GN1701"],
            "artist_id_basket": [number // 4],
        }
        for number in range(20)
    ]
    songs[3]["song_gn_gnr_basket"] = ["GN1000", "GN1700"]
    songs.append({**songs[0], "id": 99_999})  # without a spectrogram
    (root / "song_meta.json").write_text(json.dumps(songs))
    arrays = {number: np.full((48, 30), number, dtype=np.float32) for number in range(20)}
    if not packed:
        (root / "arena_mel" / "0").mkdir(parents=True)
        for number, array in arrays.items():
            np.save(root / "arena_mel" / "0" / f"{number}.npy", array)
        return root
    for part in range(2):
        with tarfile.open(root / f"arena_mel_{part}.tar", "w") as tar:
            for number in range(part, 20, 2):
                data = io.BytesIO()
                np.save(data, arrays[number])
                member = tarfile.TarInfo(f"0/{number}.npy")
                member.size = len(data.getvalue())
                tar.addfile(member, io.BytesIO(data.getvalue()))
    return root


def musdb(root: Path) -> Path:
    for half, count in (("train", 6), ("test", 2)):
        (root / half).mkdir(parents=True)
        for number in range(count):
            name = f"{half} band {number} - song.stem.mp4"
            shutil.copy(DATA / "tone_stereo.m4a", root / half / name)
    return root


def musdb_hq(root: Path) -> Path:
    for half, count in (("train", 6), ("test", 2)):
        for number in range(count):
            for stem in ("mixture", "drums", "bass", "other", "vocals"):
                sound(root / half / f"{half} band {number} - song" / f"{stem}.wav")
    return root


def slakh(root: Path, split: str = "train", rate: int = RATE, first: int = 1) -> Path:
    parts = (("Bass", False), ("Guitar", False), ("Piano", False), ("Drums", True))
    for number in range(first, first + 4):
        track = root / split / f"Track{number:05d}"
        stems = {}
        for index, (family, drum) in enumerate(parts):
            sound(track / "stems" / f"S{index:02d}.flac", rate=rate)
            stems[f"S{index:02d}"] = {
                "inst_class": family,
                "is_drum": drum,
                "audio_rendered": index != 2,
            }
        sound(track / "mix.flac", rate=rate)
        about = {"UUID": f"score {number}", "stems": stems}
        (track / "metadata.yaml").write_text(yaml.safe_dump(about))
    return root


def rendered(root: Path) -> Path:
    for number, split in enumerate(("train", "train", "test")):
        for side in ("source", "target/jazz"):
            for stem in ("drums", "bass", "other"):
                sound(root / f"song-{number}" / side / f"{stem}.wav")
        (root / f"song-{number}" / "song.json").write_text(json.dumps({"split": split}))
    return root


TREES: dict[str, Callable[[Path], Path]] = {
    "folders": own,
    "gtzan": gtzan,
    "melon": melon,
    "musdb18": musdb,
    "musdb18-hq": musdb_hq,
    "rendered": rendered,
    "slakh": slakh,
}
GENRES = {"melon": ("GN1000", "GN1700")}


def find(kind: str, *folders: Path, genres: tuple[str, ...] = ()) -> Found:
    """What a preparation works on: songs with their splits drawn."""
    found = base.create(kind).find(folders, genres or GENRES.get(kind, ()))
    return replace(found, songs=tuple(split_songs(found.songs, 0, found.held_out)))


def refused(kind: str, *folders: Path, genres: tuple[str, ...] = ()) -> str:
    with pytest.raises(AudioTransferError) as caught:
        find(kind, *folders, genres=genres)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def splits_of(songs: list[Song] | tuple[Song, ...], genre: str) -> dict[str, int]:
    return {s: sum(song.split == s and song.genre == genre for song in songs) for s in SPLITS}


# --- every kind


@pytest.mark.parametrize("kind", base.names())
def test_every_kind_keeps_the_contract(kind: str, tmp_path: Path) -> None:
    root = TREES[kind](tmp_path / "root")
    assert base.recognise(root) == kind
    found = find(kind, root)
    assert found == find(kind, root)  # the same call, the same splits
    ids = [song.id for song in found.songs]
    assert len(ids) == len(set(ids)) > 0
    split_of: dict[str, str] = {}
    for song in found.songs:
        assert song.split in SPLITS and song.licence and song.genre
        assert not song.artist or split_of.setdefault(song.artist, song.split) == song.split
        assert all(Path(file.split("::")[0]).is_file() for file in song.sources)
        assert song.seconds > 0 or "features" in song.files
    empty = tmp_path / "empty"
    empty.mkdir()
    assert not base.create(kind).recognises(empty)
    assert str(empty) in refused(kind, empty, genres=GENRES.get(kind, ()))


def test_folders_are_asked_last_and_misspelt_kinds_get_a_hint(tmp_path: Path) -> None:
    assert base.names()[-1] == "folders"
    with pytest.raises(AudioTransferError, match="did you mean musdb18"):
        base.create("musdb17")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(AudioTransferError, match="make a folder for each genre"):
        base.recognise(tmp_path)
    with pytest.raises(AudioTransferError, match="is not a folder"):
        base.recognise(tmp_path / "missing")


# --- splits


@given(
    pairs=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 12)), min_size=1, max_size=60),
    seed=st.integers(0, 5),
)
def test_an_artist_is_in_one_split_and_every_genre_holds_some_out(
    pairs: list[tuple[str, int]], seed: int
) -> None:
    songs = [
        Song(str(n), "", genre, f"{genre}{artist}", "free", {"mix": ("a",)}, 1.0)
        for n, (genre, artist) in enumerate(pairs)
    ]
    drawn = split_songs(songs, seed)
    assert [song.id for song in drawn] == [song.id for song in songs]
    of_artist: dict[str | None, set[str]] = {}
    for song in drawn:
        of_artist.setdefault(song.artist, set()).add(song.split)
    assert all(len(splits) == 1 for splits in of_artist.values())
    for genre in {genre for genre, _ in pairs}:
        artists = {song.artist for song in drawn if song.genre == genre}
        held = {song.split for song in drawn if song.genre == genre}
        assert held == (set(SPLITS) if len(artists) >= 3 else {"train"})


def test_artists_of_two_genres_leave_both_something_to_train_on() -> None:
    songs = [
        Song(f"{genre}{artist}", "", genre, artist, "free", {"mix": ("a",)}, 1.0)
        for genre, artists in (("a", "xyz"), ("b", "xyzuvw"))
        for artist in artists
    ]
    for seed in range(20):
        drawn = split_songs(songs, seed)
        assert {song.genre for song in drawn if song.split == "train"} == {"a", "b"}


def test_seeds_draw_different_splits() -> None:
    songs = [Song(str(n), "", "a", None, "free", {"mix": ("a",)}, 1.0) for n in range(30)]
    drawn = {tuple(song.split for song in split_songs(songs, seed)) for seed in range(5)}
    assert len(drawn) == 5 and all(
        one.count("test") == one.count("validation") == 3 for one in drawn
    )


def plays(*names: str) -> list[Song]:
    """Songs GENRE/ARTIST/TITLE, or GENRE/TITLE."""
    songs = []
    for name in names:
        genre, *artist, _ = name.split("/")
        by = artist[0] if artist else None
        songs.append(Song(name, "", genre, by, "free", {"mix": ("a",)}, 1.0))
    return songs


def prepared(songs: list[Song]) -> list[PreparedSong]:
    return [PreparedSong(s.id, s.split, s.genre, s.artist, "", 1.0, (), {}, {}) for s in songs]


@given(
    old=st.sets(st.integers(0, 30), min_size=1),
    new=st.sets(st.integers(0, 60)),
    seed=st.integers(0, 3),
)
def test_songs_stay_in_their_split_when_others_are_added(
    old: set[int], new: set[int], seed: int
) -> None:
    def songs(numbers: set[int]) -> list[Song]:
        return plays(*(f"{'ab'[n % 2]}/{n // 4}/{n}" for n in sorted(numbers)))

    first = split_songs(songs(old), seed)
    again = split_songs(songs(old | new), seed, before=prepared(first))
    before, after = ({s.id: s.split for s in drawn} for drawn in (first, again))
    assert {name: after[name] for name in before} == before
    of_artist: dict[str | None, set[str]] = {}
    for song in again:
        of_artist.setdefault(song.artist, set()).add(song.split)
    assert all(len(splits) == 1 for splits in of_artist.values())
    third = split_songs(songs(old | new), seed, before=prepared(again))
    assert third == again


def test_added_songs_fill_what_is_held_out() -> None:
    first = split_songs(plays(*(f"a/{n}" for n in range(10))), 0)
    grown = plays(*(f"a/{n}" for n in range(40)), *(f"b/{n}" for n in range(10)))
    again = split_songs(grown, 0, before=prepared(first))
    for genre, count in (("a", 4), ("b", 1)):
        splits = [song.split for song in again if song.genre == genre]
        assert splits.count("test") == splits.count("validation") == count


def test_what_was_trained_on_is_never_tested_on() -> None:
    """Two songs turn out to be by one artist, one of them trained on."""
    before = [
        replace(song, split=split, artist=None)
        for song, split in zip(plays("a/x/1", "a/x/2", "a/y/3"), SPLITS, strict=True)
    ]
    again = split_songs(plays("a/x/1", "a/x/2", "a/y/3"), 0, before=prepared(before))
    assert [song.split for song in again] == ["train", "train", "test"]


def test_stated_splits_are_not_drawn() -> None:
    stated = [replace(song, split="test") for song in plays("a/1", "a/2", "a/3")]
    assert split_songs(stated, 0) == stated


def test_songs_of_held_out_artists_are_not_trained_on() -> None:
    songs = [
        Song(f"{artist}-{split}", split, "a", artist, "free", {"mix": ("a",)}, 1.0)
        for artist, split in (("x", "train"), ("x", "test"), ("y", "train"), (None, "train"))
    ]
    kept, skipped = hold_apart(songs)
    assert [song.id for song in kept] == ["x-test", "y-train", "None-train"]
    assert [(one.id, one.why) for one in skipped] == [("x-train", "x is in the test split as well")]


# --- GTZAN


def test_the_fault_filtered_lists_are_whole() -> None:
    splits = list(fault_filtered().values())
    assert [splits.count(split) for split in SPLITS] == [443, 197, 290]


@pytest.mark.parametrize(
    ("layout", "suffix"),
    [("genres_original", ".wav"), ("Data/genres_original", ".wav"), ("genres", ".au"), ("", ".au")],
)
def test_gtzan_as_it_is_distributed(layout: str, suffix: str, tmp_path: Path) -> None:
    root = gtzan(tmp_path / "root", layout, suffix)
    found = find("gtzan", root)
    for genre in ("jazz", "rock"):
        assert splits_of(found.songs, genre) == {"train": 5, "validation": 5, "test": 5}
    assert all(fault_filtered()[song.id] == song.split for song in found.songs)
    assert all(song.sample_rate == RATE and song.seconds == 1.0 for song in found.songs)
    reasons = sorted(one.why for one in found.skipped)
    faulty = "left out by the fault-filtered split"
    assert reasons == (["known to be broken"] if suffix == ".wav" else []) + [faulty]


def test_gtzan_genres_are_checked(tmp_path: Path) -> None:
    root = gtzan(tmp_path)
    assert "did you mean rock" in refused("gtzan", root, genres=("rick", "jazz"))
    assert "one genre only (jazz)" in refused("gtzan", root, genres=("jazz",))
    for clip in (root / "genres_original" / "jazz").glob("*.wav"):
        clip.write_bytes(b"broken")
    assert "'jazz' is empty" in refused("gtzan", root)


ODD = [
    "jazz.00000 (1).wav",
    "jazz.00001 copy.wav",
    "rock.00000.wav",  # strayed from its folder
    "JAZZ.00001.wav",
    "jazz.1.wav",
    "take five.wav",
    "more/jazz.00000.wav",
]


@pytest.mark.parametrize("name", ODD)
def test_one_odd_name_among_clips_is_left_out_and_named(name: str, tmp_path: Path) -> None:
    root = gtzan(tmp_path)
    whole = find("gtzan", root)
    odd = sound(root / "genres_original" / "jazz" / name)
    assert base.recognise(root) == "gtzan"
    found = find("gtzan", root)
    assert found.songs == whole.songs
    (left_out,) = set(found.skipped) - set(whole.skipped)
    assert left_out.id == str(odd) and "NNNNN.wav" in left_out.why


def test_own_songs_of_which_one_is_called_like_a_clip_are_no_gtzan(tmp_path: Path) -> None:
    root = own(tmp_path)
    for genre in ("jazz", "rock"):
        sound(root / genre / f"{genre}.00001.wav")
    assert base.recognise(root) == "folders"


def test_a_truncated_au_file_is_found_out(tmp_path: Path) -> None:
    root = gtzan(tmp_path, suffix=".au")
    clip = sorted((root / "genres_original" / "jazz").glob("*.au"))[0]
    clip.write_bytes(clip.read_bytes()[:-1000])
    assert any(
        one.id == str(clip) and "truncated" in one.why for one in find("gtzan", root).skipped
    )


# --- one's own folders


def test_own_folders_are_split_by_artist(tmp_path: Path) -> None:
    found = find("folders", own(tmp_path))
    for genre in ("jazz", "rock"):
        assert splits_of(found.songs, genre) == {"train": 4, "validation": 2, "test": 2}
    assert found.sampling.crop_seconds == (10.0, 15.0)
    places = tmp_path / "rock", tmp_path / "jazz"
    assert find("folders", *places).songs == tuple(
        sorted(found.songs, key=lambda song: song.genre, reverse=True)
    )


@pytest.mark.parametrize(
    ("name", "artist"),
    [
        ("Nina Simone - Feeling good.wav", "Nina Simone"),
        ("03 - Nina Simone - Feeling good.wav", "Nina Simone"),
        ("03. - Feeling good.wav", None),
        ("Feeling good.wav", None),
        ("Nina Simone/Pastel blues/Sinnerman.wav", "Nina Simone"),
    ],
)
def test_names_tell_artists(name: str, artist: str | None, tmp_path: Path) -> None:
    assert artist_of(sound(tmp_path / name), tmp_path) == artist


def test_tags_tell_artists(tmp_path: Path) -> None:
    path = tmp_path / "a - b.flac"
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        file.artist = "Bill Evans"
        file.write(np.zeros(RATE))
    assert artist_of(path, tmp_path) == "Bill Evans"


@pytest.mark.parametrize(
    ("whole", "start", "used"),
    [(90, 10, 70), (60, 10, 40), (50, 5, 40), (40, 0, 40), (30, 0, 30), (8, 0, 8)],
)
def test_beginnings_and_ends_of_songs_are_left_out_and_clips_are_whole(
    whole: float, start: float, used: float, tmp_path: Path
) -> None:
    root = own(tmp_path)
    sound(root / "rock" / "long.wav", whole)
    song = next(song for song in find("folders", root).songs if song.id == "rock/long")
    assert (song.start, song.seconds) == (start, used)


def test_what_cannot_be_used_is_listed(tmp_path: Path) -> None:
    root = own(tmp_path)
    bad = root / "rock" / "bad.wav"
    bad.write_bytes(b"RIFF nonsense")
    short = sound(root / "rock" / "short.wav", 0.3)
    doubled = sound(root / "jazz" / "jazz artist 0 - song 0.flac")
    found = find("folders", root)
    assert len(found.songs) == 16
    assert {one.id for one in found.skipped} >= {str(bad), str(short)}
    twice = next(one for one in found.skipped if "the same name" in one.why)
    assert doubled.stem in twice.id


def test_own_genres_are_checked(tmp_path: Path) -> None:
    root = own(tmp_path / "root")
    assert "did you mean jazz" in refused("folders", root, genres=("jaz", "rock"))
    assert "one genre only (rock)" in refused("folders", root, genres=("rock",))
    (root / "empty").mkdir()
    assert "'empty' is empty" in refused("folders", root)
    assert "both called 'rock'" in refused("folders", root / "rock", root / "empty" / ".." / "rock")
    assert "holds no genres" in refused("folders", root / "rock")


# --- Melon


@pytest.mark.parametrize("packed", [True, False])
def test_melon_by_code_or_name(packed: bool, tmp_path: Path) -> None:
    root = melon(tmp_path / "melon", packed)
    found = find("melon", root, genres=("GN1000", "재즈"))
    assert {song.genre for song in found.songs} == {"GN1000", "재즈"}
    numbers = {int(song.id) for song in found.songs}
    assert numbers == set(range(20)) - {3}  # song 3 is of both
    assert {one.why: one.id for one in found.skipped} == {
        "of more than one of these genres": "1 songs",
        "without a spectrogram": "1 songs",
    }
    assert any("inferred" in note for note in found.notes)
    assert any("cannot be turned back" in note for note in found.notes)
    for song in found.songs:
        spectrogram = read_spectrogram(song.files["features"][0])
        assert spectrogram.shape == (30, 48) and spectrogram[0, 0] == int(song.id)


def test_melon_genres_are_checked(tmp_path: Path) -> None:
    root = melon(tmp_path / "melon")
    with pytest.raises(AudioTransferError, match=r"name two or more.*GN1700 재즈"):
        base.create("melon").find([root], ())
    assert "GN1001, GN1701" in refused("melon", root, genres=("all", "GN1000"))
    assert "no genre 'GN1705'" in refused("melon", root, genres=("GN1705", "GN1000"))
    assert "one genre only" in refused("melon", root, genres=("GN1000", "록"))
    assert "'ballad' is empty" in refused("melon", root, genres=("ballad", "GN1000"))


def test_damaged_melon_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "1.npy", np.zeros((40, 10), dtype=np.float32))
    with pytest.raises(AudioTransferError, match=r"\[40, 10\].*\[48, frames\]"):
        read_spectrogram(str(tmp_path / "1.npy"))
    (tmp_path / "2.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(AudioTransferError, match="cannot be read"):
        read_spectrogram(str(tmp_path / "2.npy"))
    root = melon(tmp_path / "melon")
    (root / "song_meta.json").write_text("[")
    assert "song_meta.json" in refused("melon", root)


# --- stem sets


def test_musdb_mixes_are_read_and_its_makers_split_holds(tmp_path: Path) -> None:
    root = musdb(tmp_path)
    shared = root / "train" / "test band 0 - another.stem.mp4"
    shutil.copy(DATA / "tone_stereo.m4a", shared)
    (root / "train" / "cut - song.stem.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    found = find("musdb18", root)
    assert splits_of(found.songs, "musdb18") == {"train": 5, "validation": 1, "test": 2}
    assert all(list(song.files) == ["mix"] and song.seconds > 0 for song in found.songs)
    why = {Path(one.id).name: one.why for one in found.skipped}
    assert why["test band 0 - another"] == "test band 0 is in the test split as well"
    assert "cut - song.stem.mp4" in why
    assert any("MUSDB18-HQ has the true stems" in note for note in found.notes)


def test_undecodable_musdb_points_to_the_other_one(tmp_path: Path) -> None:
    root = musdb(tmp_path)
    for path in root.rglob("*.mp4"):
        path.write_bytes((DATA / "tone_stereo.m4a").read_bytes().replace(b"mp4a", b"drms"))
    assert "use MUSDB18-HQ" in refused("musdb18", root)


def test_musdb_hq_has_every_stem(tmp_path: Path) -> None:
    root = musdb_hq(tmp_path)
    (root / "train" / "train band 3 - song" / "bass.wav").unlink()
    found = find("musdb18-hq", root)
    assert splits_of(found.songs, "musdb18-hq") == {"train": 4, "validation": 1, "test": 2}
    assert set(found.songs[0].files) == {"mix", "drums", "bass", "other", "vocals"}
    assert ["bass.wav does not exist" in one.why for one in found.skipped] == [True]


def test_slakh_adds_instruments_up(tmp_path: Path) -> None:
    root = slakh(tmp_path)
    slakh(root, "test", first=5)
    slakh(root, "omitted", first=9)
    again = root / "test" / "Track00005" / "metadata.yaml"
    again.write_text(again.read_text().replace("score 5", "score 2"))
    found = find("slakh", root)
    assert splits_of(found.songs, "slakh") == {"train": 4, "validation": 0, "test": 3}
    roles = {stem: [Path(f).stem for f in files] for stem, files in found.songs[0].files.items()}
    assert roles == {"mix": ["mix"], "bass": ["S00"], "other": ["S01"], "drums": ["S03"]}
    assert [one.why for one in found.skipped] == ["the same score as Track00002"]


def test_baby_slakh_is_split_by_seed(tmp_path: Path) -> None:
    found = find("slakh", slakh(tmp_path, split="", rate=16_000))
    assert splits_of(found.songs, "slakh") == {"train": 2, "validation": 1, "test": 1}
    assert all(song.sample_rate == 16_000 for song in found.songs)


def test_a_damaged_track_is_listed(tmp_path: Path) -> None:
    root = slakh(tmp_path)
    (root / "train" / "Track00001" / "metadata.yaml").write_text("a: [")
    (root / "train" / "Track00002" / "stems" / "S00.flac").unlink()
    found = find("slakh", root)
    assert [song.id for song in found.songs] == ["Track00003", "Track00004"]
    assert ["S00.flac is missing" in one.why for one in found.skipped] == [False, True]


def test_rendered_songs_are_two_sides_of_a_score(tmp_path: Path) -> None:
    root = rendered(tmp_path)
    found = find("rendered", root)
    assert splits_of(found.songs, "source") == splits_of(found.songs, "jazz")
    assert {song.split for song in found.songs if song.id.startswith("song-2")} == {"test"}
    (root / "song-0" / "target" / "jazz").rename(root / "song-0" / "target" / "swing")
    (root / "song-1" / "target" / "notes.txt").write_text("no style")
    assert {song.genre for song in find("rendered", root).songs} == {"source", "jazz", "swing"}
