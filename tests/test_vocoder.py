"""Properties of spectrograms and inverters, on synthetic signals."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch
from inverter_networks import toy_inverter
from torch import Tensor

import vocoder
from vocoder import (
    GriffinLimInverter,
    SpectralGainInverter,
    SpectrogramSettings,
    VocoderError,
    mel,
    stft,
)
from vocoder.cqt import ConstantQ
from vocoder.griffinlim import griffin_lim, linear_magnitude

RATE = 44100
SINE_HZ = 441.7
SMALL = SpectrogramSettings(n_fft=512, hop_length=128, bins=64)
LENGTHS = (0, 1, 2, 127, 128, 129, 255, 257, 509, 4099)
SPECTROGRAMS = {
    "mel": SpectrogramSettings(),
    "mel magnitude": SpectrogramSettings(scale="magnitude"),
    "mel zero": SpectrogramSettings(padding="zero-centre"),
    "stft": SpectrogramSettings(kind="stft"),
    "cqt": SpectrogramSettings(
        kind="cqt", sample_rate=16000, n_fft=1024, hop_length=128, bins=144, f_min=110.0
    ),
}


def decibels(error: Tensor, reference: Tensor) -> float:
    return 20 * math.log10(float(error.norm() / reference.norm()) + 1e-12)


def music(seconds: float = 2.0, rate: int = RATE, channels: int = 2) -> Tensor:
    """Plucked chords of decaying partials, panned, over soft noise bursts: [C, T] at RMS 0.1."""
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(int(seconds * rate)) / rate
    sound = torch.zeros(channels, len(time))
    for step, pitch in itertools.product(range(int(seconds * 4)), (220.0, 277.2, 329.6)):
        since = time - step / 4
        envelope = torch.where(since >= 0, torch.exp(-6 * since.clamp(min=0)), torch.zeros(()))
        for partial in range(1, 9):
            hz = pitch * partial * 2 ** (step % 3 / 6)
            if hz < rate / 2:
                pan = torch.rand(channels, 1, generator=generator)
                sound += pan * envelope * torch.sin(2 * math.pi * hz * time) / partial
        if step % 2:
            sound += 0.3 * envelope**4 * torch.randn(channels, len(time), generator=generator)
    return 0.1 * sound / sound.square().mean().sqrt()


def peak_hz(audio: Tensor, rate: int) -> float:
    """Frequency of the strongest partial, by a parabola through the log of its peak."""
    size = 2**19
    spectrum = torch.fft.rfft(audio.double() * torch.hann_window(len(audio)).double(), n=size)
    level = spectrum.abs().log()
    top = int(level.argmax())
    left, mid, right = level[top - 1 : top + 2].tolist()
    return (top + 0.5 * (left - right) / (left - 2 * mid + right)) * rate / size


@pytest.mark.parametrize("length", [1, 2, 511, 512, 513, 1024, 1025, 7919, 44100])
@pytest.mark.parametrize("padding", ["reflect-centre", "zero-centre"])
@pytest.mark.parametrize(("n_fft", "hop_length"), [(2048, 512), (1152, 192), (1000, 333)])
def test_stft_round_trip(length: int, padding: str, n_fft: int, hop_length: int) -> None:
    audio = torch.randn(2, length, generator=torch.Generator().manual_seed(length))
    spectrum = stft.transform(audio, n_fft, hop_length, padding)
    assert spectrum.shape == (2, n_fft // 2 + 1, length // hop_length + 1)
    back = stft.inverse(spectrum, length, n_fft, hop_length)
    assert decibels(back - audio, audio) < -100


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("hop_length", [128, 100])
def test_overlap_add_is_the_round_trip(length: int, hop_length: int) -> None:
    audio = torch.randn(3, length, generator=torch.Generator().manual_seed(1))
    overlap_add = stft.OverlapAdd(length, 512, hop_length, "reflect-centre", audio.device)
    seen = []

    def change(spectrum: Tensor, frames: slice) -> Tensor:
        seen.append(spectrum.clone())
        return spectrum

    back = overlap_add(audio, change)
    assert back.shape == audio.shape
    if length:
        assert decibels(back - audio, audio) < -100
        whole = stft.transform(audio, 512, hop_length).transpose(-1, -2)
        assert decibels((torch.cat(seen, 1) - whole).abs(), whole.abs()) < -100


@pytest.mark.parametrize("length", [1, 2, 200, 257, 700])
@pytest.mark.parametrize("padding", ["reflect-centre", "zero-centre"])
def test_overlap_add_is_the_nearest_sound(length: int, padding: str) -> None:
    """In least squares to given spectra, at the ends too."""
    random = torch.Generator().manual_seed(length)
    overlap_add = stft.OverlapAdd(length, 512, 128, padding, torch.device("cpu"))
    wanted = torch.randn(2, overlap_add.frames, 512, generator=random)
    given = torch.fft.rfft(wanted * overlap_add.window)
    sound = overlap_add(torch.zeros(2, length), lambda _, frames: given[:, frames])

    def distance(sound: Tensor) -> float:
        again = torch.fft.irfft(stft.transform(sound, 512, 128, padding).transpose(-1, -2))
        return float((again - wanted * overlap_add.window).square().sum(dtype=torch.float64))

    for place in {0, min(3, length - 1), length // 2, max(0, length - 4), length - 1}:
        for change in (-0.1, 0.1):
            other = sound.clone()
            other[:, place] += change
            assert distance(other) > distance(sound)


def test_filters_are_products_with_the_filterbank() -> None:
    for settings in (SMALL, SpectrogramSettings(), SpectrogramSettings(f_min=2000.0, f_max=9000.0)):
        weights = settings.filterbank(torch.device("cpu"))
        filters, random = mel.Filters(weights), torch.Generator().manual_seed(0)
        magnitude = torch.rand(2, 5, len(weights), generator=random)
        bands = magnitude @ weights
        assert torch.allclose(filters.of(magnitude), bands, rtol=1e-4, atol=1e-6)
        assert torch.allclose(filters.back(bands), bands @ weights.T, rtol=1e-4, atol=1e-6)


def test_magnitudes_are_librosas() -> None:
    """Unnormalised: a full-scale sine on a bin reads half the window's sum."""
    hz = 100 * RATE / 2048
    sine = torch.sin(2 * math.pi * hz * torch.arange(RATE) / RATE)
    middle = SpectrogramSettings(kind="stft", scale="magnitude")(sine)[:, 40]
    assert middle[100] == pytest.approx(512, rel=1e-3)


