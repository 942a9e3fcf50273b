"""Loudness and true peaks on the test signals of EBU Tech 3341 (Table 1), made as it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from audiotransfer.audio.loudness import LoudnessMeter, k_weighting
from audiotransfer.audio.true_peak import measure_true_peak

RATES = (8000, 11025, 22050, 32000, 44100, 48000, 88200, 96000, 192000)
#: ITU-R BS.1770-5, tables 1 and 2: at 48 kHz.
SHELF = (1.53512485958697, -2.69169618940638, 1.19839281085285, -1.69065929318241, 0.73248077421585)
HIGH_PASS = (1.0, -2.0, 1.0, -1.99004745483398, 0.99007225036621)


def tone(dbfs: float, seconds: float, rate: int) -> np.ndarray:
    """A 1 kHz sine, its amplitude in dB of full scale."""
    time = np.arange(round(seconds * rate)) / rate
    return 10 ** (dbfs / 20) * np.sin(2 * np.pi * 1000 * time)


def loudness(audio: np.ndarray, rate: int) -> float:
    meter = LoudnessMeter(rate, len(audio))
    for block in np.array_split(audio, 7, axis=1):
        meter.push(torch.from_numpy(block))
    return meter.integrated()


def straightforward(audio: np.ndarray, rate: int) -> float:
    """The standard read aloud, block by block, for mono and stereo."""
    (shelf, high) = k_weighting(rate)
    weighted = signal.lfilter(shelf[:3], shelf[3:], audio)
    weighted = signal.lfilter(high[:3], high[3:], weighted)
    powers = []
    number = 0
    while (end := (number + 4) * rate // 10) <= audio.shape[1]:
        block = weighted[:, number * rate // 10 : end]
        powers.append(sum(float(np.mean(channel**2)) for channel in block))
        number += 1
    gated = [power for power in powers if -0.691 + 10 * math.log10(power) > -70]
    gate = -0.691 + 10 * math.log10(sum(gated) / len(gated)) - 10
    gated = [power for power in gated if -0.691 + 10 * math.log10(power) > gate]
    return -0.691 + 10 * math.log10(sum(gated) / len(gated))


# --- loudness --------------------------------------------------------------------------------


def test_the_filters_are_the_standards():
    shelf, high = k_weighting(48000)
    assert (*shelf[:3], *shelf[4:]) == pytest.approx(SHELF, abs=1e-14)
    assert (*high[:3], *high[4:]) == pytest.approx(HIGH_PASS, abs=1e-14)


@pytest.mark.parametrize("rate", RATES)
def test_the_filters_weight_alike_at_every_rate(rate):
    """What the bilinear transform squeezes near half the rate is all that differs."""
    hertz = np.array([20.0, 50.0, 100.0, 300.0, 1000.0, 1682.0])
    _, found = signal.freqz_sos(k_weighting(rate), hertz, fs=rate)
    _, expected = signal.freqz_sos(k_weighting(48000), hertz, fs=48000)
    slack = 0.21 if rate < 16000 else 0.05
    assert 20 * np.log10(np.abs(found / expected)) == pytest.approx(0, abs=slack)


SEQUENCES = {
    "1": ([(-23.0, 20.0)], -23.0),
    "2": ([(-33.0, 20.0)], -33.0),
    "3": ([(-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0)], -23.0),
    "4": ([(-72.0, 10.0), (-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0), (-72.0, 10.0)], -23.0),
    "5": ([(-26.0, 20.0), (-20.0, 20.1), (-26.0, 20.0)], -23.0),
}


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("case", SEQUENCES)
def test_the_ebus_stereo_tones(case, rate):
    parts, expected = SEQUENCES[case]
    one = np.concatenate([tone(level, seconds, rate) for level, seconds in parts])
    assert loudness(np.stack((one, one)), rate) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("low_frequencies", [False, True])
def test_the_ebus_five_channels(low_frequencies):
    """Case 6, and the same with a channel for low frequencies, which does not count."""
    levels = [-28.0, -28.0, -24.0, -30.0, -30.0]
    channels = [tone(level, 20.0, 48000) for level in levels]
    if low_frequencies:
        channels.insert(3, tone(-10.0, 20.0, 48000))
    assert loudness(np.stack(channels), 48000) == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize(
    ("channels", "channel", "more"),
    [(4, 3, 1.5), (5, 2, 0.0), (5, 3, 1.5), (6, 4, 1.5), (7, 4, 0.0), (7, 5, 1.5), (8, 4, 0.0),
     (8, 7, 1.5)],
)  # fmt: skip
def test_what_is_at_the_sides_counts_more(channels, channel, more):
    audio = np.zeros((channels, 48000))
    audio[0] = tone(-20.0, 1.0, 48000)
    front = loudness(audio, 48000)
    assert loudness(np.roll(audio, channel, 0), 48000) - front == pytest.approx(more, abs=0.01)


def test_a_full_scale_sine_in_one_channel():
    time = np.arange(48000 * 3) / 48000
    audio = np.sin(2 * np.pi * 997 * time)[None]
    assert loudness(audio, 48000) == pytest.approx(-3.01, abs=0.005)


@pytest.mark.parametrize("seconds", [0.4, 0.44, 0.46, 0.4999])
def test_a_block_cut_short_does_not_count(seconds):
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, 48000))
    whole = noise[:, : round(0.4 * 48000)]
    part = noise[:, : round(seconds * 48000)]
    assert loudness(part, 48000) == loudness(whole, 48000)
    assert loudness(noise[:, :24000], 48000) != loudness(whole, 48000)


@settings(max_examples=60, deadline=None)
@given(
    rate=st.sampled_from(RATES),
    channels=st.integers(1, 2),
    seconds=st.sampled_from((0.41, 0.5, 0.77, 1.0, 2.349, 3.03)),
    seed=st.integers(0, 1000),
)
def test_loudness_is_the_standards_in_any_blocks(rate, channels, seconds, seed):
    frames = int(rate * seconds)
    shape = np.exp(2 * np.linspace(-3, 0, frames))  # quiet at first, so that the gates matter
    audio = 0.2 * np.random.default_rng(seed).standard_normal((channels, frames)) * shape
    assert loudness(audio, rate) == pytest.approx(straightforward(audio, rate), abs=1e-9)


# --- true peaks ------------------------------------------------------------------------------


def true_peak_db(audio: np.ndarray) -> float:
    return 20 * math.log10(measure_true_peak(torch.from_numpy(audio).float().expand(2, -1)))


def tapered(audio: np.ndarray, rate: int) -> np.ndarray:
    fade = np.linspace(0, 1, rate // 100)
    audio[: len(fade)] *= fade
    audio[-len(fade) :] *= fade[::-1]
    return audio


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize(
    ("case", "divisor", "degrees", "amplitude", "expected"),
    [(15, 4, 0.0, 0.5, -6.0), (16, 4, 45.0, 0.5, -6.0), (17, 6, 60.0, 0.5, -6.0),
     (18, 8, 67.5, 0.5, -6.0), (19, 4, 45.0, 1.41, 3.0)],
)  # fmt: skip
def test_the_ebus_peaks_between_samples(case, divisor, degrees, amplitude, expected, rate):
    phase = 2 * np.pi * np.arange(rate) / divisor + np.radians(degrees)
    peak = true_peak_db(tapered(amplitude * np.sin(phase), rate))
    assert expected - 0.4 <= peak <= expected + 0.2


@pytest.mark.parametrize("offset", [0, 1, 2, 3])
def test_the_ebus_single_loud_period(offset):
    """Cases 20 to 23: in a sine of fs/6 at half scale one period of fs/4 at full scale, made at
    4 fs, freed of what lies above fs/2, and every fourth sample taken.
    """
    rate, before = 48000, 24 * 1000
    soft = 0.5 * np.sin(2 * np.pi * np.arange(before) / 24)
    audio = np.concatenate((soft, np.sin(2 * np.pi * np.arange(16) / 16), soft))
    audio = tapered(audio, 4 * rate)
    audio = np.convolve(audio, signal.firwin(511, 0.5 * rate, fs=4 * rate), "same")
    taken = audio[offset::4]
    assert -0.4 <= true_peak_db(taken) <= 0.2
