"""Preparation of collections: stems, spectrograms without silence, resuming, training windows."""

from __future__ import annotations

import errno
import importlib.util
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from audiotransfer import parallel
from audiotransfer.cli import main
from audiotransfer.cli.prepare import _length
from audiotransfer.data.datasets import genre_folders
from audiotransfer.data.datasets.base import Sampling
from audiotransfer.data.manifest import Feature, Manifest, PreparedSong, load_manifest
from audiotransfer.data.unpaired import PreparedWindows
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline import TransferOptions, transfer_many
from audiotransfer.preparation import Settings, prepare_collection, spectrogram_settings
from audiotransfer.preparation import collection as collection_room
from audiotransfer.preparation.song import prepare_song
from audiotransfer.preparation.spectrograms import SILENT, draw, sounding, stretches
from separation.hpss import HpssSeparator
from vocoder import SpectrogramSettings

RATE = 44100
SMALL = (("bins", "16"), ("n_fft", "512"), ("hop_length", "128"))
HERE = {"separator": "none", "jobs": 1}


def write(path: Path, seconds: float = 1.0, level: float = 0.02, rate: int = RATE) -> Path:
    """Noise, by the name of its file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(len(path.name))
    wave = level * random.standard_normal((round(seconds * rate), 2))
    soundfile.write(path, wave, rate, subtype="FLOAT" if path.suffix == ".wav" else None)
    return path


def own(root: Path, songs: int = 1) -> Path:
    for genre in ("rock", "jazz"):
        for number in range(songs):
            write(root / genre / f"song {number}.wav")
    return root


def settings(**changes: Any) -> Settings:
    return Settings(**{"spectrogram": spectrogram_settings(SMALL), **HERE, **changes})


def refused(*args: Any) -> str:
    with pytest.raises(AudioTransferError) as caught:
        prepare_collection(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what sounds


def test_stretches_by_hand() -> None:
    loud = np.array([1, 1, 0, 1, 0, 0, 1], dtype=bool)
    assert stretches(loud) == [(0, 2), (3, 4), (6, 7)]
    assert stretches(np.zeros(3, dtype=bool)) == []


def test_silence_is_dropped_and_pauses_are_kept() -> None:
    rate = 1000
    sound = torch.zeros(2, 10 * rate)
    for start, stop in ((1, 3), (3.75, 5), (8, 8.25)):  # a short pause, then a click after a rest
        sound[:, int(start * rate) : int(stop * rate)] = 2 * SILENT
    assert sounding(sound, rate) == [(1.0, 5.0)]
    assert sounding(sound * 0.4, rate) == []
    assert sounding(torch.full((2, 300), 0.1), rate) == [(0.0, 0.3)]  # shorter than any window


def test_spectrograms_drawn_in_pieces_equal_the_whole() -> None:
    spectrogram = SpectrogramSettings(
        sample_rate=1000, n_fft=128, hop_length=40, bins=8, f_max=500.0
    )
    sound = 0.1 * torch.randn(2, 133_333, generator=torch.Generator().manual_seed(0))
    whole = spectrogram.stereo(sound).T.numpy()
    drawn = draw(sound, spectrogram)
    assert drawn.dtype == np.float16 and drawn.shape == whole.shape
    np.testing.assert_allclose(drawn, whole, atol=2**-8)  # half a step of float16 below 8


def test_spectrogram_settings() -> None:
    assert spectrogram_settings() == SpectrogramSettings().to_dict()
    low = spectrogram_settings((("sample_rate", "16000"),))
    assert low["f_max"] == 8000.0 and low["sample_rate"] == 16000
    with pytest.raises(Exception, match="did you mean 'bins'"):
        spectrogram_settings((("bin", "3"),))
    for name, value, kind in (
        ("bins", "[1, 2]", "a whole number"),
        ("f_min", "low", "a number"),
        ("kind", "3", "a word"),
    ):
        with pytest.raises(AudioTransferError, match=f"is not {kind}"):
            spectrogram_settings(((name, value),))
    assert spectrogram_settings((("f_min", "30"),))["f_min"] == 30.0


# --- a collection


def test_songs_become_stems_spectrograms_and_a_manifest(tmp_path: Path) -> None:
    root = own(tmp_path / "my")
    quiet = write(root / "rock" / "rest.wav", seconds=4.0)
    wave, _ = soundfile.read(quiet)
    wave[RATE : 3 * RATE] = 0.0
    soundfile.write(quiet, wave, RATE)
    manifest = prepare_collection([root], tmp_path / "out", settings())
    assert manifest == load_manifest(tmp_path / "out") == load_manifest(manifest.save())
    assert [song.id for song in manifest.songs] == ["jazz/song 0", "rock/rest", "rock/song 0"]
    assert manifest.kind == "folders" and manifest.separator == "none"
    assert manifest.stems == ["other"] and manifest.genres == ["jazz", "rock"]
    assert manifest.sampling.crop_seconds == (10.0, 15.0)
    song = manifest.of("jazz", "train")[0]
    stem, rate = soundfile.read(manifest.folder / song.files["other"])
    assert rate == RATE and stem.shape == (RATE, 2)
    assert math.isclose(np.sqrt((stem**2).mean()), 0.1, rel_tol=0.01)
    spectrogram = np.load(manifest.folder / song.features["other"].file, mmap_mode="r")
    expected = SpectrogramSettings.from_dict(manifest.spectrogram).stereo(
        torch.from_numpy(stem.T).float()
    )
    assert spectrogram.dtype == np.float16
    np.testing.assert_allclose(spectrogram, expected.T.numpy()[: len(spectrogram)], atol=2**-8)
    rest = manifest.songs[1].features["other"]
    second = RATE / 128
    assert [start / second for start, _ in rest.runs] == pytest.approx([0, 3], abs=0.01)
    assert rest.frames / second == pytest.approx(2, abs=0.02)
    assert len(np.load(manifest.folder / rest.file)) == rest.frames


def test_songs_stay_in_their_splits_when_others_are_added(tmp_path: Path) -> None:
    root, out = own(tmp_path / "my", songs=3), tmp_path / "out"
    first = prepare_collection([root], out, settings())
    for number in range(3, 15):
        write(root / "rock" / f"song {number}.wav")
    again = prepare_collection([root], out, settings())
    before, after = ({song.id: song.split for song in m.songs} for m in (first, again))
    assert {name: after[name] for name in before} == before
    assert len(again.of("rock", "test")) == len(again.of("rock", "validation")) == 2
    other = prepare_collection([root], out, settings(seed=1))
    assert other.seed == 1 and "drawn anew, by seed 1 instead of 0" in other.notes[-1]
    (out / "manifest.json").write_text("{")
    lost = prepare_collection([root], out, settings(seed=1))
    assert any("drawn anew" in note and "damaged" in note for note in lost.notes)
    assert lost.songs == other.songs


def test_a_second_run_does_only_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, out = own(tmp_path / "my", songs=2), tmp_path / "out"
    worked: list[str] = []

    def watched(task: Any) -> Any:
        worked.append(task.song.id)
        return prepare_song(task)

    monkeypatch.setattr(collection_room, "prepare_song", watched)
    first = prepare_collection([root], out, settings())
    assert len(worked) == 4
    worked.clear()
    assert prepare_collection([root], out, settings()) == first and not worked
    song = first.songs[0]
    stem = out / song.files["other"]
    made = stem.stat().st_mtime_ns
    (out / song.features["other"].file).unlink()  # a spectrogram: its stem stays
    assert prepare_collection([root], out, settings()) == first and worked == [song.id]
    assert stem.stat().st_mtime_ns == made
    worked.clear()
    write(root / "jazz" / "song 1.wav", seconds=1.5)  # another recording of that name
    write(root / "rock" / "new.wav")
    prepare_collection([root], out, settings())
    assert sorted(worked) == ["jazz/song 1", "rock/new"]
    worked.clear()
    other = spectrogram_settings((*SMALL, ("bins", "8")))
    assert prepare_collection([root], out, settings(spectrogram=other)).spectrogram["bins"] == 8
    assert len(worked) == 5 and stem.stat().st_mtime_ns == made  # spectrograms only
    worked.clear()
    prepare_collection([root], out, settings())  # the first ones are still there
    assert not worked


def test_stems_of_another_separator_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same name, but with other weights; and of another stretch of the song."""
    root, out = own(tmp_path / "my"), tmp_path / "out"
    first = prepare_collection([root], out, settings(separator="hpss"))
    stem = out / first.songs[0].files["drums"]
    made = stem.stat().st_mtime_ns
    assert prepare_collection([root], out, settings(separator="hpss")) == first
    assert stem.stat().st_mtime_ns == made
    other = prepare_collection([root], out, settings())
    assert other.stems == ["other"] and other.separator == "none"
    monkeypatch.setattr(HpssSeparator, "version", 2, raising=False)
    prepare_collection([root], out, settings(separator="hpss"))
    again = stem.stat().st_mtime_ns
    assert again > made
    monkeypatch.setattr(genre_folders, "CLIP_SECONDS", 0.5)
    cut = prepare_collection([root], out, settings(separator="hpss"))
    assert cut.songs[0].seconds == 0.5 and soundfile.info(stem).duration == 0.5