@pytest.mark.parametrize("bins", [80, 192, 256, 400])
@pytest.mark.parametrize(("rate", "n_fft"), [(44100, 2048), (44100, 1152), (16000, 512)])
def test_no_mel_band_is_empty(bins: int, rate: int, n_fft: int) -> None:
    spectrogram = SpectrogramSettings(
        sample_rate=rate, n_fft=n_fft, hop_length=128, bins=bins, f_max=rate * 0.45
    )
    weights = spectrogram.filterbank(torch.device("cpu"))
    assert weights.min() >= 0
    totals = weights.sum(0) * rate / n_fft
    assert torch.allclose(totals, torch.ones(bins), atol=1e-4)


def test_wide_mel_bands_are_slaneys() -> None:
    import librosa

    theirs = torch.from_numpy(
        librosa.filters.mel(sr=RATE, n_fft=2048, n_mels=256, fmin=20, fmax=20000)
    ).T
    ours = SpectrogramSettings().filterbank(torch.device("cpu"))
    wide = slice(200, 256)
    assert decibels(ours[:, wide] - theirs[:, wide], theirs[:, wide]) < -30
    assert mel.band_edges(256, 20.0, 20000.0)[1:-1].diff().min() > 0


@pytest.mark.parametrize("name", SPECTROGRAMS)
def test_spectrograms_of_any_length(name: str) -> None:
    spectrogram = SPECTROGRAMS[name]
    for length in (0, 1, spectrogram.hop_length - 1, spectrogram.hop_length, 1021, 9973):
        made = spectrogram(torch.zeros(2, length))
        assert made.shape == (2, spectrogram.bins, spectrogram.frames(length))
        assert torch.isfinite(made).all()
        assert spectrogram.stereo(torch.zeros(2, length)).shape == made.shape[1:]
    for frames in (1, 2, 17):
        assert spectrogram.frames(spectrogram.samples(frames)) == frames


