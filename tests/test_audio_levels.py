"""Resampling, loudness, true peaks, limiting: against references, and streamed equal to whole."""

from __future__ import annotations

import math

import numpy as np
import pytest
import soxr
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from audiotransfer.audio.channels import crossfade, to_channels, to_stereo
from audiotransfer.audio.limiter import Limiter
from audiotransfer.audio.loudness import LoudnessMeter
from audiotransfer.audio.resampling import StreamResampler, resample
from audiotransfer.audio.true_peak import TruePeakMeter, measure_true_peak
from audiotransfer.errors import AudioTransferError

RATES = (8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000)
LENGTHS = (0, 1, 2, 3, 101, 997, 4096, 7919)


def noise(channels: int, frames: int, seed: int = 0, level: float = 0.2) -> torch.Tensor:
    return level * torch.randn(channels, frames, generator=torch.Generator().manual_seed(seed))


def pieces(audio: torch.Tensor, seed: int) -> list[torch.Tensor]:
    """Cut at random places, empty pieces among them."""
    cuts = np.sort(np.random.default_rng(seed).integers(0, audio.shape[1] + 1, 5)).tolist()
    return list(torch.tensor_split(audio, cuts, dim=1))


def streamed(stage, audio: torch.Tensor, seed: int) -> torch.Tensor:
    blocks = pieces(audio, seed)
    return torch.cat([stage.push(b, last=n == len(blocks) - 1) for n, b in enumerate(blocks)], 1)


# --- resampling ------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(
    frames=st.sampled_from(LENGTHS),
    channels=st.integers(1, 6),
    rates=st.tuples(st.sampled_from(RATES), st.sampled_from(RATES)),
    seed=st.integers(0, 1000),
)
def test_resampling_streamed_is_whole_and_of_exact_length(frames, channels, rates, seed):
    audio = noise(channels, frames, seed)
    whole = resample(audio, *rates)
    assert whole.shape == (channels, math.ceil(frames * rates[1] / rates[0]))
    assert whole.dtype == torch.float32 and torch.isfinite(whole).all()
    assert torch.equal(streamed(StreamResampler(*rates, channels), audio, seed), whole)


@pytest.mark.parametrize("rate", RATES)
def test_resampling_is_soxr_and_comes_back(rate):
    time = torch.arange(rate, dtype=torch.float64) / rate
    audio = torch.stack(
        (torch.sin(2 * torch.pi * 440 * time), torch.cos(2 * torch.pi * 1234 * time))
    )
    audio = (audio * torch.hann_window(rate)).float()
    there = resample(audio, rate, 44100)
    reference = soxr.resample(audio.T.numpy(), rate, 44100, "VHQ").T
    count = min(there.shape[1], reference.shape[1])
    assert np.abs(there[:, :count].numpy() - reference[:, :count]).max() < 1e-6
    back = resample(there, 44100, rate)[:, :rate]
    assert (back - audio).abs().max() < 1e-5


# --- channels --------------------------------------------------------------------------------


def test_channels():
    mono, stereo, six = noise(1, 50), noise(2, 50), noise(6, 50)
    assert torch.equal(to_stereo(mono), mono.expand(2, -1))
    assert torch.equal(to_stereo(stereo), stereo)
    assert torch.allclose(to_channels(to_stereo(mono), 1), mono)
    assert torch.equal(to_channels(six, 6), six)
    assert to_channels(six, 2).shape == (2, 50)
    with pytest.raises(AudioTransferError, match="cannot become 6"):
        to_channels(stereo, 6)


