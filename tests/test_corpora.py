"""Training data: effects, stems on disk, random mixes, pairs; batches as functions of the step."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from scipy import signal
from torch import Tensor

from audiotransfer.data.paired import STEMS, PairedStems, PairSettings, ShuffledStems, find_pairs
from audiotransfer.data.rendering import production
from audiotransfer.data.stem_mixes import (
    BAND,
    MixSettings,
    RandomMixes,
    StemRecording,
    rendered_stems,
    solo_stems,
    song_stems,
)
from audiotransfer.data.stem_mixes import STEMS as ALL_STEMS
from audiotransfer.data.voice_mixing import compressed_together, sung_level, with_formants
from audiotransfer.errors import AudioTransferError

RATE = 44100
Sound = NDArray[np.float32]


def sine(hertz: float, seconds: float, level: float = 0.3, channels: int = 2) -> Sound:
    time = np.arange(round(seconds * RATE)) / RATE
    wave = level * np.sin(2 * np.pi * hertz * time)
    return np.repeat(wave[None], channels, 0).astype(np.float32)


def noise(seconds: float, seed: int, level: float = 0.1) -> Sound:
    random = np.random.default_rng(seed)
    return (level * random.standard_normal((2, round(seconds * RATE)))).astype(np.float32)


def save(path: Path, sound: Sound, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound.T, rate, subtype="FLOAT" if path.suffix == ".wav" else None)
    return path


def rms(sound: Sound) -> float:
    return float(np.sqrt((sound.astype(np.float64) ** 2).mean()))


def recording(path: Path, stem: str, song: str = "song", real: bool = False) -> StemRecording:
    return StemRecording(path, stem, song, soundfile.info(str(path)).frames, real)


# --- effects


def test_tone_bends_the_spectrum_smoothly_within_its_depth() -> None:
    impulse = np.zeros((2, 4096), dtype=np.float32)
    impulse[:, 2048] = 1
    equalised = production.tone(impulse, RATE, np.random.default_rng(3), depth_db=6.0)
    assert equalised.shape == impulse.shape and equalised.dtype == np.float32
    assert np.abs(equalised[0]).argmax() == 2048  # no delay
    gain = 20 * np.log10(np.abs(np.fft.rfft(equalised[0])))
    assert np.abs(gain).max() < 6.6 and np.ptp(gain) > 1
    assert np.abs(np.diff(gain)).max() < 0.5


def test_drive_keeps_the_level_and_adds_odd_partials() -> None:
    clean = sine(441.0, 1.0)
    driven = production.drive(clean, 1.5)
    assert rms(driven) == pytest.approx(rms(clean), rel=1e-3)
    partials = np.abs(np.fft.rfft(driven[0]))[[441, 882, 1323]]
    assert partials[2] > 0.03 * partials[0] and partials[1] < 1e-3 * partials[0]
    assert not production.drive(np.zeros((2, 100), dtype=np.float32), 1.0).any()


def test_a_room_leaves_the_direct_sound_and_decays() -> None:
    click = np.zeros((2, RATE), dtype=np.float32)
    click[:, 100] = 1
    wet = production.room(click, RATE, np.random.default_rng(0), decay=0.4, wet_db=-12.0)
    assert wet.shape == click.shape and wet.dtype == np.float32
    np.testing.assert_allclose(wet[:, :500], click[:, :500], atol=1e-4)  # first reflection 12 ms on
    tail = wet - click
    np.testing.assert_allclose(
        10 * np.log10((tail**2).sum(1)), -12.0, atol=0.1
    )  # the click has energy 1
    early, late = (rms(tail[:, 100 + int(RATE * t) :][:, : RATE // 50]) for t in (0.05, 0.25))
    assert 20 * np.log10(late / early) == pytest.approx(-30.0, abs=3.0)  # 60 dB in 0.4 s
    assert abs(np.corrcoef(tail)[0, 1]) < 0.2  # as wide as rooms are


# --- recordings


def test_a_stem_recording_reads_anywhere(tmp_path: Path) -> None:
    stereo = noise(0.1, 0)
    read = recording(save(tmp_path / "a.wav", stereo), "drums").read
    assert np.array_equal(read(100, 50), stereo[:, 100:150])
    behind = read(4400, 100)
    assert np.array_equal(behind[:, :10], stereo[:, 4400:]) and not behind[:, 10:].any()
    mono = noise(0.1, 1)[:1]
    doubled = recording(save(tmp_path / "b.wav", mono), "drums").read(0, 4410)
    assert doubled.shape == (2, 4410) and np.array_equal(doubled[0], doubled[1])


def test_stems_of_rendered_songs(tmp_path: Path) -> None:
    for name, split in (("one", "train"), ("two", "test")):
        for side in ("source", "target/jazz", "separated"):
            save(tmp_path / name / side / "bass.wav", noise(0.05, 0))
        (tmp_path / name / "song.json").write_text(json.dumps({"split": split}))
    found = rendered_stems(tmp_path)
    # What a separator guessed is no truth for another separator.
    assert [t.song for t in found] == ["one/source", "one/jazz"]
    assert all(t.stem == "bass" and not t.real and t.frames == 2205 for t in found)
    assert [t.song for t in rendered_stems(tmp_path, "test")] == ["two/source", "two/jazz"]


def test_stems_of_real_songs(tmp_path: Path) -> None:
    data, cache = tmp_path / "data", tmp_path / "cache"
    save(data / "alpha" / "drums.wav", noise(0.1, 0), 22050)
    save(data / "alpha" / "other_guitar.flac", noise(0.1, 1))
    save(data / "alpha" / "mixture.wav", noise(0.1, 2))
    save(data / "beta" / "vocals.wav", noise(0.1, 3))
    save(data / "beta" / "bass.wav", np.repeat(noise(0.1, 4), 3, axis=0))
    found = {(t.song, t.stem): t for t in song_stems(data, cache, without=["nothing"])}
    assert set(found) == {
        ("alpha", "drums"),
        ("alpha", "other"),
        ("beta", "vocals"),
        ("beta", "bass"),
    }
    assert all(t.real for t in found.values())
    assert found["alpha", "drums"].frames == 8820  # 44.1 kHz now
    assert found["beta", "bass"].read(0, 100).shape == (2, 100)  # six channels folded
    assert {t.song for t in song_stems(data, cache, without=["beta"])} == {"alpha"}
    assert {t.stem for t in song_stems(data, cache, without=["guitar", "beta"])} == {"drums"}
    stamps = {p: p.stat().st_mtime_ns for p in cache.iterdir()}
    song_stems(data, cache)
    assert stamps == {p: p.stat().st_mtime_ns for p in cache.iterdir()}  # decoded once


def test_stems_of_solos(tmp_path: Path) -> None:
    save(tmp_path / "solo" / "singer.wav", noise(0.1, 0))
    save(tmp_path / "solo" / "kept_out.wav", noise(0.1, 1))
    found = solo_stems(tmp_path / "solo", "vocals", tmp_path / "cache", ["kept_out"])
    assert [(t.stem, t.song) for t in found] == [("vocals", "solo/singer")]
    with pytest.raises(AudioTransferError, match="nowhere"):
        solo_stems(tmp_path / "nowhere", "vocals", tmp_path / "cache")


# --- random mixes


@pytest.fixture
def recordings(tmp_path: Path) -> list[StemRecording]:
    """Four stems of two songs, one as short as a click, one silent, and a solo singer."""
    found = []
    for song, seconds in (("a", 1.5), ("b", 0.02)):
        for index, stem in enumerate(ALL_STEMS):
            silent = song == "a" and stem == "bass"
            sound = noise(seconds, index, 0.0 if silent else 0.1)
            found.append(recording(save(tmp_path / song / f"{stem}.wav", sound), stem, song))
    found.append(
        recording(save(tmp_path / "s.wav", sine(300, 2, channels=1)), "vocals", "solo/s", real=True)
    )
    return found


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


def pure(make: Callable[[int], object]) -> None:
    """A batch depends on seed and step alone: not on what was asked before, nor on the process."""
    one, two, other = make(1), make(1), make(2)
    later = one.batch(7)  # type: ignore[attr-defined]
    one.batch(0)  # type: ignore[attr-defined]
    assert same(later, one.batch(7)) and same(later, two.batch(7))  # type: ignore[attr-defined]
    assert not same(later, one.batch(8))  # type: ignore[attr-defined]
    assert not same(later, other.batch(7))  # type: ignore[attr-defined]


def test_random_mixes_are_a_function_of_seed_and_step(recordings: list[StemRecording]) -> None:
    pure(lambda seed: RandomMixes(recordings, MixSettings(batch=2, seconds=0.1, seed=seed)))


@pytest.mark.parametrize("song_share", [0.0, 1.0])
@pytest.mark.parametrize("silent_share", [0.0, 0.5, 1.0])
def test_random_mixes_are_always_numbers(
    recordings: list[StemRecording], song_share: float, silent_share: float
) -> None:
    settings = MixSettings(
        batch=8, seconds=0.1, song_share=song_share, silent_share=silent_share, mono_share=0.5
    )
    mixes = RandomMixes(recordings, settings)
    silent_drums = []
    for step in range(12):
        stems = mixes.batch(step)["stems"]
        assert stems.shape == (8, 4, 2, 4410) and stems.dtype == torch.float32
        assert bool(stems.isfinite().all())
        level = stems.sum(1).square().mean((1, 2)).sqrt()
        # The mix lies within 6 dB of RMS 0.1, or is silent as a whole.
        assert bool(((level > 0.049) & (level < 0.201) | (level == 0)).all())
        silent_drums.append(float((stems[:, 0].abs().amax((1, 2)) == 0).float().mean()))
    if not song_share:
        assert np.mean(silent_drums) == pytest.approx(silent_share, abs=0.15)


def test_stems_of_one_song_stay_together(tmp_path: Path) -> None:
    """With ``song_share`` 1 all stems come from the same moment, at the same speed."""
    ramp = np.linspace(0.1, 1.0, RATE, dtype=np.float32)[None].repeat(2, 0)
    found = [recording(save(tmp_path / f"{s}.wav", ramp), s) for s in ALL_STEMS]
    mixes = RandomMixes(found, MixSettings(batch=8, seconds=0.2, song_share=1.0, mono_share=1.0))
    stems = mixes.batch(0)["stems"].double().numpy()[:, :, 0, 2:]
    for song in stems:
        shapes = [s / s[-1] for s in song]
        slopes = [np.diff(s).mean() for s in shapes]
        np.testing.assert_allclose(slopes, slopes[0], rtol=0.02)


def test_a_crop_at_another_speed_has_another_pitch(tmp_path: Path) -> None:
    one = recording(save(tmp_path / "a.wav", sine(1000, 2)), "drums")
    mixes = RandomMixes(
        [one, *(recording(one.path, s) for s in ALL_STEMS[1:])], MixSettings(batch=1, seconds=0.5)
    )
    for speed in (0.85, 1.0, 1.18):
        crop = mixes._crop(one, 1234, 22050, speed, reverse=False)
        assert crop.shape == (2, 22050)
        assert np.abs(np.fft.rfft(crop[0])).argmax() * 2 == pytest.approx(1000 * speed, abs=2)
    backwards = mixes._crop(one, 1234, 22050, 1.0, reverse=True)
    assert np.array_equal(backwards, one.read(1234, 22050)[:, ::-1])


def test_a_band_plays_together_under_any_voice(tmp_path: Path) -> None:
    """With ``band_share`` 1 all but the voice come from one place in one song."""
    ramp = np.linspace(0.1, 1.0, RATE, dtype=np.float32)[None].repeat(2, 0)
    found = [recording(save(tmp_path / f"{s}.wav", ramp), s) for s in ALL_STEMS[:3]]
    found.append(recording(save(tmp_path / "solo.wav", sine(440, 1)), "vocals", "solo"))
    settings = MixSettings(batch=8, seconds=0.2, song_share=0.0, band_share=1.0, mono_share=1.0)
    stems = RandomMixes(found, settings).batch(0)["stems"].double().numpy()[:, :, 0, 2:]
    for song in stems:
        slopes = [np.diff(s / s[-1]).mean() for s in song[:3]]
        np.testing.assert_allclose(slopes, slopes[0], rtol=0.02)
    assert sum(bool(song[3].any()) for song in stems) >= 5


def test_mixes_of_whole_bands_are_marked(recordings: list[StemRecording], tmp_path: Path) -> None:
    band = recording(save(tmp_path / "band.wav", noise(1, 9)), BAND, "band", real=True)
    settings = MixSettings(
        batch=16, seconds=0.1, song_share=0.0, band_share=0.5, real_share=0.5, silent_share=0.0
    )
    batch = RandomMixes([*recordings, band], settings).batch(0)
    grouped = batch["grouped"]
    assert 0 < int(grouped.sum()) < 16
    assert not batch["stems"][grouped][:, :2].any() and batch["stems"][grouped][:, 2].any()
    assert "grouped" not in RandomMixes(recordings, settings).batch(0)


def test_a_voice_has_its_level_against_the_rest(recordings: list[StemRecording]) -> None:
    settings = MixSettings(batch=8, seconds=0.5, voice_db=(-9.0, -9.0), voiceless_share=0.0)
    stems = RandomMixes(recordings, settings).batch(1)["stems"].numpy()
    levels = [
        20 * np.log10(sung_level(song[3]) / rms(song[:3].sum(0)))
        for song in stems
        if song[:3].any()
    ]
    assert len(levels) >= 6
    np.testing.assert_allclose(levels, -9.0, atol=0.01)


@pytest.mark.parametrize("ratio", [0.8, 1.25])
def test_formants_move_and_pitch_stays(ratio: float) -> None:
    """A pulse train through one resonance at 1200 Hz."""
    pulses = np.zeros(RATE)
    pulses[::300] = 1.0  # 147 Hz
    place = 1200.0 / RATE * 2 * np.pi
    voice = signal.lfilter([1.0], [1.0, -2 * 0.98 * np.cos(place), 0.98**2], pulses)
    voice = np.repeat(0.1 * voice[None], 2, 0).astype(np.float32)
    moved = with_formants(voice, ratio, RATE)
    before, after = (np.abs(np.fft.rfft(one[0])) for one in (voice, moved))
    assert moved.shape == voice.shape
    assert before.argmax() == pytest.approx(1200, abs=80)
    assert after.argmax() == pytest.approx(1200 * ratio, abs=120)
    assert after.argmax() % 147 < 2 or after.argmax() % 147 > 145
    np.testing.assert_allclose(with_formants(voice, 1.0, RATE), voice, atol=1e-4)


def test_stems_are_compressed_by_the_gain_of_their_sum() -> None:
    stems = np.stack([noise(1.0, 1), noise(1.0, 2)])
    stems[:, :, : RATE // 2] *= 4.0
    squeezed = compressed_together(stems, 44100, np.random.default_rng(0))
    gains = squeezed / stems
    np.testing.assert_allclose(gains[0], gains[1], rtol=1e-4)
    ratio = rms(squeezed[0][:, : RATE // 2 - 2000]) / rms(squeezed[0][:, RATE // 2 + 2000 :])
    assert 1.0 < ratio < 3.9


def test_random_mixes_say_what_is_missing(recordings: list[StemRecording]) -> None:
    with pytest.raises(AudioTransferError, match="bass, vocals") as caught:
        RandomMixes([t for t in recordings if t.stem in ("drums", "other")], MixSettings())
    assert "\n" not in str(caught.value)


# --- pairs


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Three songs; the target is twice the source, so that gains and places can be seen."""
    for number in range(3):
        place = tmp_path / f"train-0-{number}"
        for index, stem in enumerate(STEMS):
            sound = noise(0.4, 10 * number + index, 0.05)
            save(place / "source" / f"{stem}.wav", sound)
            save(place / "target" / "jazz" / f"{stem}.wav", 2 * sound)
        split = "test" if number == 2 else "train"
        about = {"split": split, "stems": sorted(STEMS), "id": place.name}
        (place / "song.json").write_text(json.dumps(about))
    return tmp_path