@pytest.mark.parametrize("name", SPECTROGRAMS)
def test_spectrograms_batch_equals_singles(name: str) -> None:
    spectrogram = SPECTROGRAMS[name]
    audio = music(0.5, spectrogram.sample_rate)
    together = spectrogram.magnitude(spectrogram(torch.stack([audio, audio.flip(0)])))
    for part, alone in ((together[1, 0], audio[1]), (together[0], audio)):
        reference = spectrogram.magnitude(spectrogram(alone))
        assert decibels(part - reference, reference) < -100


@pytest.mark.parametrize("name", SPECTROGRAMS)
@pytest.mark.parametrize("kind", ["music", "silence"])
def test_gradients_flow(name: str, kind: str) -> None:
    spectrogram = SPECTROGRAMS[name]
    audio = music(0.3, spectrogram.sample_rate)
    audio = (audio if kind == "music" else torch.zeros_like(audio)).requires_grad_()
    for made in (spectrogram(audio), spectrogram.stereo(audio)):
        (gradient,) = torch.autograd.grad(made.sum(), audio)
        assert torch.isfinite(gradient).all()
        assert kind == "silence" or gradient.abs().max() > 0


def test_spectrograms_made_in_inference_mode_leave_usable_transforms() -> None:
    spectrogram = SpectrogramSettings(n_fft=768, hop_length=192, bins=50)
    with torch.inference_mode():
        spectrogram(torch.zeros(1000))
    audio = torch.randn(1000, requires_grad=True)
    spectrogram(audio).sum().backward()
    assert audio.grad is not None


def test_stereo_spectrogram_ignores_swaps_and_polarity() -> None:
    audio = music(0.5)
    spectrogram = SPECTROGRAMS["mel"]
    plain = spectrogram.stereo(audio)
    assert torch.allclose(plain, spectrogram.stereo(audio.flip(0)), atol=1e-4)
    assert torch.allclose(
        plain, spectrogram.stereo(audio * torch.tensor([[1.0], [-1.0]])), atol=1e-4
    )
    mono = audio[:1]
    assert torch.allclose(spectrogram.stereo(mono.expand(2, -1)), spectrogram(mono[0]), atol=1e-4)


@pytest.mark.parametrize("shape", [(2, 0), (2, 1), (2, 30011), (3, 2, 5000)])
def test_a_stereo_spectrogram_is_that_of_the_mean_power(shape: tuple[int, ...]) -> None:
    """What is worked out a few frames at a time is what whole spectra give."""
    audio = 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(1))
    for spectrogram in (SPECTROGRAMS["mel"], SPECTROGRAMS["stft"]):
        whole = spectrogram.compress(
            spectrogram.bands(vocoder.power_mean(spectrogram.spectrum(audio)))
        )
        assert torch.allclose(spectrogram.stereo(audio), whole, atol=1e-4)


def test_equality_and_dictionaries() -> None:
    assert SpectrogramSettings() == SpectrogramSettings(bins=256) != SpectrogramSettings(bins=128)
    assert SpectrogramSettings(kind="stft", f_min=50.0) == SpectrogramSettings(
        kind="stft", bins=1025
    )
    for spectrogram in SPECTROGRAMS.values():
        assert SpectrogramSettings.from_dict(spectrogram.to_dict()) == spectrogram
        assert hash(SpectrogramSettings.from_dict(spectrogram.to_dict())) == hash(spectrogram)
    with pytest.raises(VocoderError, match="did you mean 'hop_length'"):
        SpectrogramSettings.from_dict({"hop": 512})
    vocoder.require_equal(SpectrogramSettings(), SpectrogramSettings(), "the network")
    with pytest.raises(VocoderError, match=r"the network expects .*hop_length 512, not 256"):
        vocoder.require_equal(
            SpectrogramSettings(), SpectrogramSettings(hop_length=256), "the network"
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "wavelet"}, "mel, stft, cqt"),
        ({"hop_length": 1024}, "hop_length=512"),
        ({"hop_length": 0}, "at least 1"),
        ({"n_fft": 2047}, "even n_fft"),
        ({"sample_rate": 16000}, "f_max=8000"),
        ({"f_min": 20000.0}, "f_min=20"),
        ({"floor": 0.0}, "positive"),
        ({"kind": "stft", "bins": 256}, "1025 bins"),
        ({"kind": "cqt", "f_min": 0.0}, "f_min=32.7"),
        ({"kind": "cqt", "f_min": 32.7, "bins": 480}, "above half .*hop_length=256 with bins=409"),
        # The seed's settings: 73 % of the top band between the frames.
        (
            {
                "kind": "cqt",
                "sample_rate": 32000,
                "bins": 84,
                "f_min": 32.7,
                "bins_per_octave": 12,
            },
            r"longer .* \(137 samples at 3951 Hz\): use hop_length=128 with bins=84",
        ),
        ({"kind": "cqt", "f_min": 32.7, "bins": 384, "hop_length": 200}, "use hop_length=256"),
        ({"kind": "cqt", "f_min": 20.0}, "use hop_length=256 with bins=432"),
    ],
)
def test_bad_settings_name_the_way_out(settings: dict, message: str) -> None:
    with pytest.raises(VocoderError, match=message) as caught:
        SpectrogramSettings(**settings)
    assert "\n" not in str(caught.value)