@pytest.mark.parametrize(
    ("layout", "left", "right"),
    [
        ("FL FR FC", "1 0 -3", "0 1 -3"),
        ("FL FR BL BR", "1 0 -3 0", "0 1 0 -3"),
        ("FL FR FC BC", "1 0 -3 -6", "0 1 -3 -6"),
        ("FL FR FC BL BR", "1 0 -3 -3 0", "0 1 -3 0 -3"),
        ("FL FC FR SL SR LFE", "1 -3 0 -3 0 0", "0 -3 1 0 -3 0"),
        ("FL FR FC LFE BC SL SR", "1 0 -3 0 -6 -3 0", "0 1 -3 0 -6 0 -3"),
        ("FL FR FC LFE BL BR SL SR", "1 0 -3 0 -3 0 -3 0", "0 1 -3 0 0 -3 0 -3"),
        ("FL FR FC LFE BL BR FLC FRC", "1 0 -3 0 -3 0 1 0", "0 1 -3 0 0 -3 0 1"),
    ],
)
def test_folding_is_that_of_bs775(layout, left, right):
    names = layout.split()
    audio = noise(len(names), 50)
    for side, decibels in zip(to_stereo(audio, names), (left, right), strict=True):
        gains = [{"1": 1.0, "-3": 0.5**0.5, "-6": 0.5, "0": 0.0}[word] for word in decibels.split()]
        assert torch.allclose(side, torch.tensor(gains) @ audio, atol=1e-6)


def test_channels_without_a_layout_are_in_the_order_of_wav():
    for count, layout in ((3, "FL FR FC"), (6, "FL FR FC LFE BL BR"), (7, "FL FR FC LFE BC SL SR")):
        audio = noise(count, 50)
        assert torch.equal(to_stereo(audio), to_stereo(audio, layout.split()))
    many = noise(12, 50)
    assert torch.allclose(to_stereo(many)[1], many[1::2].mean(0), atol=1e-6)


@given(frames=st.sampled_from((0, 1, 2, 7, 2048)))
def test_crossfade_of_the_same_is_the_same(frames):
    audio = noise(2, frames)
    assert torch.equal(crossfade(audio, audio), audio)
    faded = crossfade(torch.ones(1, frames), torch.zeros(1, frames))
    assert torch.allclose(faded.flip(1), 1 - faded, atol=1e-6)


# --- loudness (of what: see test_metering) ------------------------------------------------------


@pytest.mark.parametrize("frames", [0, 1, 100, 44100])
def test_silence_has_no_loudness(frames):
    meter = LoudnessMeter(44100, 2)
    meter.push(torch.zeros(2, frames))
    assert meter.integrated() == -math.inf


@pytest.mark.parametrize("frames", [1, 997, 17639])
def test_short_sounds_have_a_loudness(frames):
    """Under one gating block: finite, and a gain of 6 dB is 6 LU."""
    readings = []
    for gain in (0.25, 0.5):
        meter = LoudnessMeter(44100, 2)
        meter.push(gain * noise(2, frames))
        readings.append(meter.integrated())
    assert readings[1] - readings[0] == pytest.approx(20 * math.log10(2), abs=1e-3)


def test_the_low_frequency_channel_does_not_count():
    audio = torch.zeros(6, 44100)
    audio[3] = noise(1, 44100)[0]
    meter = LoudnessMeter(44100, 6)
    meter.push(audio)
    assert meter.integrated() == -math.inf


# --- true peaks ------------------------------------------------------------------------------


@pytest.mark.parametrize("frequency", [100, 997, 5000, 11025, 15000, 18000])
@pytest.mark.parametrize("phase", [0.0, 0.3, math.pi / 4, 1.2])
def test_true_peak_of_a_sine_is_its_amplitude(frequency, phase):
    time = torch.arange(44100, dtype=torch.float64) / 44100
    tone = 0.8 * torch.sin(2 * torch.pi * frequency * time + phase)
    window = torch.hann_window(44100, dtype=torch.float64)
    # four-fold oversampling misses at most the arc between two points
    slack = 1 - math.cos(math.pi * frequency / (4 * 44100)) + 1e-3
    peak = measure_true_peak((tone * window).float()[None])
    assert 0.8 * (1 - slack) <= peak <= 0.8 * (1 + 1e-3)


