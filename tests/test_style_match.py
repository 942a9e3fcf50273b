"""Tone, width and levels of what a style was made from on transferred stems; what its card says."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from test_pipeline import Bands
from torch import Tensor

from audiotransfer import Song, transfer
from audiotransfer.audio.sound_profile import BANDS, SoundMeter, SoundProfile
from audiotransfer.effects import equalise
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.matching import NO_MATCH, match_tone_and_width
from audiotransfer.pipeline.plan import REFERENCE
from audiotransfer.preparation.reference_style import Reference
from audiotransfer.styles import Style
from audiotransfer.styles.card import LEVEL, Card, StemEntry

RATE = 44100


class Same:
    """A transfer that changes nothing, and says so to nobody."""

    context, grid = 0, 1

    def __call__(
        self,
        stem: Tensor,
        strength: float = 1.0,
        generator: torch.Generator | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Tensor:
        return stem.clone()


def noise(seconds: float = 2.0, side: float = 0.3) -> Tensor:
    random = torch.randn(2, round(seconds * RATE), generator=torch.Generator().manual_seed(0))
    return 0.1 * torch.stack([random[0] + side * random[1], random[0] - side * random[1]])


def profile(sound: Tensor) -> SoundProfile:
    meter = SoundMeter()
    meter.push(sound)
    return meter.profile()


def width_db(found: SoundProfile) -> float:
    return 10 * math.log10(found.side / found.mid)


def test_a_profile_without_level_survives_json() -> None:
    found = profile(noise())
    for level in (1.0, 0.01):
        again = SoundProfile.from_shares(json.loads(json.dumps(found.scaled(level).shares())))
        assert np.allclose(again.spectrum, found.spectrum / found.spectrum.sum(), atol=1e-8)
        assert width_db(again) == pytest.approx(width_db(found), abs=0.01)


@pytest.mark.parametrize(
    "shares",
    [{}, {"spectrum": [1.0], "mid": 1, "side": 0}, {"spectrum": "loud", "mid": 1, "side": 0}],
)
def test_what_is_no_profile_is_refused(shares: dict[str, object]) -> None:
    with pytest.raises(AudioTransferError, match="a profile"):
        SoundProfile.from_shares(shares)


def test_a_sound_comes_half_of_the_way_to_the_references_tone_and_width() -> None:
    sound = noise()
    bright = equalise(sound, [(500.0, 0.0), (4000.0, 6.0)])
    reference = profile(torch.stack([bright.mean(0) * 2, torch.zeros_like(bright[0])]) + bright)
    match = match_tone_and_width(reference, profile(sound))
    made = profile(match(sound))
    treble = BANDS > 3000

    def share(of: SoundProfile) -> float:
        return 10 * math.log10(of.spectrum[treble].sum() / of.spectrum.sum())

    before, wanted = share(profile(sound)), share(reference)
    assert share(made) == pytest.approx((before + wanted) / 2, abs=0.7)
    widths = [width_db(one) for one in (profile(sound), made, reference)]
    assert widths[0] < widths[1] < widths[2]
    assert widths[1] == pytest.approx((widths[0] + widths[2]) / 2, abs=0.5) or (
        widths[1] == pytest.approx(widths[0] + 3.0, abs=0.2)  # the limit
    )


def a_style(reference: SoundProfile) -> Style:
    entry = StemEntry("spectral", "x.safetensors", "other", {}, {REFERENCE: reference.shares()})
    card = Card("toy", "", {"other": entry}, {"x.safetensors": "0" * 64})
    return Style("toy", {"other": Same()}, card)


@pytest.mark.parametrize("seconds", [2.0, 30.0])
def test_a_transfer_matches_the_stem_to_the_reference(seconds: float) -> None:
    """Short songs are measured as a whole, long ones on excerpts."""
    song = Song(noise(seconds), RATE)
    style = a_style(profile(noise(side=0.6)))
    made = transfer(song, style, separator="none", cache=False)
    before, after = (width_db(profile(one.audio)) for one in (song, made))
    assert after - before == pytest.approx(3.0, abs=0.1)
    assert made.audio.shape == song.audio.shape


def test_half_of_the_strength_is_half_of_the_change() -> None:
    song = Song(noise(), RATE)
    style = a_style(profile(noise(side=0.6)))
    side = [
        float((sound[0] - sound[1]).square().mean().sqrt() / (sound[0] + sound[1]).norm())
        for sound in (
            song.audio,
            *(
                transfer(song, style, strength=strength, separator="none", cache=False).audio
                for strength in (0.5, 1.0)
            ),
        )
    ]
    assert side[1] - side[0] == pytest.approx((side[2] - side[0]) / 2, rel=0.1)


def test_blocks_and_a_file_of_stems_change_nothing() -> None:
    song = Song(noise(3.0), RATE)
    reference = profile(noise(side=0.6))
    style = Style(
        "toy",
        {name: Same() for name in Bands.stems},
        Card(
            "toy",
            "",
            {
                name: StemEntry("spectral", "x.safetensors", name, {}, {REFERENCE: shares})
                for name in Bands.stems
                if (shares := reference.shares())
            },
            {"x.safetensors": "0" * 64},
        ),
    )
    whole, blocks = (
        transfer(song, style, separator=Bands(), cache=False, block=block).audio
        for block in (None, 8192)
    )
    assert float((whole - blocks).abs().max()) < 1e-4


def levelled(level: object, strength: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """Drums and mix of a song, and the mix by a style whose songs have drums at a level (dB)."""
    song = Song(noise(3.0), RATE)
    entry = StemEntry("spectral", "x.safetensors", "drums", {}, {LEVEL: level})
    card = Card("toy", "", {"drums": entry}, {"x.safetensors": "0" * 64})
    style = Style("toy", {"drums": Same()}, card)
    made = transfer(song, style, strength=strength, separator=Bands(), cache=False)
    return Bands()(song.audio)["drums"], song.audio, made.audio


@pytest.mark.parametrize(
    ("change", "strength", "gain"),
    [(-6.0, 1.0, -6.0), (-6.0, 0.5, -3.0), (4.0, 1.0, 4.0), (20.0, 1.0, 6.0), (-40.0, 1.0, -18.0)],
)
def test_a_stem_gets_the_level_it_has_in_the_songs_of_the_style(
    change: float, strength: float, gain: float
) -> None:
    drums, mix, _ = levelled(0.0)
    level = 10 * math.log10(float(drums.square().mean() / mix.square().mean()))
    _, _, made = levelled(level + change, strength)
    wanted = mix + (10 ** (gain / 20) - 1) * drums
    wanted *= made.norm() / wanted.norm()  # the song's loudness is kept
    assert float((made - wanted).norm() / wanted.norm()) < 0.02


def test_what_a_song_hardly_has_is_not_made_louder() -> None:
    song = Song(torch.sin(torch.arange(3 * RATE) * 0.02).expand(2, -1) * 0.2, RATE)
    entry = StemEntry("spectral", "x.safetensors", "drums", {}, {LEVEL: -10.0})
    card = Card("toy", "", {"drums": entry}, {"x.safetensors": "0" * 64})
    made = transfer(song, Style("toy", {"drums": Same()}, card), separator=Bands(), cache=False)
    assert float((made.audio - song.audio).abs().max()) < 1e-3


def test_a_level_is_a_number() -> None:
    with pytest.raises(AudioTransferError, match="'toy' has no number as the level of its drums"):
        levelled("loud")


def test_the_words_say_what_is_copied_and_that_onsets_stay() -> None:
    straight = Reference(Path("x"), "x", ("bass",), ("drums",)).words()
    assert "spectra, tone and stereo width of its bass; it has no drums" in straight
    assert "dynamics and room" in straight and "swings" not in straight
    swung = Reference(Path("x"), "x", ("bass",), (), 2 / 3).words()
    assert "eighths 2.0 : 1" in swung and "moves no onsets" in swung


def test_a_match_keeps_the_level_and_says_what_it_does() -> None:
    sound = noise()
    bright = profile(equalise(noise(side=0.6), [(500.0, 0.0), (4000.0, 8.0)]))
    match = match_tone_and_width(bright, profile(sound))
    before, after = profile(sound).active, profile(match(sound)).active
    assert 10 * math.log10(after / before) == pytest.approx(0.0, abs=0.3)
    assert "dB at 12500 Hz" in match.words() and "width +3.0 dB" in match.words()
    assert NO_MATCH.words() == ""