def test_nearest_cqt_settings_are_good() -> None:
    assert SpectrogramSettings(kind="cqt", f_min=20.0, hop_length=256, bins=432).bins == 432
    assert SpectrogramSettings(kind="cqt", f_min=32.7, hop_length=256, bins=384).bins == 384


def test_mel_back_to_magnitude_keeps_the_bands() -> None:
    """Non-negative, and its own bands are the given ones (within 0.2 dB on average)."""
    spectrogram = SpectrogramSettings(scale="magnitude")
    bands = spectrogram(music(0.5, channels=1)[0]).T
    device = bands.device
    weights, back = spectrogram.filterbank(device), spectrogram.pseudo_inverse(device)
    magnitude = mel.to_magnitude(bands, weights, back)
    assert magnitude.min() >= 0
    floor = bands.max() * 1e-3
    again = 20 * torch.log10((magnitude @ weights).clamp(min=floor) / bands.clamp(min=floor))
    assert again.abs().mean() < 0.2


def test_fast_griffin_lim_converges() -> None:
    spectrogram = SpectrogramSettings(kind="stft", scale="magnitude")
    wanted = spectrogram(music(2.0))
    generator = torch.Generator().manual_seed(3)
    sound = griffin_lim(wanted, 2 * RATE, spectrogram, iterations=32, generator=generator)
    fast = decibels(spectrogram(sound) - wanted, wanted)
    assert fast < -20
    generator.manual_seed(3)
    plain = griffin_lim(wanted, 2 * RATE, spectrogram, 32, momentum=0.0, generator=generator)
    assert fast < decibels(spectrogram(plain) - wanted, wanted) - 2


def test_griffin_lim_from_the_true_phase_stays_there() -> None:
    audio = music(0.5)
    spectrogram = SpectrogramSettings(kind="stft", scale="magnitude")
    sound = griffin_lim(spectrogram(audio), audio.shape[-1], spectrogram, iterations=4, start=audio)
    assert decibels(sound - audio, audio) < -80


@pytest.mark.parametrize("name", SPECTROGRAMS)
@pytest.mark.parametrize("length", [0, 1, 127, 128, 2053])
def test_inverters_give_the_exact_length(name: str, length: int) -> None:
    spectrogram = SPECTROGRAMS[name]
    audio = 0.1 * torch.randn(2, length, generator=torch.Generator().manual_seed(2))
    generator = torch.Generator().manual_seed(2)
    alone = GriffinLimInverter(spectrogram, iterations=2)(
        spectrogram(audio), length, None, generator
    )
    shaped = SpectralGainInverter(spectrogram, iterations=2)(
        spectrogram.stereo(audio), length, audio
    )
    for sound in (alone, shaped):
        assert sound.shape == (2, length)
        assert sound.dtype == torch.float32
        assert torch.isfinite(sound).all()


@pytest.mark.parametrize("name", SPECTROGRAMS)
def test_silence_stays_silent(name: str) -> None:
    spectrogram = SPECTROGRAMS[name]
    silence = torch.zeros(2, 5000)
    generator = torch.Generator().manual_seed(0)
    assert not GriffinLimInverter(spectrogram, 3)(spectrogram(silence), 5000, None, generator).any()
    loud = spectrogram.stereo(silence + 1)
    assert not SpectralGainInverter(spectrogram, 3)(loud, 5000, silence).any()


