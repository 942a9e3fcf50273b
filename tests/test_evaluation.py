"""Metrics on sounds whose figures are known beforehand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.baselines import audio
from audiotransfer.evaluation.metrics import artefacts, copy_synthesis, separation
from audiotransfer.evaluation.metrics.content import (
    centred_chroma,
    onset_correlation,
    onset_f1,
    rescaled_content,
)
from audiotransfer.evaluation.metrics.mel_distance import (
    contrast,
    contrast_ratio,
    distance,
    song_figures,
)
from audiotransfer.evaluation.metrics.signals import mel_magnitude, mono
from audiotransfer.evaluation.report import plots
from audiotransfer.evaluation.report.plots import save_comparison
from audiotransfer.evaluation.report.statistics import (
    bootstrap,
    harmonic,
    markdown_table,
    plain_table,
    rescaled,
    share,
    summary_row,
)

RATE = 44100


def noise(seconds: float, seed: int = 0, channels: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(channels, round(seconds * RATE), generator=generator)


def tone(frequency: float, seconds: float, partials: int = 12) -> Tensor:
    time = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    waves = [
        torch.sin(2 * math.pi * frequency * order * time) / order
        for order in range(1, partials + 1)
    ]
    return (0.1 * torch.stack(waves).sum(dim=0))[None].float()


def melody(seconds: float, seed: int = 0, transpose: float = 0.0) -> Tensor:
    """Plucked notes at irregular times: [1, T]."""
    generator = np.random.default_rng(seed)
    total = round(seconds * RATE)
    sound = torch.zeros(1, total)
    at = 0.05
    while at < seconds - 0.1:
        pitch = generator.choice([0, 2, 4, 5, 7, 9, 11]) + transpose
        note = tone(261.63 * 2 ** (pitch / 12), 0.5, 8)
        note = note * torch.exp(-torch.arange(note.shape[1]) / (0.15 * RATE))
        start = round(at * RATE)
        stop = min(total, start + note.shape[1])
        sound[:, start:stop] += note[:, : stop - start]
        at += float(generator.uniform(0.15, 0.45))
    return sound


# --- distance and contrast


def test_distance_is_zero_for_the_same_sound_at_any_gain() -> None:
    sound = melody(1.5)
    assert distance(sound, sound, RATE) == 0.0
    assert distance(0.25 * sound, sound, RATE) < 0.01


def test_distance_is_the_gain_of_a_step_in_the_spectrum() -> None:
    # The upper half band 20 dB down, the lower kept: the RMS over bands is known from the bands.
    sound = noise(2.0)
    spectrum = torch.fft.rfft(sound)
    cut = round(spectrum.shape[-1] * 8000 / (RATE / 2))
    spectrum[:, cut:] *= 0.1
    quieter = torch.fft.irfft(spectrum, n=sound.shape[-1])
    gain = 20 * math.log10(float(sound.square().mean().sqrt() / quieter.square().mean().sqrt()))
    mels = np.linspace(0, 1, 258)[1:-1] * (58.57 - 0.3) + 0.3  # Slaney, 20 Hz to 20 kHz
    above = (mels > 15 + 27 * math.log(8000 / 1000) / math.log(6.4)).mean()
    expected = math.sqrt(above * (gain - 20) ** 2 + (1 - above) * gain**2)
    assert distance(quieter, sound, RATE) == pytest.approx(expected, rel=0.05)


def test_filling_the_inaudible_floor_of_the_reference_costs_nothing() -> None:
    sound = noise(1.0)
    spectrum = torch.fft.rfft(sound)
    spectrum[:, round(spectrum.shape[-1] * 0.4) :] *= 10 ** (-90 / 20)
    deep = torch.fft.irfft(spectrum, n=sound.shape[-1])
    filled = deep + 10 ** (-80 / 20) * noise(1.0, seed=1)
    assert distance(filled, deep, RATE) < 0.05


def test_distance_ignores_rate_and_channels() -> None:
    sound = melody(1.5)
    assert distance(sound.repeat(2, 1), sound, RATE) < 1e-4


def test_partials_stand_out_and_noise_does_not() -> None:
    partials, mush = contrast(tone(220, 1.0, 40), RATE), contrast(noise(1.0), RATE)
    assert 6 < mush < 9
    assert partials > 2 * mush
    assert contrast_ratio(tone(220, 1.0, 40), tone(220, 1.0, 40), RATE) == 1.0
    blurred = tone(220, 1.0, 40) + 0.3 * noise(1.0)
    assert contrast_ratio(blurred, tone(220, 1.0, 40), RATE) < 0.8


def test_silence_has_no_contrast_and_no_distance_to_itself() -> None:
    silence = torch.zeros(2, RATE)
    assert contrast(silence, RATE) == 0.0
    assert distance(silence, silence, RATE) == 0.0
    assert math.isnan(contrast_ratio(noise(1.0), silence, RATE))


@pytest.mark.parametrize("length", [1, 511, 1031, 2047])
def test_short_sounds_have_figures(length: int) -> None:
    sound = noise(1.0)[:, :length]
    assert all(math.isfinite(value) for value in song_figures(sound, sound, RATE).values())


@pytest.mark.parametrize(
    "bad", [torch.zeros(1, 0), torch.zeros(2, 3, 4), torch.full((1, 9), np.nan)]
)
def test_what_is_no_sound_is_refused(bad: Tensor) -> None:
    with pytest.raises(AudioTransferError, match="cannot measure"):
        mono(bad, RATE)


# --- content


def test_chroma_agrees_with_itself_and_drops_when_transposed() -> None:
    sound = melody(3.0)
    assert centred_chroma(sound, sound, RATE) == pytest.approx(1.0, abs=1e-5)
    assert centred_chroma(melody(3.0, transpose=6), sound, RATE) < 0.3
    assert centred_chroma(melody(3.0, transpose=12), sound, RATE) > 0.6


def test_chroma_of_noise_agrees_with_nothing() -> None:
    assert abs(centred_chroma(noise(3.0), melody(3.0), RATE)) < 0.35
    assert centred_chroma(torch.zeros(1, RATE), melody(1.0), RATE) == 0.0
    assert centred_chroma(torch.zeros(1, RATE), torch.zeros(1, RATE), RATE) == 1.0


def test_onset_correlation_of_a_shift_is_nothing() -> None:
    sound = melody(15.0)
    assert onset_correlation(sound, sound, RATE) == pytest.approx(1.0, abs=1e-5)
    assert abs(onset_correlation(torch.roll(sound, 7 * RATE, -1), sound, RATE)) < 0.25


def test_onset_f1_counts_onsets_within_50_ms() -> None:
    sound = melody(4.0)
    assert onset_f1(sound, sound, RATE) == 1.0
    late = torch.roll(sound, round(0.03 * RATE), -1)
    assert onset_f1(late, sound, RATE) > 0.8
    assert onset_f1(melody(4.0, seed=5), sound, RATE) < 0.8
    assert onset_f1(torch.zeros(1, RATE), torch.zeros(1, RATE), RATE) == 1.0


def test_rescaled_content_of_the_source_is_one_and_of_a_random_clip_nothing() -> None:
    source, other = melody(3.0), melody(3.0, seed=9)
    assert rescaled_content(source, source, other, RATE) == pytest.approx(1.0, abs=1e-4)
    assert rescaled_content(other, source, other, RATE) == pytest.approx(0.0, abs=1e-6)


# --- artefacts


def test_planted_seams_are_found_and_music_has_none() -> None:
    period = 16384
    sound = melody(8.0) + 0.002 * noise(8.0)
    assert 0.6 < artefacts.seam_energy(sound, RATE, period) < 1.4
    tiles = sound.clone()
    for start in range(period, sound.shape[-1], 2 * period):
        tiles[:, start : start + period] = torch.roll(sound, 300, -1)[:, start : start + period]
    assert artefacts.seam_energy(tiles, RATE, period) > 1.5
    assert artefacts.seam_energy(tiles, RATE, 11000) < 1.5


def test_seam_energy_of_noise_is_one_and_of_too_little_refused() -> None:
    assert artefacts.seam_energy(noise(8.0), RATE, 16384) == pytest.approx(1.0, abs=0.15)
    with pytest.raises(AudioTransferError, match="three periods"):
        artefacts.seam_energy(noise(0.5), RATE, 16384)


def test_a_consistent_sound_survives_its_copy_better_than_a_mangled_one() -> None:
    sound = melody(1.5)
    spectrum = torch.stft(sound, 512, 128, window=torch.hann_window(512), return_complex=True)
    generator = torch.Generator().manual_seed(0)
    keep = torch.rand(spectrum.shape, generator=generator) < 0.3  # "musical noise"
    mangled = torch.istft(spectrum * keep, 512, 128, window=torch.hann_window(512))
    assert artefacts.artefact_ratio(sound, sound, RATE) == 1.0
    assert artefacts.artefact_ratio(mangled, sound, RATE) > 1.2
    assert artefacts.artefact_check(torch.zeros(1, RATE), RATE) == 0.0


def test_multi_resolution_distance_is_the_same_in_blocks() -> None:
    sound = melody(1.0)[0].numpy()
    assert artefacts.multi_resolution_distance(sound, sound) == 0.0
    assert artefacts.multi_resolution_distance(0.5 * sound, sound) > 0.1


# --- separation


def test_sdr_of_a_known_error() -> None:
    truth = noise(1.0, channels=2)
    error = noise(1.0, seed=1, channels=2) * 0.1
    assert separation.global_sdr(truth + error, truth) == pytest.approx(20.0, abs=0.2)
    mix = truth + noise(1.0, seed=2, channels=2)
    assert separation.sdr_gain(mix, truth, mix) == 0.0
    assert separation.sdr_gain(truth + error, truth, mix) == pytest.approx(20.0, abs=0.3)
    assert math.isnan(separation.global_sdr(truth, torch.zeros_like(truth)))
    with pytest.raises(AudioTransferError, match="shape"):
        separation.global_sdr(truth[:, 1:], truth)


def test_museval_median_is_high_for_small_errors_and_names_must_agree() -> None:
    rate = 4000
    stems = {
        name: noise(1.0, seed, 2)[:, : 2 * rate] for seed, name in enumerate(("drums", "bass"))
    }
    close = {name: stem + 0.01 * noise(1.0, 7, 2)[:, : 2 * rate] for name, stem in stems.items()}
    found = separation.museval_sdr(close, stems, rate)
    mixed = separation.museval_sdr({name: sum(stems.values()) for name in stems}, stems, rate)
    for name in stems:
        assert found[name] == pytest.approx(40.0, abs=3.0)
        assert mixed[name] == pytest.approx(0.0, abs=3.0)
    with pytest.raises(AudioTransferError, match="names must agree"):
        separation.museval_sdr({"drums": stems["drums"]}, stems, rate)


# --- copy synthesis


def test_copy_synthesis_of_a_perfect_and_of_a_spoilt_round_trip() -> None:
    sound = melody(1.5)
    perfect = copy_synthesis.copy_synthesis_figures(sound, RATE, lambda audio: audio.clone())
    assert perfect["spectral_convergence_db"] < -150
    assert perfect["multi_resolution_stft"] == 0.0
    assert perfect["log_spectral_distance_db"] == 0.0
    assert perfect["centred_chroma"] == pytest.approx(1.0, abs=1e-5)
    assert perfect["real_time_factor"] > 0
    assert perfect["peak_memory_mb"] > 50
    half = copy_synthesis.copy_figures(0.5 * sound, sound, RATE)
    assert half["spectral_convergence_db"] == pytest.approx(-6.02, abs=0.01)
    with pytest.raises(AudioTransferError, match="keep channels and samples"):
        copy_synthesis.copy_figures(sound[:, 1:], sound, RATE)


def test_log_spectral_distance_is_a_plain_gain_in_db() -> None:
    magnitude = np.full((5, 4), 0.1, dtype=np.float32)
    assert copy_synthesis.log_spectral_distance(magnitude / 10, magnitude) == pytest.approx(20.0)


# --- baselines


def shaped(sound: Tensor, decibel: float, above: float) -> Tensor:
    spectrum = torch.fft.rfft(sound)
    frequencies = torch.linspace(0, RATE / 2, spectrum.shape[-1])
    spectrum = spectrum * torch.where(frequencies > above, 10 ** (decibel / 20), 1.0)
    return torch.fft.irfft(spectrum, n=sound.shape[-1])


def test_matched_eq_learns_the_difference_of_two_sets(tmp_path: Path) -> None:
    sources = [noise(2.0, seed) for seed in range(3)]
    targets = [shaped(noise(2.0, seed + 10), -12, 3000) for seed in range(2)]
    eq = audio.MatchedEQ.fit(sources, targets)
    test, truth = noise(2.0, 20, channels=2), shaped(noise(2.0, 20, channels=2), -12, 3000)
    output = eq(test)
    assert output.shape == test.shape
    assert distance(output, truth, RATE) < 0.2 * distance(test, truth, RATE)
    eq.save(tmp_path / "eq.json")
    assert (tmp_path / "eq.json").stat().st_size < 4000
    loaded = audio.MatchedEQ.load(tmp_path / "eq.json")
    assert torch.allclose(loaded(test), output, atol=1e-4)


def test_a_flat_equaliser_changes_nothing_and_keeps_time() -> None:
    flat = audio.MatchedEQ((0.0,) * 256)
    for length in (1, 700, 5003):
        sound = noise(1.0, channels=2)[:, :length]
        assert torch.allclose(flat(sound), sound, atol=1e-5)


@pytest.mark.parametrize("text", ["", "{}", '{"kind": "matched-eq", "gains_db": [1]}', "[1]"])
def test_foreign_equalisers_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "eq.json").write_text(text)
    with pytest.raises(AudioTransferError, match="no matched EQ"):
        audio.MatchedEQ.load(tmp_path / "eq.json")


def test_fitting_silence_is_refused() -> None:
    with pytest.raises(AudioTransferError, match="silent"):
        audio.MatchedEQ.fit([torch.zeros(1, RATE)], [noise(1.0)])


def test_random_target_clip_is_a_stretch_of_a_song() -> None:
    ramp = torch.arange(1000.0)[None]
    generator = torch.Generator().manual_seed(0)
    clip = audio.random_target_clip([ramp], 100, generator)
    assert torch.equal(clip[0].diff(), torch.ones(99))
    assert audio.random_target_clip([ramp], 2500, generator).shape == (1, 2500)
    with pytest.raises(AudioTransferError):
        audio.random_target_clip([], 10, generator)


def test_inverter_round_trip_hands_over_the_spectrogram_and_the_length() -> None:
    class Doubling:
        def expects(self, audio: Tensor) -> Tensor:
            return 2 * audio

        def __call__(
            self,
            spectrogram: Tensor,
            length: int,
            source: Tensor | None = None,
            generator: torch.Generator | None = None,
        ) -> Tensor:
            assert source is None
            return spectrogram[..., :length] / 2

    sound = noise(0.1)
    assert torch.equal(audio.inverter_round_trip(sound, Doubling()), sound)
    assert torch.equal(audio.do_nothing(sound), sound)


# --- statistics, tables, spectrograms


def test_bootstrap_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(5.0, 1.0, 400).tolist()
    interval = bootstrap([*values, math.nan])
    assert interval == bootstrap(values)
    assert interval.count == 400
    assert interval.high - interval.low == pytest.approx(2 * 1.96 / math.sqrt(400), rel=0.15)
    assert interval.low < interval.mean < interval.high
    with pytest.raises(AudioTransferError):
        bootstrap([math.nan])


def test_scores_of_nothing_and_of_everything() -> None:
    assert rescaled(0.3, zero=0.3, one=0.9) == 0.0
    assert rescaled(0.9, zero=0.3, one=0.9) == pytest.approx(1.0)
    assert harmonic(0.0, 1.0) == harmonic(1.0, -0.2) == 0.0
    assert harmonic(1.3, 1.0) == 1.0
    assert harmonic(0.5, 0.25) == pytest.approx(1 / 3)
    assert share([True, True, False, True]) == 0.75


def test_tables_show_every_figure() -> None:
    songs = [{"distance": 5.0, "contrast ratio": 1.0}, {"distance": 6.0}]
    rows = [summary_row("jazz", songs), {"system": "nothing", "distance": math.nan, "songs": 2}]
    lines = markdown_table(rows).splitlines()
    assert lines[0].split("|")[1].strip() == "system"
    assert "5.50 [5.00, 6.00]" in lines[2]
    assert len({line.count("|") for line in lines}) == 1
    assert len({len(line) for line in lines}) == 1
    assert plain_table(rows).splitlines()[0].split() == [
        "system",
        "distance",
        "contrast",
        "ratio",
        "songs",
    ]


def test_song_figures_of_the_truth_itself() -> None:
    source, truth = melody(2.0), melody(2.0) + 0.2 * noise(2.0)
    figures = song_figures(truth, source, RATE, truth=truth, artefacts=True)
    assert figures["distance"] == figures["distance ratio"] == 0.0
    assert figures["contrast ratio"] == 1.0
    nothing = song_figures(source, source, RATE, truth=truth)
    assert nothing["distance ratio"] == 1.0
    assert nothing["centred chroma"] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("length", [100, 4096, 50_000, 8 * 512 * 5])
def test_a_spectrogram_in_pieces_is_that_of_the_whole(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal = np.random.default_rng(0).standard_normal(length).astype(np.float32)
    whole = plots._log_frequency(signal)
    monkeypatch.setattr(plots, "_FRAMES", 8)
    assert np.array_equal(plots._log_frequency(signal), whole)


def test_spectrograms_are_written_and_empty_stretches_refused(tmp_path: Path) -> None:
    sounds = {"before": melody(2.0), "after": noise(2.0, channels=2)}
    save_comparison(tmp_path / "deep" / "both.png", sounds, RATE, title="two", start=0.5, seconds=1)
    assert (tmp_path / "deep" / "both.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(AudioTransferError, match="earlier start"):
        save_comparison(tmp_path / "none.png", sounds, RATE, start=9.0)
    assert not (tmp_path / "none.png").exists()


def test_mel_spectrogram_puts_a_tone_where_it_belongs() -> None:
    spectrogram = mel_magnitude(mono(tone(1000, 0.5, 1), RATE))
    band = int(spectrogram[:, 20].argmax())
    expected = (1000 - 20) / (200 / 3) / (58.57 - 0.3) * 257 - 1
    assert abs(band - expected) <= 1
