"""The kept singer: silent where nobody sings, with less of the old band where somebody does."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from audiotransfer.evaluation.metrics.separation import global_sdr
from audiotransfer.leadsheet import Bar, LeadSheet, Note
from audiotransfer.pipeline.blocks import in_blocks, window_start
from audiotransfer.pipeline.kept_voice import CONTEXT, GRID, KeptVoice, voice_spans
from separation.stft import istft, stft

RATE = 44100
SECONDS = 8.0
SPANS = ((1.0, 3.0), (5.0, 7.0))
SUNG = ((1.0, 62), (1.7, 66), (2.3, 64), (5.0, 69), (5.8, 66), (6.4, 62))
CHORDS = (
    (0.0, (48, 55, 64, 67)),
    (2.0, (45, 52, 61, 64)),
    (4.0, (50, 57, 65, 69)),
    (6.0, (43, 59)),
)


@dataclass
class Song:
    """A voice over chords, and the vocals that a separator makes of their mix."""

    voice: Tensor
    band: Tensor
    vocals: Tensor
    sheet: LeadSheet

    @property
    def mix(self) -> Tensor:
        return self.voice + self.band


def tone(pitch: float, vibrato: float, start: float, end: float, partials: int) -> Tensor:
    time = torch.arange(round(SECONDS * RATE)) / RATE
    bent = pitch + vibrato * torch.sin(2 * np.pi * 5.5 * time)
    phase = torch.cumsum(2 * np.pi * 440.0 * 2.0 ** ((bent - 69.0) / 12.0) / RATE, 0)
    shape = ((time - start) / 0.02).clamp(0, 1) * ((end - time) / 0.05).clamp(0, 1)
    return shape * torch.stack([torch.sin(n * phase) / n for n in range(1, partials + 1)]).sum(0)


@pytest.fixture(scope="module")
def song() -> Song:
    ends = [*(start for start, _ in SUNG[1:3]), 3.0, *(start for start, _ in SUNG[4:]), 7.0]
    voice, band = torch.zeros(2, round(SECONDS * RATE)), torch.zeros(2, round(SECONDS * RATE))
    melody, others = [], []
    for (start, pitch), end in zip(SUNG, ends, strict=True):
        voice += 0.05 * tone(pitch + 0.2, 0.3, start, end, 14)
        melody.append(Note(start, end - start, pitch))
    for start, pitches in CHORDS:
        for place, pitch in enumerate(pitches):
            sides = torch.tensor([[1.0], [0.7]] if place % 2 else [[0.7], [1.0]])
            band += 0.05 * sides * tone(pitch + 0.2, 0.0, start, start + 2.0, 10)
            others.append(Note(start, 2.0, pitch))
    # Masks of frames and thirds, as of a small network: the band between partials gets through.
    mine, other = (stft(sound).abs().square() for sound in (voice, band))
    smooth = torch.nn.functional.avg_pool2d
    mine, other = (smooth(power[None], (9, 5), 1, (4, 2))[0] for power in (mine, other))
    mask = ((mine + 1e-3) / (mine + other + 1e-2)).clamp(0.1, 0.8)
    vocals = istft(mask * stft(voice + band), voice.shape[-1])
    sheet = LeadSheet(
        beats=tuple(np.arange(0, SECONDS + 0.1, 0.5).tolist()),
        bars=tuple(Bar(beat) for beat in range(0, 16, 4)),
        melody=tuple(melody),
        others=tuple(others),
        sung=SPANS,
        tuning=20.0,
    )
    return Song(voice, band, vocals, sheet)


def level(sound: Tensor, start: float, end: float) -> float:
    """RMS in dB between two times."""
    part = sound[:, round(start * RATE) : round(end * RATE)].double()
    return float(10 * torch.log10(part.square().mean() + 1e-15))


def test_nothing_is_left_where_nobody_sings(song: Song) -> None:
    voice = KeptVoice(song.sheet)(song.vocals, song.mix)
    assert level(song.vocals, 3.7, 4.6) > -50
    assert not voice[:, round(3.7 * RATE) : round(4.6 * RATE)].any()
    assert not voice[:, : round(0.6 * RATE)].any()
    assert level(voice, 1.0, 3.0) > -40


def test_a_loud_voice_is_kept_where_a_span_is_missing(song: Song) -> None:
    missed = replace(song.sheet, sung=SPANS[:1])
    voice = KeptVoice(missed)(song.vocals, song.mix)
    lost = level(voice, 5.5, 6.5) - level(KeptVoice(song.sheet)(song.vocals, song.mix), 5.5, 6.5)
    assert abs(lost) < 1.0
    assert not voice[:, round(3.7 * RATE) : round(4.6 * RATE)].any()


def test_a_phrase_that_the_separator_lost_comes_back_from_the_mix(song: Song) -> None:
    """By the partials of the lead's notes, with little of the band."""
    lost = song.vocals.clone()
    lost[:, 4 * RATE :] *= 0.01
    voice = KeptVoice(song.sheet)(lost, song.mix)
    part = slice(round(5.2 * RATE), round(6.8 * RATE))
    assert global_sdr(lost[:, part], song.voice[:, part]) < 0.2
    assert global_sdr(voice[:, part], song.voice[:, part]) > 2.0
    unsure = replace(
        song.sheet, melody=tuple(replace(n, confidence=0.1) for n in song.sheet.melody)
    )
    assert level(KeptVoice(unsure)(lost, song.mix), 5.2, 6.8) < level(voice, 5.2, 6.8) - 6


