"""Phase retrieval: heap integration, ADMM and the stream, on synthetic sound."""

from __future__ import annotations

import math

import pytest
import torch
from test_vocoder import RATE, SINE_HZ, SMALL, decibels, music, peak_hz

from vocoder import SpectrogramSettings, VocoderError, create, stft
from vocoder.griffinlim import admm, griffin_lim, impose
from vocoder.pghi import PghiInverter, heap_integration
from vocoder.rtisi import RtisiInverter, RtisiStream

STFT = SpectrogramSettings(kind="stft", scale="magnitude", hop_length=256)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_integrated_phases_come_nearer_than_random_ones() -> None:
    audio = music(2.0)
    wanted = STFT(audio)
    alone = PghiInverter(STFT, iterations=0)(wanted, audio.shape[-1], None, seeded())
    random = griffin_lim(wanted, audio.shape[-1], STFT, iterations=0, generator=seeded())
    assert decibels(STFT(alone) - wanted, wanted) < -16
    assert decibels(STFT(alone) - wanted, wanted) < decibels(STFT(random) - wanted, wanted) - 10


@pytest.mark.parametrize("padding", ["reflect-centre", "zero-centre"])
def test_integrated_phases_of_a_sine_are_those_of_the_sine(padding: str) -> None:
    """Up to one constant, in all frames, at the bins of the sine."""
    settings = SpectrogramSettings(kind="stft", hop_length=256, padding=padding)
    time = torch.arange(RATE) / RATE
    spectrum = settings.spectrum(torch.sin(2 * math.pi * SINE_HZ * time))
    phases = heap_integration(spectrum.abs(), 2048, 256, seeded())
    peak = round(SINE_HZ * 2048 / RATE)
    turned = torch.polar(torch.ones(()), phases) / torch.sgn(spectrum)
    near = turned[peak - 1 : peak + 2, 8:-8]
    assert float((near / near[1, 0]).angle().abs().max()) < 0.35


def test_bins_below_the_tolerance_get_random_phases_by_the_seed() -> None:
    wanted = STFT(music(0.5)[0])
    wanted[700:] = 0.0
    first, again, other = (heap_integration(wanted, 2048, 256, seeded(n)) for n in (1, 1, 2))
    assert torch.equal(first, again)
    assert torch.equal(first[:300].sin(), other[:300].sin()) or not torch.equal(first, other)
    assert float((first[700:] - other[700:]).abs().min(0).values.max()) > 0
    # Of a uniform distribution.
    assert abs(float(torch.polar(torch.ones(()), first[700:]).mean().abs())) < 0.02


def test_a_batch_has_the_phases_of_its_items() -> None:
    wanted = STFT(music(0.5))
    together = heap_integration(wanted, 2048, 256, seeded())
    assert torch.equal(together[1], heap_integration(wanted[1], 2048, 256, seeded()))


def test_admm_comes_nearer_than_griffin_lim_on_dense_sound() -> None:
    audio = music(1.5)[:1] + 0.05 * torch.randn(1, int(1.5 * RATE), generator=seeded())
    wanted, length = STFT(audio), audio.shape[-1]
    fast = griffin_lim(wanted, length, STFT, 32, generator=seeded())
    ours = admm(wanted, length, STFT, 32, generator=seeded())
    assert decibels(STFT(ours) - wanted, wanted) < decibels(STFT(fast) - wanted, wanted) - 0.5


