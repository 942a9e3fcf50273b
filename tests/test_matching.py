"""A band's sound matched to a song's: levels, fades and silences, tone, width, balance, room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from torch import Tensor

from audiotransfer.audio.reverberation import ReverberationMeter, RoomEstimate
from audiotransfer.audio.sound_profile import BANDS, SoundMeter, SoundProfile
from audiotransfer.effects.gain_curve import GainCurve
from audiotransfer.pipeline import matching
from audiotransfer.synthesis.room import Room

RATE = 44100
Array = NDArray[np.float64]


def noise(seconds: float, seed: int, tilt: float = 0.0, width: float = 0.5) -> Tensor:
    """Stereo noise with a spectrum of ``tilt`` dB an octave, and a side of ``width`` times mid."""
    random = np.random.default_rng(seed)
    count = round(seconds * RATE)
    hertz = np.maximum(np.fft.rfftfreq(count, 1 / RATE), 20.0)
    mid, side = (
        np.fft.irfft(
            np.fft.rfft(random.standard_normal(count)) * (hertz / 1000) ** (tilt / 6.02), count
        )
        for _ in range(2)
    )
    sound = np.stack([mid + width * side, mid - width * side])
    return torch.from_numpy(0.1 * sound / sound.std()).float()


def profile(sound: Tensor) -> SoundProfile:
    meter = SoundMeter()
    for piece in sound.split(30011, -1):
        meter.push(piece)
    return meter.profile()


def bars(seconds: float) -> Array:
    return np.arange(0.0, seconds + 0.1, 2.0)


def struck_levels(seconds: int, seed: int = 0) -> Array:
    """Powers each 50 ms of notes that are struck four times a second, not equally loud."""
    random = np.random.default_rng(seed)
    notes = np.repeat(random.uniform(0.5, 1.5, 4 * seconds), 5)
    return notes * np.tile(np.exp(-0.6 * np.arange(5)), 4 * seconds)


def by_bar(levels: Array) -> Array:
    """Level in dB of each two seconds."""
    whole = len(levels) // 40 * 40
    return 10 * np.log10(levels[:whole].reshape(-1, 40).mean(1) + 1e-15)


def after(source: Array, band: Array) -> tuple[GainCurve, Array]:
    """The curve, and the band's powers after it."""
    curve = matching.matched_level(source, band, bars(len(source) / 20))
    times = (np.arange(len(band)) + 0.5) / 20
    return curve, band * curve.at(times) ** 2


def test_a_bars_level_is_that_of_the_song() -> None:
    steps = np.repeat([1.0, 1.0, 0.1, 0.1, 0.1, 1.0, 1.0, 1.0], 160)
    source, band = struck_levels(64) * steps, 0.01 * struck_levels(64, 1)
    found = by_bar(after(source, band)[1]) - by_bar(source)
    assert abs(found.mean()) < 0.5
    assert abs(found).max() < 3.5  # beside the steps of 10 dB, which are taken over two bars
    assert np.median(abs(found)) < 0.7


def test_a_fade_is_followed_to_the_end() -> None:
    falling = 10 ** (-np.clip(np.arange(600) - 280, 0, None) / 320 * 5.0)
    source, band = struck_levels(30, 3) * falling, struck_levels(30, 4)
    found = by_bar(after(source, band)[1]) - by_bar(source)
    assert abs(found).max() < 1.5, found


def test_silences_are_silent_and_what_follows_is_not_cut() -> None:
    source, band = np.ones(400), np.ones(400)
    source[160:200] = source[380:] = 1e-9
    found = after(source, band)[1]
    assert not found[162:198].any() and not found[382:].any()
    assert found[[158, 159, 200, 201, 379]].min() > 0.7
    assert found.max() < 1.4


def test_gains_do_not_pump() -> None:
    curve, _ = after(struck_levels(40, 1), 0.25 * struck_levels(40, 2))
    assert curve.db.mean() == pytest.approx(6.0, abs=0.5)
    assert np.ptp(curve.db) < 2.0
    assert abs(np.diff(curve.db)).max() < 0.1  # dB in 50 ms