@settings(max_examples=40, deadline=None)
@given(
    frames=st.sampled_from((1, 2, 31, 32, 33, 997, 70_001)),
    channels=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
def test_true_peak_streamed_is_whole(frames, channels, seed):
    audio = noise(channels, frames, seed)
    whole = measure_true_peak(audio)
    meter = TruePeakMeter(channels)
    for block in pieces(audio, seed):
        meter.push(block)
        meter.peak()  # reading it changes nothing
    assert meter.peak() == pytest.approx(whole, rel=1e-5)
    assert whole >= float(audio.abs().max())
    smooth = resample(audio, 44100, 22050)  # below half the band references agree
    if smooth.shape[1] > 100:
        audio = resample(smooth, 22050, 44100)
        reference = np.abs(resample_poly(audio.double().numpy(), 4, 1, axis=1)).max()
        assert measure_true_peak(audio) == pytest.approx(reference, rel=5e-3)


def test_true_peak_of_nothing_and_silence():
    assert measure_true_peak(torch.zeros(2, 0)) == 0
    assert measure_true_peak(torch.zeros(2, 100)) == 0


# --- limiting --------------------------------------------------------------------------------


def test_what_rings_before_the_first_sample_is_limited() -> None:
    audio = noise(3, 2, 179, 1.0)
    limited = Limiter(8000, 0.9).push(audio, last=True)
    assert measure_true_peak(limited) <= 0.9


@settings(max_examples=30, deadline=None)
@given(
    frames=st.sampled_from((1, 2, 997, 32768, 33_333, 100_003)),
    channels=st.integers(1, 6),
    rate=st.sampled_from((8000, 44100, 192000)),
    level=st.sampled_from((0.05, 0.3, 1.0, 4.0)),
    seed=st.integers(0, 1000),
)
def test_limiting_holds_the_ceiling_and_streams(frames, channels, rate, level, seed):
    audio = noise(channels, frames, seed, level)
    limited = Limiter(rate, 0.9).push(audio, last=True)
    assert limited.shape == audio.shape and limited.dtype == torch.float32
    assert measure_true_peak(limited) <= 0.9 or torch.equal(limited, audio)
    assert measure_true_peak(limited) <= 0.9 * (1 + 1e-4)
    if measure_true_peak(audio) <= 0.9:
        assert torch.equal(limited, audio)
    assert torch.equal(streamed(Limiter(rate, 0.9), audio, seed), limited)


def test_limiting_is_local_and_the_same_for_all_channels():
    rate = 44100
    audio = noise(2, 4 * rate, level=0.05)
    audio[0, rate] = 2.0
    limited = Limiter(rate, 1.0).push(audio, last=True)
    gain = limited / audio
    assert torch.allclose(gain[0], gain[1], atol=1e-5)
    assert torch.equal(limited[:, : rate - 300], audio[:, : rate - 300])
    assert torch.equal(limited[:, 2 * rate :], audio[:, 2 * rate :])  # 6 dB are back after 0.2 s
    assert 0.9 < float(limited[0, rate]) <= 1.0
    assert float(gain[1].diff().abs().max()) < 0.01  # no click


@pytest.mark.parametrize(("release", "left"), [(30.0, -4.8), (60.0, -3.3), (3000.0, 0.0)])
def test_the_limiter_lets_go_as_fast_as_asked(release, left):
    """Of the 6.2 dB that a peak costs, held for 2.5 ms, so much is left after 50 ms."""
    rate = 44100
    audio = torch.full((1, rate), 0.2)
    audio[0, 10000] = 2.0
    gain = Limiter(rate, 1.0, release).push(audio, last=True) / audio
    after = 20 * math.log10(float(gain[0, 10000 + rate // 20]))
    assert after == pytest.approx(left, abs=0.2)


@pytest.mark.parametrize("frequency", [40, 441, 5000, 11025])
def test_limited_sines_stay_below_the_ceiling(frequency):
    time = torch.arange(44100 * 2, dtype=torch.float64) / 44100
    audio = (4 * torch.sin(2 * torch.pi * frequency * time + 0.7)).float()[None]
    limited = Limiter(44100, 1.0).push(audio, last=True)
    reference = np.abs(resample_poly(limited.double().numpy(), 8, 1, axis=1)).max()
    assert 0.9 < reference <= 1.0


def test_limiting_nothing():
    limiter = Limiter(44100, 1.0)
    assert limiter.push(torch.zeros(2, 0)).shape == (2, 0)
    assert limiter.push(torch.zeros(2, 0), last=True).shape == (2, 0)