def test_a_song_that_cannot_be_used_is_listed(tmp_path: Path) -> None:
    root = own(tmp_path / "my")
    broken = write(root / "rock" / "broken.wav")
    wave, _ = soundfile.read(broken)
    wave[100] = np.nan
    soundfile.write(broken, wave, RATE, subtype="FLOAT")
    write(root / "rock" / "silent.wav", level=0.0)
    manifest = prepare_collection([root], tmp_path / "out", settings())
    assert len(manifest.songs) == 2
    why = {one.id: one.why for one in manifest.skipped}
    assert "NaN" in why["rock/broken"] and "is silent" in why["rock/silent"]
    (root / "rock" / "song 0.wav").unlink()
    message = refused([root], tmp_path / "out", settings())
    assert "genre 'rock' is empty" in message and "broken.wav" in message


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, out = own(tmp_path / "my", songs=2), tmp_path / "out"
    save, saved = np.save, []

    def full(file: Any, array: Any) -> None:
        if len(saved) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        saved.append(file.name)
        save(file, array)

    monkeypatch.setattr(np, "save", full)
    message = refused([root], out, settings())
    assert "No space left" in message and "what is done stays" in message
    assert len(list(out.rglob("*.npy"))) == 2 and not (out / "manifest.json").exists()
    monkeypatch.undo()
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.npy")}
    manifest = prepare_collection([root], out, settings())
    assert len(manifest.songs) == 4
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert not list(out.rglob("*.part"))