def test_a_band_that_rests_is_not_blown_up() -> None:
    band = np.where(np.arange(800) < 400, 1.0, 0.005)
    curve, _ = after(np.ones(800), band)
    usual = 10 * np.log10(1.0 / band.mean())
    assert curve.db[:300].mean() == pytest.approx(0.0, abs=0.3)
    assert 5.5 < curve.db[500:].max() - usual < 6.3
    assert -by_bar(band)[-1] > usual + 10


def test_no_bars_no_sound_and_short_songs() -> None:
    nothing, some = profile(torch.zeros(2, 3 * RATE)), profile(noise(3, 1))
    for source, band in ((nothing, some), (some, nothing)):
        assert torch.equal(
            matching.match_sound(source, band, np.zeros(0))(noise(1, 3)), noise(1, 3)
        )
    short = noise(0.3, 4)
    assert matching.match_sound(profile(short), profile(short), bars(0))(short).shape == short.shape
    assert SoundMeter().profile().active == 0.0
    assert profile(torch.zeros(2, 0)).spectrum.shape == BANDS.shape


def test_tone_moves_gently_towards_the_song() -> None:
    dark, bright = profile(noise(6, 1, -6.0)), profile(noise(6, 2, 0.0))
    tone = dict(matching.matched_tone(dark.spectrum, bright.spectrum))
    assert tone[8000.0] < -2.5 and tone[125.0] > 2.5
    assert max(map(abs, tone.values())) <= 4.0
    assert abs(tone[1000.0]) < 1.5
    same = matching.matched_tone(dark.spectrum, profile(noise(6, 3, -6.0)).spectrum)
    assert max(abs(db) for _, db in same) < 0.5
    back = dict(matching.matched_tone(bright.spectrum, dark.spectrum))
    assert back[8000.0] == pytest.approx(-tone[8000.0], abs=0.3)


def test_width_moves_towards_the_song() -> None:
    wide, narrow, mono = (profile(noise(3, n, 0.0, w)) for n, w in enumerate((0.8, 0.2, 0.0)))
    assert matching.matched_width(wide, wide) == pytest.approx(1.0)
    assert 0.4 < matching.matched_width(narrow, wide) < 0.6
    assert matching.matched_width(wide, narrow) == pytest.approx(10 ** (3 / 20))
    assert matching.matched_width(mono, wide) == pytest.approx(10 ** (-9 / 20))
    assert matching.matched_width(wide, mono) == 1.0


def test_level_is_right_after_tone_and_width() -> None:
    source, band = noise(6, 1, -6.0, 0.1), noise(6, 2, 0.0, 0.9) * 0.2
    match = matching.match_sound(profile(source), profile(band), bars(6))
    change = by_bar(profile(match(band)).levels) - by_bar(profile(source).levels)
    assert abs(change).max() < 0.7


def test_parts_take_half_of_the_songs_balance() -> None:
    flat = profile(noise(2, 1))

    def at(db: float) -> SoundProfile:
        return replace(flat, levels=flat.levels * 10 ** (db / 10))

    source = {"drums": at(0), "bass": at(-4), "other": at(0), "vocals": at(9)}
    parts = {"drums": at(-4), "bass": at(-4), "lead": at(-6), "comping": at(-6)}
    stems = {"drums": "drums", "bass": "bass", "lead": "other", "comping": "other"}
    gains = matching.part_gains(source, parts, stems)
    assert gains["drums"] - gains["bass"] == pytest.approx(2.0)
    assert gains["lead"] == gains["comping"]
    assert max(map(abs, gains.values())) <= 3.0
    without = matching.part_gains({**source, "drums": at(-90)}, parts, stems)
    assert without["drums"] == 0.0


def test_blocks_equal_the_whole() -> None:
    band = noise(5, 2)
    curve = GainCurve(np.array([0.0, 2.0, 5.0]), np.array([3.0, 0.0, -30.0]))
    match = matching.SoundMatch(((200.0, 3.0), (4000.0, -3.0)), 0.6, curve)
    whole = match(band)
    blocks = torch.cat(list(match.blocks(band.split(40000, -1), band.shape[-1], 100000)), -1)
    assert blocks.shape == whole.shape
    assert (blocks - whole).abs().max() < 1e-5
    parts = [band * 0.3, band * 0.7]
    assert torch.allclose(match(parts[0]) + match(parts[1]), whole, atol=1e-5)


