"""Finding the songs of a command, and naming their outputs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline import naming, own_outputs
from audiotransfer.pipeline.naming import (
    SongFile,
    ensure_folder,
    find_songs,
    name_clashes,
    names_folder,
    output_paths,
)

JAZZ = ".jazz.wav"


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def found(*places: Path, styles: tuple[str, ...] = ("jazz", "rock")) -> list[SongFile]:
    return find_songs(places, styles).songs


def named(songs: list[SongFile], folder: str | Path | None = "out") -> list[str]:
    return [str(path) for path in output_paths(songs, lambda _: JAZZ, folder)]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_song_is_called_after_its_file() -> None:
    assert named([SongFile(Path("a/b.c.mp3"))], None) == ["b.c.jazz.wav"]
    assert named([SongFile(Path("a/x.mp3")), SongFile(Path("b/y.mp3"))]) == [
        "out/x.jazz.wav",
        "out/y.jazz.wav",
    ]


def test_a_folder_keeps_its_structure(here: Path) -> None:
    touch(here, "album/cd1/01.wav", "album/cd2/02.wav", "album/intro.wav")
    assert named(found(Path("album"))) == [
        "out/cd1/01.jazz.wav",
        "out/cd2/02.jazz.wav",
        "out/intro.jazz.wav",
    ]


def test_same_names_of_different_folders_mirror_their_folders(here: Path) -> None:
    touch(here, "a/01.wav", "b/01.wav", "b/c/01.wav")
    assert named([SongFile(Path("a/01.wav")), SongFile(here / "b" / "01.wav")]) == [
        "out/a/01.jazz.wav",
        "out/b/01.jazz.wav",
    ]
    assert named(found(Path("a"), Path("b"))) == [
        "out/a/01.jazz.wav",
        "out/b/01.jazz.wav",
        "out/b/c/01.jazz.wav",
    ]


def test_same_names_of_one_folder_keep_their_suffixes(here: Path) -> None:
    touch(here, "a/x.mp3", "a/x.flac", "a/y.wav", "b/x.mp3")
    assert named(found(Path("a"))) == [
        "out/x.flac.jazz.wav",
        "out/x.mp3.jazz.wav",
        "out/y.jazz.wav",
    ]
    assert named(found(Path("a"), Path("b")))[-1] == "out/b/x.jazz.wav"
    # A name that would be taken by one that keeps its suffix keeps its own, too.
    touch(here, "c/x.mp3", "c/x.flac", "c/x.mp3.wav")
    assert named(found(Path("c"))) == [
        "out/x.flac.jazz.wav",
        "out/x.mp3.jazz.wav",
        "out/x.mp3.wav.jazz.wav",
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from("abA"), max_size=2).map(tuple),
            st.sampled_from(["x", "X", "x.mp3", "y.z"]),
            st.sampled_from([".mp3", ".wav"]),
        ),
        unique=True,
        min_size=1,
        max_size=8,
    ),
    st.booleans(),
)
def test_no_two_songs_get_one_place(songs: list, one_folder: bool) -> None:
    paths = [Path("in", *folders, name + end) for folders, name, end in songs]
    given_ = [SongFile(path, Path("in") if one_folder else None) for path in paths]
    names = named(given_)
    assert len(set(names)) == len(names)
    for path, name in zip(paths, names, strict=True):
        assert Path(name).name in (f"{path.stem}{JAZZ}", f"{path.name}{JAZZ}")
        assert Path(os.path.normpath(name)).is_relative_to("out")


def test_where_case_does_not_count(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    songs = [SongFile(Path("a/Intro.wav")), SongFile(Path("b/intro.wav"))]
    assert named(songs) == ["out/Intro.jazz.wav", "out/intro.jazz.wav"]
    monkeypatch.setattr(naming, "ignores_case", lambda _: True)
    assert named(songs) == ["out/a/Intro.jazz.wav", "out/b/intro.jazz.wav"]
    assert name_clashes(["a", "b"], ["o/X.wav", "o/x.wav"])[1] is not None


def test_whether_case_counts_is_asked_of_the_folder(here: Path) -> None:
    touch(here, "name")
    assert naming.ignores_case(here / "not" / "there") == (here / "NAME").exists()
    assert [path.name for path in here.iterdir()] == ["name"]


def test_no_song_is_written_over(here: Path) -> None:
    touch(here, "a.wav", "b.wav")
    (here / "link.wav").symlink_to("b.wav")
    errors = name_clashes(
        ["a.wav", "b.wav", "c.wav", "d.wav", "e.wav"],
        ["a.wav", "out/x.wav", "out/../out/x.wav", "link.wav", "out/y.wav"],
    )
    assert [error is None for error in errors] == [False, True, False, False, True]
    assert "song itself" in str(errors[0]) and "b.wav already" in str(errors[2])
    assert "one of the songs" in str(errors[3])


def test_songs_are_found_once_in_the_order_of_the_request(here: Path) -> None:
    touch(here, "album/b.wav", "album/a.mp3", "album/no.txt", "album/.hidden/c.wav")
    songs = found(Path("album/b.wav"), Path("album"), Path("./album/../album/a.mp3"))
    assert [str(song.path) for song in songs] == ["album/b.wav", "album/a.mp3"]
    (here / "bare").mkdir()
    with pytest.raises(AudioTransferError, match="bare holds no audio"):
        found(Path("album"), Path("bare"))


def test_what_the_program_wrote_is_left_out_of_folders(here: Path) -> None:
    stems = [f"{stem}.wav" for stem in own_outputs.STEMS]
    ours = [
        "song.jazz.wav",
        "cd/song.rock.mp3",
        "song.jazz.mid.wav",
        *(f"song.stems/{stem}" for stem in stems),
        *(f"kept/{stem}" for stem in stems),
        "kept/drums.jazz.wav",
        "two.stems/no_vocals.wav",
    ]
    theirs = [
        "song.wav",
        "song.mix.wav",
        "drums.wav",
        "vocals.wav",
        "jazz.wav",
        "song.reggae.wav",
        "kept/whole.wav",
    ]
    touch(here, *(f"in/{name}" for name in (*ours, *theirs)))
    result = find_songs([Path("in")], ("jazz", "rock"))
    assert sorted(str(path.relative_to("in")) for path in result.own) == sorted(ours)
    assert sorted(str(song.below) for song in result.songs) == sorted(theirs)
    # Whoever names one means it.
    result = find_songs([Path("in/song.jazz.wav"), Path("in")], ("jazz", "rock"))
    assert result.songs[0].path == Path("in/song.jazz.wav")
    assert Path("in/song.jazz.wav") not in result.own
    touch(here, "mine/a.jazz.wav")
    with pytest.raises(AudioTransferError, match="only outputs of this program or stems"):
        found(Path("mine"))


@pytest.mark.parametrize(
    ("out", "folder"),
    [
        ("new/", True),
        ("new", True),
        ("there", True),
        ("Vol. 2", True),
        ("album-2.0", True),
        ("x.wav", False),
        ("x.mid", False),
        ("x.xyz", False),
        ("x.wav/", True),
    ],
)
def test_which_names_are_folders(here: Path, out: str, folder: bool) -> None:
    (here / "there").mkdir()
    assert names_folder(out) == folder
    if not folder:
        with pytest.raises(AudioTransferError, match="is no folder, and 2 songs need one"):
            names_folder(out, songs=2)


def test_folders_are_made_and_empty_ones_taken_away(here: Path) -> None:
    with ensure_folder(here / "a" / "b"):
        assert (here / "a" / "b").is_dir()
    assert not (here / "a").exists()
    with pytest.raises(KeyboardInterrupt), ensure_folder(here / "a" / "b"):
        touch(here, "a/kept")
        raise KeyboardInterrupt
    assert [path.name for path in (here / "a").iterdir()] == ["kept"]
    (here / "c").mkdir()
    with ensure_folder(here / "c"):
        pass
    assert (here / "c").is_dir()
    for name in ("a/kept", "a/kept/d", "x" * 300, "nul\0"):
        with (
            pytest.raises(AudioTransferError, match="cannot be made"),
            ensure_folder(here / "new" / ".." / name),
        ):
            pass
    assert sorted(path.name for path in here.iterdir()) == ["a", "c"]