def test_a_closed_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = refused([own(tmp_path / "my")], tmp_path / "file" / "out", settings())
    assert "cannot be made" in message
    assert "lies in" in refused([tmp_path / "my"], tmp_path / "my" / "out", settings())


def test_mixed_rates_are_refused_unless_all_come_down(tmp_path: Path) -> None:
    root = own(tmp_path / "my")
    low = write(root / "jazz" / "low.wav", rate=22050)
    message = refused([root], tmp_path / "out", settings())
    assert "1 at 22050 Hz, 2 at 44100 Hz" in message and str(low) in message
    assert "--spectrogram sample_rate=22050" in message
    lowered = spectrogram_settings((*SMALL, ("sample_rate", "22050")))
    manifest = prepare_collection([root], tmp_path / "out", settings(spectrogram=lowered))
    assert len(manifest.songs) == 3 and manifest.frames_per_second == 22050 / 128


def test_one_low_rate_is_said(tmp_path: Path) -> None:
    for genre in ("rock", "jazz"):
        write(tmp_path / "my" / genre / "a.wav", rate=22050)
    manifest = prepare_collection([tmp_path / "my"], tmp_path / "out", settings())
    assert ["above 11025 Hz" in note for note in manifest.notes] == [True]


def test_given_stems_are_kept_at_one_gain(tmp_path: Path) -> None:
    place = tmp_path / "musdb" / "train" / "Band - Song"
    levels = {"mixture": 0.3, "drums": 0.05, "bass": 0.01, "other": 0.02, "vocals": 0.0}
    for stem, level in levels.items():
        write(place / f"{stem}.wav", level=level)
    manifest = prepare_collection([tmp_path / "musdb"], tmp_path / "out", settings(separator=None))
    assert manifest.kind == "musdb18-hq" and manifest.separator is None
    assert manifest.stems == ["bass", "drums", "other"]  # nobody sings
    read = {
        stem: soundfile.read(manifest.folder / file)[0]
        for stem, file in manifest.songs[0].files.items()
    }
    mix = np.sum(list(read.values()), axis=0)
    assert np.sqrt((mix**2).mean()) == pytest.approx(0.1, rel=0.01)
    ratio = np.sqrt((read["drums"] ** 2).mean() / (read["bass"] ** 2).mean())
    assert ratio == pytest.approx(5, rel=0.05)
    split = prepare_collection([tmp_path / "musdb"], tmp_path / "out", settings())
    assert split.stems == ["other"]  # a separator that was named takes the mix