def test_profiles_do_not_depend_on_blocks() -> None:
    sound = noise(4, 1)
    meter = SoundMeter()
    meter.push(sound)
    whole, pieces = meter.profile(), profile(sound)
    assert np.allclose(whole.levels, pieces.levels, rtol=1e-6)
    assert np.allclose(whole.spectrum, pieces.spectrum, rtol=1e-4)
    assert whole.side == pytest.approx(pieces.side)
    quiet = profile(sound * 0.1)
    assert quiet.active == pytest.approx(0.01 * whole.active, rel=1e-4)


def test_a_sine_counts_in_its_third() -> None:
    time = torch.arange(2 * RATE) / RATE
    for hertz in (100.0, 1000.0, 8000.0):
        spectrum = profile(torch.sin(2 * np.pi * hertz * time).expand(2, -1)).spectrum
        assert BANDS[spectrum.argmax()] == pytest.approx(hertz, rel=0.13)


def test_gain_curves_are_linear_in_db() -> None:
    curve = GainCurve(np.array([1.0, 2.0, 3.0]), np.array([0.0, -20.0, -100.0]))
    assert curve.at(np.array([0.0, 1.5, 2.0, 3.5])).tolist() == pytest.approx(
        [1.0, 10 ** (-10 / 20), 0.1, 0.0]
    )
    assert torch.equal(GainCurve(np.zeros(0), np.zeros(0))(torch.ones(1, 3), 0), torch.ones(1, 3))


@pytest.fixture(scope="module")
def struck() -> Callable[..., RoomEstimate | None]:
    """Estimates the room of short tones and noises in an artificial room."""

    def build(
        seconds: float | None, level: float = -12.0, held: float = 0.15
    ) -> RoomEstimate | None:
        random = np.random.default_rng(5)
        time = np.arange(10 * RATE) / RATE
        sound = np.zeros(len(time))
        for start in np.arange(0.2, 9, 1.1):
            inside = (time >= start) & (time < start + held)
            sound[inside] += 0.1 * random.standard_normal(int(inside.sum()))
        if seconds is not None:
            late = np.arange(round(1.2 * seconds * RATE)) / RATE
            tail = random.standard_normal(len(late)) * np.exp(-6.91 * late / seconds)
            tail *= 10 ** (level / 20) / np.sqrt(np.sum(tail**2))
            tail[0] += 1.0
            sound = fftconvolve(sound, tail)[: len(sound)]
        sound += 1e-5 * random.standard_normal(len(sound))
        meter = ReverberationMeter()
        for piece in torch.from_numpy(sound).float().split(22222):
            meter.push(piece[None])
        return meter.estimate()

    return build


@pytest.mark.parametrize("seconds", [0.6, 1.0, 1.8])
def test_decay_time_is_estimated(struck: Callable[..., RoomEstimate], seconds: float) -> None:
    found = struck(seconds)
    assert found.decay_seconds == pytest.approx(seconds, rel=0.3)
    assert found.decays >= 12


def test_level_of_reverberation_rises(struck: Callable[..., RoomEstimate]) -> None:
    loud, soft = struck(1.0, -6.0).level_db, struck(1.0, -18.0).level_db
    assert loud > soft + 5


def test_steady_sounds_tell_nothing(struck: Callable[..., RoomEstimate | None]) -> None:
    meter = ReverberationMeter()
    assert meter.estimate() is None
    meter.push(noise(5, 1))
    assert meter.estimate() is None


def test_rooms_are_limited() -> None:
    own = Room(0.7, -15.0, 0.5)
    assert matching.matched_room(own, None) is own
    sure = matching.matched_room(own, RoomEstimate(9.0, 3.0, 1.0, 40, 1.2))
    assert (sure.decay_seconds, sure.level_db, sure.brightness) == pytest.approx((2.2, -7.0, 1.0))
    unsure = matching.matched_room(own, RoomEstimate(1.4, -11.0, 1.0, 7, 1.2))
    assert unsure.decay_seconds == pytest.approx(0.7 * 2**0.5)
    assert unsure.level_db == pytest.approx(-13.0)