@pytest.mark.parametrize("padding", ["reflect-centre", "zero-centre"])
def test_the_lowest_bins_are_solved_before_the_others(padding: str) -> None:
    """Notes and overtones nearer to each other than the window tells apart."""
    settings = SpectrogramSettings(
        kind="stft", scale="magnitude", hop_length=256, padding=padding, sample_rate=22050
    )
    time = torch.arange(3 * 22050) / 22050
    bass = [55.0 * ratio * (1 + n // 4) for n, ratio in enumerate((1, 1.2, 1.5, 1.9) * 3)]
    audio = torch.stack([
        torch.sin(2 * math.pi * hz * time + n) * torch.exp(-5 * (time % (0.3 + 0.07 * n)))
        for n, hz in enumerate(bass)
    ]).sum(0) / len(bass)  # fmt: skip
    wanted, length = settings(audio), len(audio)
    phases = heap_integration(wanted, 2048, 256, seeded())
    plain = admm(wanted, length, settings, 8, phases=phases, momentum_share=0.5)
    ours = PghiInverter(settings, iterations=8)(wanted, length, None, seeded())
    assert (
        decibels(settings(ours) - wanted, wanted) < decibels(settings(plain) - wanted, wanted) - 2
    )


def test_imposed_magnitudes_keep_angles_of_quiet_numbers_too() -> None:
    loud = torch.polar(torch.ones(9), torch.arange(9.0))
    scales = torch.tensor([1e-15, 1e-6, 1.0, 1e6])[:, None]
    made = impose(scales * loud, torch.full((4, 9), 2.0))
    assert torch.allclose(made, (2 * loud).expand(4, 9), atol=1e-5)
    assert not impose(torch.zeros(3, dtype=torch.complex64)).any()
    assert torch.isfinite(torch.view_as_real(impose(1e-42 * loud))).all()


def test_admm_from_the_true_phase_keeps_it() -> None:
    audio = music(0.5)
    sound = admm(STFT(audio), audio.shape[-1], STFT, iterations=4, start=audio)
    assert decibels(sound - audio, audio) < -80


@pytest.mark.parametrize("name", ["pghi", "rtisi"])
def test_a_sine_keeps_its_frequency(name: str) -> None:
    time = torch.arange(RATE * 3 // 2) / RATE
    sine = 0.3 * torch.sin(2 * math.pi * SINE_HZ * time)
    sound = create(name, STFT)(STFT(sine), len(sine), None, seeded())
    found = peak_hz(sound[RATE // 8 : -RATE // 8], RATE)
    assert abs(1200 * math.log2(found / SINE_HZ)) < 1


def test_a_click_is_one_click() -> None:
    click = torch.zeros(RATE // 2)
    click[10007] = 0.8
    sound = PghiInverter(STFT)(STFT(click), len(click), None, seeded())
    energy = sound.square()
    assert float(energy[10007 - 32 : 10007 + 33].sum() / energy.sum()) > 0.9


@pytest.mark.parametrize("name", ["pghi", "rtisi"])
def test_a_batch_equals_its_items(name: str) -> None:
    wanted = SMALL(music(0.4))
    inverter, length = create(name, SMALL, iterations=4), int(0.4 * RATE)
    together = inverter(wanted, length, None, seeded())
    alone = inverter(wanted[1], length, None, seeded())
    assert decibels(together[1] - alone, alone) < -60


@pytest.mark.parametrize("name", ["pghi", "rtisi"])
def test_silence_gives_silence(name: str) -> None:
    spectrogram = SMALL(torch.zeros(2, 5000))
    assert not create(name, SMALL)(spectrogram, 5000, None, seeded()).any()


@pytest.mark.parametrize("sizes", [[1] * 40, [7, 0, 33], [40]])
def test_a_stream_is_the_whole_however_it_is_pushed(sizes: list[int]) -> None:
    settings = SpectrogramSettings(kind="stft", scale="magnitude", n_fft=512, hop_length=128)
    audio = music(0.4)[:, : 39 * 128 + 5]
    wanted = settings(audio)
    whole = RtisiInverter(settings)(wanted, audio.shape[-1], None, seeded())
    stream = RtisiStream(settings, generator=seeded())
    parts = [stream.push(part) for part in wanted.split(sizes, dim=-1)]
    # A frame comes out as soon as the frames that it waits for are there.
    late = sum(part.shape[-1] for part in parts)
    assert late == max(0, (40 - 3) * 128 - 256)
    sound = torch.cat([*parts, stream.finish()], dim=-1)[:, : audio.shape[-1]]
    assert torch.equal(sound, whole)


def test_the_stream_comes_near_to_its_magnitudes() -> None:
    audio = music(1.0)
    wanted = STFT(audio)
    sound = RtisiInverter(STFT)(wanted, audio.shape[-1], None, seeded())
    assert decibels(STFT(sound) - wanted, wanted) < -15


@pytest.mark.parametrize("name", ["griffinlim", "pghi", "rtisi"])
def test_subnormal_spectra_are_finite(name: str) -> None:
    """Long decays end in numbers whose angle torch.sgn does not know."""
    wanted = SMALL.magnitude(SMALL(music(0.4)))
    settings = SpectrogramSettings(n_fft=512, hop_length=128, bins=64, scale="magnitude")
    sound = create(name, settings)(1e-38 * wanted, int(0.4 * RATE), None, seeded())
    assert torch.isfinite(sound).all()


@pytest.mark.parametrize("inverter", [PghiInverter, RtisiInverter])
def test_what_cannot_be_done_is_said(inverter: type) -> None:
    cqt = SpectrogramSettings(
        kind="cqt", sample_rate=16000, n_fft=1024, hop_length=128, bins=144, f_min=110.0
    )
    with pytest.raises(VocoderError, match="griffinlim"):
        inverter(cqt)
    with pytest.raises(VocoderError, match="0 or more"):
        inverter(SMALL, iterations=-1)


def test_the_plain_inverse_of_a_short_sound() -> None:
    for length in (1, 200, 2049):
        wanted = STFT(0.1 * torch.randn(length, generator=seeded()))
        sound = PghiInverter(STFT, iterations=0)(wanted, length, None, seeded())
        assert sound.shape == (length,)
        assert torch.isfinite(sound).all()
        assert stft.transform(sound, 2048, 256).shape == wanted.shape