def test_rendered_songs_without_mixes_cannot_be_separated(tmp_path: Path) -> None:
    place = tmp_path / "songs" / "one"
    for side in ("source", "target/jazz"):
        write(place / side / "bass.wav")
    (place / "song.json").write_text(json.dumps({"split": "train"}))
    message = refused([tmp_path / "songs"], tmp_path / "out", settings())
    assert "stems and no mixes" in message
    manifest = prepare_collection([tmp_path / "songs"], tmp_path / "out", settings(separator=None))
    assert manifest.genres == ["jazz", "source"] and manifest.stems == ["bass"]


def test_melon_trains_on_its_own_spectrograms(tmp_path: Path) -> None:
    root = tmp_path / "melon"
    (root / "arena_mel" / "0").mkdir(parents=True)
    (root / "genre_gn_all.json").write_text(json.dumps({"GN1000": "rock", "GN1700": "jazz"}))
    songs = []
    for number in range(2):
        genre = ("GN1000", "GN1700")[number]
        songs.append({"id": number, "song_gn_gnr_basket": [genre], "song_gn_dtl_gnr_basket": []})
        spectrogram = np.random.default_rng(number).uniform(-90, 0, (48, 40)).astype(np.float32)
        spectrogram[:, 10:20] = -100.0
        np.save(root / "arena_mel" / "0" / f"{number}.npy", spectrogram)
    (root / "song_meta.json").write_text(json.dumps(songs))
    wanted = Settings(genres=("rock", "GN1700"), jobs=1)
    manifest = prepare_collection([root], tmp_path / "out", wanted)
    assert prepare_collection([root], tmp_path / "out", wanted) == manifest
    song = manifest.of("rock", "train")[0]
    assert song.features["mix"].runs == ((0, 10), (20, 20)) and not song.files
    assert song.seconds == pytest.approx(40 * 256 / 16000)
    assert any("inferred" in note for note in manifest.notes)
    batch = PreparedWindows(manifest, ("rock", "GN1700"), 8, 3).batch(0)
    assert batch["source"].shape == (3, 48, 8) and batch["source"].min() > -91
    with pytest.raises(AudioTransferError, match="48 bands"):
        manifest.require_sound("listening")
    for changes, word in (
        ({"separator": "hpss"}, "leave out --separator hpss"),
        ({"spectrogram": spectrogram_settings()}, "leave out --spectrogram"),
    ):
        asked = Settings(genres=("rock", "jazz"), jobs=1, **changes)
        assert word in refused([root], tmp_path / "out", asked)


# --- manifests


def made(
    folder: Path, songs: dict[str, tuple[str, list[int]]], sampling: Sampling | None = None
) -> Manifest:
    """Songs of one stem, by (genre, lengths of runs); a frame says which run it is of, and where.

    Spectrogram values: [run's number, frame of the run].
    """
    folder.mkdir(exist_ok=True)
    listed, number = [], 0
    for name, (genre, lengths) in songs.items():
        rows = []
        for length in lengths:
            rows.append(np.stack([np.full(length, number), np.arange(length)], 1))
            number += 1
        np.save(folder / f"{name}.npy", np.concatenate(rows).astype(np.float16))
        feature = Feature(f"{name}.npy", tuple((0, length) for length in lengths))
        listed.append(
            PreparedSong(name, "train", genre, None, "free", 1.0, (), {}, {"bass": feature})
        )
    spectrogram = {"sample_rate": 100, "hop_length": 10, "bins": 2}
    return Manifest(
        folder, "folders", None, spectrogram, tuple(listed), (), (), sampling or Sampling()
    )