def test_edges_are_soft_and_breaths_are_kept() -> None:
    sheet = LeadSheet(beats=(0.0, 1.0), bars=(Bar(0, 1),), sung=((1.0, 2.0), (2.7, 3.5)))
    gains = KeptVoice(sheet).gains(0, 5 * RATE)
    assert np.abs(np.diff(gains)).max() < 1e-3
    assert (gains[round(0.76 * RATE) : round(3.84 * RATE)] == 1).all()
    assert gains[: round(0.66 * RATE)].max() == 0
    assert gains[round(4.16 * RATE) :].max() == 0
    parts = [KeptVoice(sheet).gains(start, 1000) for start in range(0, 5 * RATE, 1000)]
    assert np.array_equal(np.concatenate(parts)[: len(gains)], gains)
    assert len(voice_spans(())) == 0


def test_the_score_brings_the_voice_nearer(song: Song) -> None:
    without = replace(song.sheet, melody=(), others=())
    gated = KeptVoice(without)(song.vocals, song.mix)
    informed = KeptVoice(song.sheet)(song.vocals, song.mix)
    before = global_sdr(gated, song.voice)
    assert global_sdr(informed, song.voice) > before + 1.0
    wrong = tuple(replace(note, pitch=note.pitch + 3) for note in song.sheet.melody)
    misled = KeptVoice(replace(song.sheet, melody=wrong))(song.vocals, song.mix)
    assert global_sdr(misled, song.voice) < before
    doubted = tuple(replace(note, confidence=0.0) for note in wrong)
    unmoved = KeptVoice(replace(without, melody=doubted))(song.vocals, song.mix)
    assert torch.allclose(unmoved, gated, atol=1e-6)


def test_pitches_of_the_old_band_are_lowered(song: Song) -> None:
    chord = [440.0 * 2.0 ** ((pitch + 0.2 - 69) / 12) for pitch in (48, 55)]
    window = slice(round(1.05 * RATE), round(1.65 * RATE))

    def at_chord(sound: Tensor) -> float:
        """Energy in dB at fundamentals of the chord, which the voice has no partials at."""
        power = torch.fft.rfft(sound[0, window] * torch.hann_window(window.stop - window.start))
        place = [round(hertz * (window.stop - window.start) / RATE) for hertz in chord]
        return float(
            10 * torch.log10(sum(power[p - 2 : p + 3].abs().square().sum() for p in place))
        )

    alone = replace(song.sheet, others=())
    gated = KeptVoice(replace(alone, melody=()))(song.vocals, song.mix)
    by_melody = KeptVoice(alone)(song.vocals, song.mix)
    by_both = KeptVoice(song.sheet)(song.vocals, song.mix)
    assert at_chord(by_melody) < at_chord(gated) - 3
    assert at_chord(by_both) < at_chord(by_melody) - 4


def test_a_clean_voice_keeps_its_level(song: Song) -> None:
    voice = KeptVoice(song.sheet)(song.voice, song.voice)
    assert level(voice, 1.2, 2.9) == pytest.approx(level(song.voice, 1.2, 2.9), abs=0.5)


def test_blocks_equal_the_whole(song: Song) -> None:
    both = torch.stack([song.vocals, song.mix])
    voice, block = KeptVoice(song.sheet), 40 * GRID
    whole = voice(*both)

    def process(number: int, window: Tensor) -> Tensor:
        return voice(*window, start=window_start(number, block, CONTEXT, GRID))

    blocks = in_blocks(
        both.split(50000, -1), both.shape[-1], process, context=CONTEXT, grid=GRID, block=block
    )
    found = torch.cat(list(blocks), -1)
    assert found.shape == whole.shape
    assert (found - whole).abs().max() < 1e-5


def test_no_sound_is_needed() -> None:
    sheet = LeadSheet(beats=(0.0, 1.0), bars=(Bar(0, 1),))
    assert KeptVoice(sheet)(torch.zeros(2, 0), torch.zeros(2, 0)).shape == (2, 0)
    noise = torch.randn(2, 5000, generator=torch.Generator().manual_seed(0))
    assert not KeptVoice(sheet)(noise, noise).any()
