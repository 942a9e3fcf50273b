"""One channel panned like another sound, and gains towards the spectrogram of the mean channel."""

from __future__ import annotations

import math

import pytest
import torch
from test_vocoder import SMALL, decibels, music

from vocoder import SpectralGainInverter, SpectrogramSettings, VocoderError, panned


def test_the_mean_of_a_panned_sound_is_the_sound() -> None:
    like, sound = music(0.4), music(0.4)[0].flip(-1)
    made = panned(sound, like, SMALL)
    assert made.shape == like.shape
    assert decibels(made.mean(0) - sound, sound) < -60
    assert decibels(made[0] - made[1], sound) > -40


def test_channels_get_the_shares_of_the_other_sound() -> None:
    noise = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    sound = noise.mean(0)
    quiet = panned(sound, noise * torch.tensor([[1.0], [0.1]]), SMALL).square().mean(1).sqrt()
    assert float(quiet[0] / quiet[1]) == pytest.approx(10, rel=0.1)
    left = panned(sound, noise * torch.tensor([[1.0], [0.0]]), SMALL)
    assert decibels(left[0] - 2 * sound, sound) < -40 and decibels(left[1], sound) < -60


@pytest.mark.parametrize("length", [0, 1, 127, 4099])
def test_lengths_silence_and_mono(length: int) -> None:
    like = music(0.4)[:, :length]
    assert panned(like[0], like, SMALL).shape == (2, length)
    assert not panned(torch.zeros(length), like, SMALL).any()
    assert torch.equal(panned(like[0], like[:1], SMALL), like[:1])
    silent = panned(like[0], torch.zeros(2, length), SMALL)
    assert decibels(silent - like[0], like[0] + 1e-9) < -60 or not length


def test_panning_needs_frames() -> None:
    cqt = SpectrogramSettings(kind="cqt", hop_length=256, bins=96)
    with pytest.raises(VocoderError, match="panning needs frames"):
        panned(torch.zeros(100), torch.zeros(2, 100), cqt)


def test_the_mean_channel_gets_the_spectrogram() -> None:
    """Of a source whose channels have little in common."""
    source = torch.randn(2, 12000, generator=torch.Generator().manual_seed(1))
    target = SMALL(music(0.6)[:, :12000].mean(0))
    audible = target > target.max() - math.log(100)

    def error(mean_channel: bool) -> float:
        made = SpectralGainInverter(SMALL, 4, mean_channel=mean_channel)(target, 12000, source)
        return float((SMALL(made.mean(0)) - target)[audible].mean())

    assert error(True) > -0.12  # nats
    assert error(False) < -0.25  # two such channels have 3 dB less in their mean


def test_channels_that_cancel_each_other_get_a_bounded_gain() -> None:
    wave = music(0.6)[0]
    source = torch.stack([wave, -wave])
    made = SpectralGainInverter(SMALL, 2, mean_channel=True)(SMALL(wave), len(wave), source)
    assert decibels(made[0], wave) < 12 and torch.isfinite(made).all()