def test_songs_and_artists_are_in_one_split(tmp_path: Path) -> None:
    manifest = made(tmp_path, {"a": ("rock", [10]), "b": ("jazz", [10])})
    plain = json.loads(manifest.save().read_text())
    for changes, words in (
        ({"id": "b"}, "'b' is there twice"),
        ({"split": "practice"}, "there are train, validation, test"),
        ({"artist": "x", "split": "test"}, "artist 'x' is in two splits"),
    ):
        songs = [{**plain["songs"][0], **changes}, {**plain["songs"][1], "artist": "x"}]
        (tmp_path / "manifest.json").write_text(json.dumps({**plain, "songs": songs}))
        with pytest.raises(AudioTransferError, match=words):
            load_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(AudioTransferError, match="is damaged"):
        load_manifest(tmp_path)
    with pytest.raises(AudioTransferError, match="`audiotransfer prepare` makes it"):
        load_manifest(tmp_path / "nowhere")


# --- windows


def test_windows_are_a_function_of_seed_and_step(tmp_path: Path) -> None:
    manifest = made(tmp_path, {"a": ("rock", [200]), "b": ("jazz", [200])})
    manifest.save()
    windows = PreparedWindows(tmp_path, ("rock", "jazz"), 8, 6, 3)
    first = windows.batch(5)
    windows.batch(1)
    again = PreparedWindows(manifest, ("rock", "jazz"), 8, 6, 3).batch(5)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert first["source"].dtype == torch.float32 and first["source"].shape == (6, 2, 8)
    other = PreparedWindows(manifest, ("rock", "jazz"), 8, 6, 4).batch(5)
    assert not torch.equal(first["source"], other["source"])
    assert not torch.equal(first["source"], windows.batch(6)["source"])


def test_windows_lie_within_what_sounds_and_reach_all_of_it(tmp_path: Path) -> None:
    manifest = made(tmp_path, {"a": ("rock", [12, 5, 9]), "b": ("jazz", [9])})
    batch = PreparedWindows(manifest, ("rock", "jazz"), 8, 400).batch(0)
    assert set(batch["target"][:, 0].unique().tolist()) == {3.0}
    for row in batch["source"]:
        assert row[0].unique().tolist() in ([0.0], [2.0])  # the run of 5 is too short
        assert torch.equal(row[1], row[1, 0] + torch.arange(8.0))
    seen = {(int(row[0, 0]), int(row[1, 0])) for row in batch["source"]}
    assert seen == {(0, start) for start in range(5)} | {(2, 0), (2, 1)}


def test_genres_are_drawn_evenly_whatever_their_size(tmp_path: Path) -> None:
    songs = {f"r{n}": ("rock", [300]) for n in range(9)}
    songs |= {"p": ("pop", [20]), "j": ("jazz", [100]), "c": ("classical", [100])}
    manifest = made(tmp_path, songs)
    windows = PreparedWindows(manifest, ("any", "jazz", "classical"), 8, 3000)
    batch = windows.batch(0)
    styles = batch["style"]
    assert abs(int((styles == 0).sum()) - 1500) < 110  # four standard deviations
    run = {"jazz": 10.0, "classical": 11.0, "pop": 9.0}
    targets, sources = batch["target"][:, 0, 0], batch["source"][:, 0, 0]
    for index, name in enumerate(windows.targets):
        mine = styles == index
        assert set(targets[mine].tolist()) == {run[name]}
        assert run[name] not in sources[mine].tolist()
        share = float((sources[mine] == run["pop"]).float().mean())
        assert share == pytest.approx(1 / 3, abs=0.05)


def test_a_long_song_counts_as_a_minute(tmp_path: Path) -> None:
    # Ten frames a second: a minute is 600 frames.
    manifest = made(tmp_path, {"a": ("rock", [1800]), "b": ("rock", [600]), "j": ("jazz", [10])})
    batch = PreparedWindows(manifest, ("rock", "jazz"), 8, 2000).batch(0)
    share = float((batch["source"][:, 0, 0] == 0).float().mean())
    assert share == pytest.approx(0.5, abs=0.05)