def sine_and_back(name: str, inverter: type) -> tuple[Tensor, int]:
    """A second and a half of SINE_HZ through a spectrogram, the ends cut off."""
    spectrogram = SPECTROGRAMS[name]
    time = torch.arange(spectrogram.sample_rate * 3 // 2) / spectrogram.sample_rate
    sine = 0.3 * torch.sin(2 * math.pi * SINE_HZ * time)[None]
    generator = torch.Generator().manual_seed(0)
    sound = inverter(spectrogram)(spectrogram.stereo(sine), sine.shape[1], sine, generator)
    edge = spectrogram.sample_rate // 8
    return sound.reshape(-1)[edge:-edge], spectrogram.sample_rate


@pytest.mark.parametrize("name", ["mel", "stft", "cqt"])
def test_a_sine_keeps_its_frequency_through_the_source(name: str) -> None:
    sound, rate = sine_and_back(name, SpectralGainInverter)
    assert abs(1200 * math.log2(peak_hz(sound, rate) / SINE_HZ)) < 1


@pytest.mark.parametrize("name", ["mel", "stft", "cqt"])
def test_a_sine_keeps_its_frequency_through_griffin_lim(name: str) -> None:
    """From a random phase the pitch wanders; the median of 1/8 s windows is within 5 cents."""
    sound, rate = sine_and_back(name, GriffinLimInverter)
    window = rate // 8
    peaks = [peak_hz(part, rate) for part in sound.unfold(0, window, window // 2)]
    assert abs(1200 * math.log2(sorted(peaks)[len(peaks) // 2] / SINE_HZ)) < 5


def test_inverters_batch_equals_singles() -> None:
    audio = torch.stack([music(0.4), music(0.4).flip(0) * 0.3])
    length = audio.shape[-1]
    spectrograms = SMALL.stereo(audio)
    shaped = SpectralGainInverter(SMALL)(spectrograms - 0.5, length, audio)
    alone = SpectralGainInverter(SMALL)(spectrograms[1] - 0.5, length, audio[1])
    assert decibels(shaped[1] - alone, alone) < -80
    lim = GriffinLimInverter(SMALL, iterations=4)
    seeds = [torch.Generator().manual_seed(5) for _ in range(2)]
    together = lim(spectrograms, length, None, seeds[0])
    single = lim(spectrograms[1], length, None, seeds[1])
    assert decibels(together[1] - single, single) < -60


def test_same_seed_same_samples() -> None:
    spectrogram = SMALL(music(0.3)[0])
    length = int(0.3 * RATE)
    lim = GriffinLimInverter(SMALL, iterations=3)
    first, again, other = (
        lim(spectrogram, length, None, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", SPECTROGRAMS)
@pytest.mark.parametrize("iterations", [0, 8])
def test_the_sources_own_spectrogram_gives_the_source(name: str, iterations: int) -> None:
    spectrogram = SPECTROGRAMS[name]
    audio = music(0.5, spectrogram.sample_rate)
    sound = SpectralGainInverter(spectrogram, iterations)(
        spectrogram.stereo(audio), audio.shape[-1], audio
    )
    assert decibels(sound - audio, audio) < -80


@pytest.mark.parametrize("iterations", [0, 4])
def test_spectral_gain_inverter_gain_equivariance(iterations: int) -> None:
    """Exact above the floor, hence a floor that nothing here comes near."""
    spectrogram = SpectrogramSettings(floor=1e-7)
    audio = music(0.5) + 1e-3 * torch.randn(2, RATE // 2)
    tilt = torch.linspace(-1, 1, spectrogram.bins)[:, None]
    wanted = spectrogram.stereo(audio) + tilt
    inverter = SpectralGainInverter(spectrogram, iterations)
    plain = inverter(wanted, audio.shape[-1], audio)
    louder = inverter(wanted + math.log(4), audio.shape[-1], 4 * audio)
    assert decibels(louder - 4 * plain, 4 * plain) < -80
    swapped = inverter(wanted, audio.shape[-1], audio.flip(0))
    assert decibels(swapped.flip(0) - plain, plain) < -80
    flipped = inverter(wanted, audio.shape[-1], -audio)
    assert decibels(flipped + plain, plain) < -80


def test_spectral_gain_inverter_reaches_the_wanted_spectrogram() -> None:
    """Within 1 dB RMS for bands no more than 60 dB below the loudest."""
    spectrogram = SpectrogramSettings()
    audio = music(1.0)
    own = spectrogram.stereo(audio)
    tilt = 2 * torch.sin(torch.linspace(0, 6, spectrogram.bins))[:, None]
    sound = SpectralGainInverter(spectrogram)(own + tilt, audio.shape[-1], audio)
    error = (spectrogram.stereo(sound) - own - tilt)[own > own.max() - math.log(1000)]
    assert error.square().mean().sqrt() < math.log(10) / 20


@pytest.mark.parametrize("name", ["mel", "stft"])
def test_every_trip_comes_nearer_to_a_spectrogram_of_something_else(name: str) -> None:
    spectrogram = SPECTROGRAMS[name]
    audio = music(0.5, spectrogram.sample_rate)
    wanted = spectrogram.stereo(audio.flip(-1))  # all that begins ends, and the other way round
    gaps = []
    for iterations in (0, 1, 3):
        sound = SpectralGainInverter(spectrogram, iterations)(wanted, audio.shape[-1], audio)
        audible = wanted > wanted.max() - math.log(100)
        gaps.append(float((spectrogram.stereo(sound) - wanted)[audible].abs().mean()))
    assert gaps[2] < 0.95 * gaps[1] < 0.95 * gaps[0]


@pytest.mark.parametrize("iterations", [0, 4])
def test_source_gain_is_bounded(iterations: int) -> None:
    audio = music(0.5)
    spectrogram = SpectrogramSettings()
    wanted = spectrogram.stereo(audio) + 10.0
    sound = SpectralGainInverter(spectrogram, iterations, max_gain_db=6.0)(
        wanted, audio.shape[-1], audio
    )
    assert decibels(sound - 10 ** (6 / 20) * audio, audio) < -60


@pytest.mark.parametrize("iterations", [0, 4])
def test_what_lies_below_the_floor_is_raised_by_the_bound_once(iterations: int) -> None:
    """Rounding noise under a spectrogram's floor is not heard, however loud the wanted spectrogram
    is.
    """
    spectrogram = SpectrogramSettings()
    noise = 1e-10 * torch.randn(2, 30000, generator=torch.Generator().manual_seed(0))
    own = spectrogram.stereo(noise)
    assert float(own.max()) == pytest.approx(math.log(spectrogram.floor))
    sound = SpectralGainInverter(spectrogram, iterations)(own + 10.0, noise.shape[-1], noise)
    assert decibels(sound, noise) < 35.1


def test_rounding_of_the_source_stays_rounding() -> None:
    spectrogram, audio = SpectrogramSettings(), music(1.0)
    audio[:, 9000:20000] = 0
    other = audio + 1e-9 * torch.randn(audio.shape, generator=torch.Generator().manual_seed(0))
    wanted = spectrogram.stereo(music(1.0).flip(-1))
    inverter = SpectralGainInverter(spectrogram, iterations=3)
    sound = inverter(wanted, audio.shape[-1], audio)
    assert decibels(inverter(wanted, audio.shape[-1], other) - sound, sound) < -90


def test_wrong_shapes_are_refused() -> None:
    audio = torch.zeros(2, 1000)
    spectrogram = SMALL.stereo(audio)
    inverter = SpectralGainInverter(SMALL)
    with pytest.raises(VocoderError, match="no source"):
        inverter(spectrogram, 1000)
    with pytest.raises(VocoderError, match="64 bins x 8 frames"):
        inverter(spectrogram[:, :-1], 1000, audio)
    with pytest.raises(VocoderError, match="source of shape"):
        inverter(spectrogram, 1000, audio[:, :-1])
    with pytest.raises(VocoderError, match="64 bins x 8 frames"):
        GriffinLimInverter(SMALL)(spectrogram[:-1], 1000)
    for options in ({"iterations": -1}, {"max_gain_db": -1.0}):
        with pytest.raises(VocoderError, match="use 0 or more"):
            SpectralGainInverter(SMALL, **options)
    with pytest.raises(VocoderError, match="0 to 1"):
        GriffinLimInverter(SMALL, momentum=2.0)


@pytest.mark.parametrize("bins_per_octave", [36, 48, 96])
def test_cqt_inverse(bins_per_octave: int) -> None:
    """Between the lowest and the highest bin -40 dB, -50 in the middle octaves."""
    rate = 16000
    transform = ConstantQ(rate, 128, 5 * bins_per_octave, 110.0, bins_per_octave)
    audio = music(1.5, rate, channels=1)
    fade = torch.hann_window(audio.shape[1]).sqrt()
    audio = audio * fade
    back = transform.inverse(transform(audio), audio.shape[1])
    hz = torch.fft.rfftfreq(audio.shape[1], 1 / rate)
    error, reference = torch.fft.rfft(back - audio), torch.fft.rfft(audio)
    inside, middle = (hz > 130) & (hz < 3300), (hz > 200) & (hz < 2000)
    assert decibels((error * inside).abs(), (reference * inside).abs()) < -40
    assert decibels((error * middle).abs(), (reference * middle).abs()) < -50


def test_least_squares_come_nearer_to_the_bands() -> None:
    spectrogram = SpectrogramSettings()
    weights = spectrogram.filterbank(torch.device("cpu"))
    bands = spectrogram.spectrum(music(0.4)).abs().transpose(-1, -2) @ weights
    start = mel.to_magnitude(bands, weights, spectrogram.pseudo_inverse(torch.device("cpu")))
    found = mel.least_squares(bands, weights, start, 50)
    assert bool((found >= 0).all())
    assert decibels(found @ weights - bands, bands) < decibels(start @ weights - bands, bands) - 10
    magnitude = linear_magnitude(spectrogram, spectrogram(music(0.4)), least_squares=50)
    assert not torch.equal(magnitude, linear_magnitude(spectrogram, spectrogram(music(0.4))))


def test_griffin_lim_on_the_cqt_converges() -> None:
    spectrogram = SPECTROGRAMS["cqt"]
    audio = music(1.0, spectrogram.sample_rate, channels=1)[0]
    generator = torch.Generator().manual_seed(0)
    sound = GriffinLimInverter(spectrogram, 16)(spectrogram(audio), len(audio), None, generator)
    wanted = spectrogram.magnitude(spectrogram(audio))
    assert decibels(spectrogram.magnitude(spectrogram(sound)) - wanted, wanted) < -10


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


@pytest.mark.parametrize("name", vocoder.names())
@pytest.mark.parametrize("length", LENGTHS)
def test_registered_inverters_keep_the_contract(name: str, length: int, toys: Path) -> None:
    """Exactly the length that was asked for; frames of another length are refused."""
    audio = music(0.5)[:, :length]
    spectrogram = SMALL.stereo(audio)
    inverter = toy_inverter(name, SMALL, toys)
    sound = inverter(spectrogram, length, audio, torch.Generator().manual_seed(0))
    assert inverter.expects == SMALL
    assert sound.shape[-1] == length
    assert torch.isfinite(sound).all()
    with pytest.raises(VocoderError):
        inverter(spectrogram, length + SMALL.hop_length, audio)


@pytest.mark.parametrize("name", vocoder.names())
def test_registered_inverters_know_batches_seeds_and_silence(name: str, toys: Path) -> None:
    inverter, audio = toy_inverter(name, SMALL, toys), music(0.3)[:, : 37 * 128 + 5]
    pair = torch.stack([audio, 0.3 * audio.flip(-1)])
    length = audio.shape[-1]

    def made(sound: Tensor, seed: int = 0) -> Tensor:
        given = sound if name == "source" else None
        random = torch.Generator().manual_seed(seed)
        return inverter(SMALL.stereo(sound) - 0.2, length, given, random)

    both, alone = made(pair), made(pair[1])
    assert torch.equal(both, made(pair))
    # Rounding may decide from which bin heap integration goes on.
    assert decibels(both[1] - alone, alone) < -50
    silent = torch.zeros_like(audio)
    assert not inverter(SMALL.stereo(silent), length, silent, torch.Generator()).any()


def test_registry() -> None:
    assert {"source", "griffinlim"} <= set(vocoder.names())
    for name in ("source", "griffinlim"):
        inverter = vocoder.create(name, SMALL, iterations=1)
        assert inverter.expects == SMALL
    with pytest.raises(VocoderError, match="did you mean 'griffinlim'"):
        vocoder.create("grifinlim", SMALL)
    with pytest.raises(VocoderError, match="no network"):
        vocoder.create("griffinlim:weights.safetensors", SMALL)