PLAIN = {"batch": 6, "frames": 16, "hop_length": 128, "separated_share": 0.0, "bleed_share": 0.0}


def test_pairs_of_a_split_are_found(pairs: Path) -> None:
    assert [p.folder.name for p in find_pairs(pairs)] == ["train-0-0", "train-0-1"]
    assert [p.folder.name for p in find_pairs(pairs, "test")] == ["train-0-2"]
    assert all(p.frames == 17640 and not p.separated for p in find_pairs(pairs))
    with pytest.raises(AudioTransferError, match="no rendered pairs of split 'validation'"):
        find_pairs(pairs, "validation")


def test_pairs_are_a_function_of_seed_and_step(pairs: Path) -> None:
    found = find_pairs(pairs)
    pure(lambda seed: PairedStems(found, PairSettings(batch=2, frames=8, seed=seed)))


def test_pairs_line_up_and_share_their_gain(pairs: Path) -> None:
    drawn = PairedStems(find_pairs(pairs), PairSettings(**PLAIN, gain_db=(-9.0, 6.0)))  # type: ignore[arg-type]
    gains, same_tone = set(), 0
    for step in range(6):
        batch = drawn.batch(step)
        assert batch["source"].shape == batch["target"].shape == (6, 2, 16 * 128 - 1)
        assert batch["source"].dtype == torch.float32 and batch["stem"].dtype == torch.int64
        for source, target in zip(batch["source"], batch["target"], strict=True):
            ratio = float(target.square().mean() / source.square().mean()) ** 0.5
            assert ratio == pytest.approx(2.0, rel=1e-3)  # another tone keeps the level
            gains.add(round(float(target.square().mean()) ** 0.5, 3))
            same_tone += bool((target - 2 * source).abs().max() < 1e-5)
    assert len(gains) > 20 and 10 < same_tone < 33  # six in ten keep their tone