def test_crops_are_as_long_as_asked(tmp_path: Path) -> None:
    sampling = Sampling((1.0, 1.5))  # 10 to 15 frames
    songs = {"a": ("rock", [40]), "b": ("jazz", [12])}
    windows = PreparedWindows(made(tmp_path, songs, sampling), ("rock", "jazz"), 8, 300)
    batch = windows.batch(0)
    starts = batch["source"][:, 1, 0]
    assert starts.min() >= 0 and starts.max() <= 32 and len(starts.unique()) > 25
    assert batch["target"][:, 1, 0].max() == 4


def test_stems_are_named_by_their_index(tmp_path: Path) -> None:
    manifest = made(tmp_path, {"a": ("rock", [20]), "b": ("jazz", [20])})
    songs = []
    for song in manifest.songs:
        path = tmp_path / f"{song.id}-drums.npy"
        np.save(path, np.full((20, 2), 7, dtype=np.float16))
        drums = {"drums": Feature(path.name, ((0, 20),))}
        songs.append(PreparedSong(**{**song.__dict__, "features": {**song.features, **drums}}))
    both = Manifest(tmp_path, "folders", None, manifest.spectrogram, tuple(songs))
    batch = PreparedWindows(both, ("rock", "jazz"), 8, 50, stems=("drums", "bass")).batch(0)
    for side in ("source", "target"):
        assert torch.equal(batch[side][:, 0, 0] == 7, batch["stem"] == 0)
    assert 5 < int(batch["stem"].sum()) < 45


@pytest.mark.parametrize(
    ("genres", "options", "words"),
    [
        (("rok", "jazz"), {}, "did you mean rock"),
        (("rock", "rock"), {}, "one genre only"),
        (("rock",), {}, "one genre only"),
        (("rock", "jazz"), {"split": "test"}, "'rock' is empty.*test"),
        (("rock", "jazz"), {"stems": ("bras",)}, "did you mean bass"),
        (("rock", "jazz"), {"frames": 30}, "at most 20"),
    ],
)
def test_windows_that_cannot_be_drawn(
    genres: tuple[str, ...], options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    manifest = made(tmp_path, {"a": ("rock", [20]), "b": ("jazz", [20])})
    with pytest.raises(AudioTransferError, match=words) as caught:
        PreparedWindows(manifest, genres, **{"frames": 8, **options})
    assert "\n" not in str(caught.value)


# --- side by side


@contextmanager
def dask_workers() -> Iterator[None]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
        ) as two,
        Client(two),
    ):
        yield


@contextmanager
def ray_workers() -> Iterator[None]:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


#: Of the backends the test extra brings Dask; Ray is tested wherever it is installed as well.
CLUSTERS = {"dask": dask_workers, "ray": ray_workers}
INSTALLED = [name for name, of in parallel.BACKENDS.items() if importlib.util.find_spec(of)]


@pytest.fixture(scope="module", params=INSTALLED)
def cluster(request: pytest.FixtureRequest) -> Iterator[str]:
    """The backend of a local cluster of two workers."""
    with CLUSTERS[request.param]():
        yield request.param


def test_every_backend_can_be_tested_and_one_is() -> None:
    assert CLUSTERS.keys() == parallel.BACKENDS.keys() and "dask" in INSTALLED


def test_a_cluster_prepares_the_same(cluster: str, tmp_path: Path) -> None:
    root = own(tmp_path / "my", songs=3)
    (root / "rock" / "bad.wav").write_bytes(b"RIFF")
    here = prepare_collection([root], tmp_path / "here", settings())
    there = prepare_collection([root], tmp_path / "there", settings(backend=cluster, jobs=2))
    assert here.songs == there.songs and here.skipped == there.skipped
    for song in there.songs:
        one, other = (np.load(m.folder / song.features["other"].file) for m in (here, there))
        assert np.array_equal(one, other)


def test_both_workers_of_a_cluster_work(cluster: str) -> None:
    # A link to who follows it: Dask's two are threads of this process, Ray's are processes.
    found = set(parallel.each(os.path.realpath, ["/proc/thread-self"] * 16, 2, cluster))
    assert len(found) == 2
    assert not found & {os.path.realpath("/proc/thread-self")}