def test_pairs_come_in_the_shares_of_their_stems(pairs: Path) -> None:
    settings = PairSettings(**{**PLAIN, "batch": 200}, stem_shares=(0.25, 0.0, 0.75))  # type: ignore[arg-type]
    stems = PairedStems(find_pairs(pairs), settings).batch(0)["stem"]
    counts = torch.bincount(stems, minlength=3)
    assert counts[1] == 0 and 30 <= counts[0] <= 70


def test_bleed_comes_from_the_other_stems_at_its_level(pairs: Path) -> None:
    settings = {**PLAIN, "bleed_share": 1.0}
    drawn = PairedStems(
        find_pairs(pairs),
        PairSettings(**settings, bleed_db=(-20.0, -20.0), gain_db=(0.0, 0.0)),  # type: ignore[arg-type]
    )
    leaks = []
    for step in range(6):
        batch = drawn.batch(step)
        for source, target in zip(batch["source"], batch["target"], strict=True):
            leak = source - target / 2
            leaks.append(float(leak.square().mean().sqrt() / (target / 2).square().mean().sqrt()))
    # Two stems of the same level, each at -20 dB: 0.1 * sqrt(2), where the tone was left alone.
    assert np.median(sorted(leaks)[: len(leaks) // 2]) == pytest.approx(0.1414, abs=0.01)


def test_separated_stems_are_taken_where_there_are_any(pairs: Path) -> None:
    place = pairs / "train-0-0"
    for index, stem in enumerate(STEMS):
        save(place / "separated" / f"{stem}.wav", sine(200.0 * (index + 1), 0.4, 0.05))
    separated = [p for p in find_pairs(pairs) if p.separated]
    assert [p.folder for p in separated] == [place]
    drawn = PairedStems(separated, PairSettings(**{**PLAIN, "separated_share": 1.0}))  # type: ignore[arg-type]
    batch = drawn.batch(0)
    for stem, source in zip(batch["stem"], batch["source"], strict=True):
        spectrum = torch.fft.rfft(torch.nn.functional.pad(source[0], (0, 20000)))
        hertz = float(spectrum.abs().argmax()) * RATE / (16 * 128 - 1 + 20000)
        assert hertz == pytest.approx(200.0 * (int(stem) + 1), abs=15)


def test_shuffled_stems_have_the_stem_alone_in_common(pairs: Path) -> None:
    for song, index in product(("train-0-0", "train-0-1"), range(3)):
        sound = noise(0.4, 30 + index, 0.02 * (index + 1))
        save(pairs / song / "source" / f"{STEMS[index]}.wav", sound)
        save(pairs / song / "target" / "jazz" / f"{STEMS[index]}.wav", 2 * sound)
    settings = PairSettings(**PLAIN, gain_db=(0.0, 0.0))  # type: ignore[arg-type]
    pure(lambda seed: ShuffledStems(find_pairs(pairs), replace(settings, seed=seed)))
    drawn, stems = ShuffledStems(find_pairs(pairs), settings), set()
    for step in range(4):
        batch = drawn.batch(step)
        for stem, source, target in zip(
            *(batch[n] for n in ("stem", "source", "target")), strict=True
        ):
            level = 0.02 * (int(stem) + 1)
            assert float(source.square().mean().sqrt()) == pytest.approx(level, rel=0.1)
            assert float(target.square().mean().sqrt()) == pytest.approx(2 * level, rel=0.1)
            assert (target - 2 * source).abs().max() > 0.1 * level  # of two places
            stems.add(int(stem))
    assert stems == {0, 1, 2}


def test_pairs_that_cannot_be_drawn_are_refused(pairs: Path) -> None:
    found = find_pairs(pairs)
    with pytest.raises(AudioTransferError, match=r"has 0\.4 s"):
        PairedStems(found, PairSettings(frames=128, hop_length=512))
    with pytest.raises(AudioTransferError, match="drums, bass and other"):
        PairedStems([], PairSettings())