def test_a_cluster_transfers_a_batch(cluster: str, tmp_path: Path) -> None:
    songs = [write(tmp_path / f"{name}.wav") for name in ("one", "three", "bad")]
    songs[2].write_bytes(b"RIFF")
    options = TransferOptions(separator="none", gains_db={"other": -6.0})
    outcomes = {}
    for place, more in (("here", {}), ("there", {"jobs": 2, "backend": cluster})):
        (tmp_path / place).mkdir()
        outputs = [tmp_path / place / song.name for song in songs]
        for outcome in transfer_many(songs, outputs, options, **more):  # type: ignore[arg-type]
            outcomes[place, outcome.input.stem] = outcome
    for name in ("one", "three"):
        read = [(tmp_path / place / f"{name}.wav").read_bytes() for place in ("here", "there")]
        assert read[0] == read[1] and outcomes["there", name].report is not None
    assert outcomes["there", "bad"].error == outcomes["here", "bad"].error is not None


def test_processes_of_this_computer_work() -> None:
    found = set(parallel.each(os.path.realpath, ["/proc/self"] * 4, 2))
    assert found and f"/proc/{os.getpid()}" not in found


def test_backends_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AudioTransferError, match="there are dask, ray"):
        list(parallel.each(abs, [1], 1, "spark"))
    monkeypatch.setattr(parallel.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(AudioTransferError, match=r"pip install 'audiotransfer\[cluster\]'"):
        list(parallel.each(abs, [1], 1, "ray"))


def test_workers_are_counted() -> None:
    assert parallel.count_workers(3) == 3 and parallel.count_workers(None, "cuda") == 1
    assert parallel.count_workers(None) >= 1
    with pytest.raises(AudioTransferError, match="1 or more"):
        parallel.count_workers(0)


# --- the command


def test_the_command_prepares_and_says_what_it_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = own(tmp_path / "my"), str(tmp_path / "out")
    (root / "rock" / "bad.wav").write_bytes(b"RIFF")
    small = [word for name, value in SMALL for word in ("--spectrogram", f"{name}={value}")]
    folders = [str(root / "rock"), str(root / "jazz")]
    common = ["-o", out, "--separator", "none", "--jobs", "1", *small]
    assert main(["prepare", *folders, *common]) == 0
    said = capsys.readouterr()
    assert "rock: 1 songs, 1.0 s (1 train)" in said.out and "manifest.json" in said.out
    assert "bad.wav" in said.err and "left out" in said.err
    assert main(["prepare", "folders", str(root), "--json", "-q", *common]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["genres"] == {"jazz": {"train": 1}, "rock": {"train": 1}}
    assert values["seconds"] == {"jazz": 1.0, "rock": 1.0}
    for words, hint in (
        (["prepare", str(root)], "-o OUT"),
        (["prepare", str(root), "--genres", "rock,jaz", *common], "did you mean jazz"),
        (["prepare", str(tmp_path / "out"), "-o", str(tmp_path / "b")], "laid out like none"),
        (["prepare", str(root), *common, "--style-of", "nobody"], "nobody"),
    ):
        assert main(words) == 2
        error = capsys.readouterr().err
        assert hint in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.4, "0.4 s"), (30, "30 s"), (60, "60 s"), (99.4, "99 s"), (100, "1.7 min"),
        (599, "10 min"), (900, "15 min"), (5940, "99 min"), (6000, "1 h 40 min"),
        (36059, "10 h 1 min"),
    ],
)  # fmt: skip
def test_lengths_are_shown_with_two_figures(seconds: float, shown: str) -> None:
    assert _length(seconds) == shown


def test_the_command_still_separates_rendered_songs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "songs" / "one"
    for stem in ("drums", "bass"):
        write(place / "source" / f"{stem}.wav", seconds=0.5)
    (place / "song.json").write_text(json.dumps({"split": "train", "stems": []}))
    for count in (1, 0):
        assert main(["prepare", str(tmp_path / "songs"), "--separator", "none"]) == 0
        assert f"{count} songs separated" in capsys.readouterr().out
    assert (place / "separated" / "other.wav").is_file()
