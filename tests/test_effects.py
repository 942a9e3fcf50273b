"""Effects: their action on the sound, and equality of blocks and whole songs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from audiotransfer.effects import Chain, equalise, read_chain
from audiotransfer.effects.chain import EFFECTS
from audiotransfer.effects.effects import PERIOD, USUAL, amplify, chorus, duck, saturate
from audiotransfer.errors import AudioTransferError
from audiotransfer.styles import find_style, read_card

RATE = 44100
SETTINGS = {
    "amplifier": {"drive": 4.0},
    "chorus": {"depth": 0.7},
    "ducking": {"depth": 0.5},
    "equaliser": {"points": [[100, -6], [1000, 0], [8000, 6]]},
    "gain": {"db": -6.0},
    "saturation": {"drive": 4.0},
}


def tone(hertz: float, seconds: float = 0.5, level: float = 0.1) -> Tensor:
    time = torch.arange(round(seconds * RATE)) / RATE
    return (level * math.sqrt(2) * torch.sin(2 * math.pi * hertz * time)).expand(2, -1).clone()


def noise(seconds: float, level: float = USUAL) -> Tensor:
    random = torch.Generator().manual_seed(3)
    return level * torch.randn(2, round(seconds * RATE), generator=random)


def kicks(seconds: float) -> Tensor:
    """A kick drum every half second."""
    time = torch.arange(round(seconds * RATE)) / RATE
    phase = time % 0.5
    return (0.3 * torch.sin(2 * math.pi * 55 * phase) * torch.exp(-phase / 0.05)).expand(2, -1)


def rms(sound: Tensor) -> float:
    return float(sound.square().mean().sqrt())


def partial(sound: Tensor, hertz: float) -> float:
    """Level of a sine in the middle of a sound, dB."""
    middle = sound[0, 4096:-4096]
    window = torch.hann_window(len(middle))
    time = torch.arange(len(middle)) / RATE
    turned = torch.polar(window, -2 * math.pi * hertz * time)
    return 20 * math.log10(float((middle * turned).sum().abs()) + 1e-9)


def test_the_equaliser_moves_each_frequency_by_its_gain_without_delay() -> None:
    points = [(200.0, 0.0), (800.0, 0.0), (1200.0, -12.0), (20000.0, -12.0)]
    for hertz, db in ((400.0, 0.0), (3000.0, -12.0)):
        before = tone(hertz)
        after = equalise(before, points)
        assert partial(after, hertz) - partial(before, hertz) == pytest.approx(db, abs=0.2)
        inside = slice(4096, -4096)
        expected = before[:, inside] * 10 ** (db / 20)
        assert torch.allclose(after[:, inside], expected, atol=3e-3)


def test_saturation_squeezes_what_is_loud_and_adds_odd_overtones() -> None:
    before = tone(500.0)
    after = saturate(before, 4.0)
    assert partial(after, 1500.0) > partial(before, 1500.0) + 40
    assert partial(after, 1000.0) < partial(after, 1500.0) - 40
    loud, soft = rms(saturate(noise(0.5, 0.2), 4.0)), rms(saturate(noise(0.5, 0.05), 4.0))
    assert loud / soft < 2.0


def test_saturation_keeps_the_usual_level() -> None:
    assert rms(saturate(noise(1.0), 4.0)) == pytest.approx(USUAL, rel=0.1)


def test_inaudible_overtones_do_not_alias() -> None:
    # The third overtone of 9 kHz would lie at 27 kHz, and fold to 17.1 kHz.
    after = saturate(tone(9000.0), 4.0)
    assert partial(after, 17100.0) < partial(after, 9000.0) - 50


def constant_part(sound: Tensor) -> float:
    """DC of a sound, dB of its RMS."""
    samples = sound.double()
    return 20 * math.log10(float(samples.mean().abs() / samples.square().mean().sqrt()) + 1e-9)


def lopsided(seconds: float, level: float = USUAL) -> Tensor:
    """Notes whose waves are not symmetric, with pauses; they have no DC themselves."""
    time = torch.arange(round(seconds * RATE)) / RATE
    waves = [
        sum(torch.cos(2 * math.pi * n * hertz * time) / n for n in range(1, 9))
        for hertz in (55, 82)
    ]
    notes = torch.stack(waves) * torch.exp(-6 * (time % 0.5)) * ((time % 2) < 1.5)
    notes = notes - notes.mean(1, keepdim=True)
    return notes * level / rms(notes)


@pytest.mark.parametrize("bias", [0.0, 0.15, 0.5])
@pytest.mark.parametrize("level", [0.03, USUAL, 0.2])
def test_saturation_leaves_no_constant_part(bias: float, level: float) -> None:
    for before in (lopsided(8.0, level), -lopsided(8.0, level), noise(8.0, level)):
        after = saturate(before, 4.0, bias)
        assert constant_part(after) < -60
        # a step that slides back would be one that is gone at the end only
        assert max(constant_part(part) for part in after.split(2 * RATE, 1)) < -40


def test_taking_the_constant_part_away_leaves_the_lowest_notes() -> None:
    """What is soft passes saturation straight: every tone that is heard stays, in its phase."""
    inside = slice(4096, -4096)

    def passed(hertz: float) -> tuple[float, Tensor]:
        before = tone(hertz, 2.0, 1e-4)[:, inside]
        after = saturate(tone(hertz, 2.0, 1e-4), 1.0)[:, inside]
        gain = float((after * before).sum() / before.square().sum())
        return 20 * math.log10(gain), after - gain * before

    usual, _ = passed(1000.0)
    for hertz in (31.0, 41.2, 55.0, 100.0):
        gain, rest = passed(hertz)
        assert gain == pytest.approx(usual, abs=0.1)
        assert rms(rest) < 1e-6


@pytest.mark.parametrize("style", ["classical", "electronic", "jazz", "rock"])
def test_no_shipped_style_leaves_a_constant_part(style: str) -> None:
    card = read_card(find_style(style).folder)
    for effects in card.effects.values():
        for sound in (lopsided(8.0), noise(8.0)):
            assert constant_part(read_chain(effects)(sound, kicks(8.0))) < -50


def test_an_amplifier_has_the_band_of_a_guitar_cabinet() -> None:
    after = amplify(noise(1.0), 2.0)
    spectrum = torch.fft.rfft(after[0]).abs().square()
    hertz = torch.fft.rfftfreq(after.shape[1], 1 / RATE)

    def level(low: float, high: float) -> float:
        return 10 * math.log10(float(spectrum[(hertz > low) & (hertz < high)].mean()))

    assert level(1000, 3000) - level(20, 50) > 15
    assert level(1000, 3000) - level(10000, 14000) > 30


def test_a_chorus_turns_one_voice_into_several_as_loud_together() -> None:
    before = noise(1.0)
    after = chorus(before, 0.7)
    assert rms(after) == pytest.approx(rms(before), rel=0.15)  # less what lies between samples
    assert not torch.allclose(after[0], after[1], atol=1e-3)
    steady = tone(440.0, 2.0)[:, RATE // 10 :]
    pieces = chorus(steady, 0.7)[0].unfold(0, 4410, 4410)
    assert float(pieces.square().mean(1).sqrt().std()) > 0.005  # it beats


def test_ducking_makes_room_for_the_kick_and_comes_back() -> None:
    pad, drums = torch.full((2, 2 * RATE), 0.1), kicks(2.0)
    level = duck(pad, drums, 0.8)[0] / 0.1
    struck, recovered = level[RATE : RATE + 2205].min(), level[RATE - 2205 : RATE - 500].mean()
    assert struck < 0.4
    assert recovered > 0.8
    assert torch.equal(duck(pad, None, 0.8), pad)
    assert torch.allclose(duck(pad, torch.zeros_like(pad), 0.8), pad, atol=1e-4)


def test_hats_do_not_duck() -> None:
    pad = torch.full((2, RATE), 0.1)
    hats = equalise(noise(1.0, 0.2), [(2000.0, -80.0), (4000.0, 0.0)])
    assert float(duck(pad, hats, 0.8).min()) > 0.09


@pytest.mark.parametrize("name", sorted(EFFECTS))
@pytest.mark.parametrize("channels", [1, 2])
def test_length_and_silence_stay(name: str, channels: int) -> None:
    chain = read_chain([{"effect": name, **SETTINGS[name]}])
    for length in (0, 1, 70, 5000):
        silent = torch.zeros(channels, length)
        found = chain(silent, silent)
        assert found.shape == silent.shape
        assert not found.any()


@pytest.mark.parametrize("name", sorted(EFFECTS))
def test_a_block_within_reach_sounds_as_in_the_song(name: str) -> None:
    chain = read_chain([{"effect": name, **SETTINGS[name]}])
    song, drums = noise(6.0), kicks(6.0)
    whole = chain(song, drums)
    # From its context on a block is right, and up to its context: from noise on one side only.
    first, context = chain.grid * -(-PERIOD // chain.grid), chain.context(0)
    part = chain(song[:, first:], drums[:, first:])
    assert rms((part - whole[:, first:])[:, context:]) < 1e-5 * rms(whole)
    part = chain(song[:, :-first], drums[:, :-first])
    assert rms((part - whole[:, :-first])[:, : part.shape[-1] - context]) < 1e-5 * rms(whole)


def test_a_chain_reaches_as_far_as_its_effects_together() -> None:
    reach = {name: read_chain([{"effect": name, **SETTINGS[name]}]).context(0) for name in EFFECTS}
    settings = [{"effect": name, **SETTINGS[name]} for name in ("equaliser", "saturation")]
    assert read_chain(settings).context(100) == 100 + reach["equaliser"] + reach["saturation"]
    # The drums that are ducked below are right everywhere: only the longer of both counts.
    ducked = read_chain([*settings, {"effect": "ducking", "depth": 0.5}])
    assert ducked.context(100) == reach["ducking"]
    assert ducked.context(200_000) == 200_000 + reach["equaliser"] + reach["saturation"]
    assert Chain().context(7) == 7
    assert (Chain().grid, ducked.grid) == (1, 1)
    assert read_chain([{"effect": "chorus", "depth": 0.5}]).grid == PERIOD


def test_a_chain_is_worked_off_in_order_and_by_its_strength() -> None:
    chain = read_chain([{"effect": "gain", "db": 20.0}, {"effect": "saturation", "drive": 1.0}])
    sound = noise(0.2)
    expected = saturate(sound * 10, 1.0)
    assert torch.allclose(chain(sound), expected)
    assert torch.allclose(chain(sound, strength=0.5), (sound + expected) / 2, atol=1e-6)
    assert torch.equal(chain(sound, strength=0.0), sound)
    assert torch.equal(Chain()(sound), sound)


@pytest.mark.parametrize(
    "setting",
    [{"effect": "reverb", "size": 1}, {"drive": 2.0}, {"effect": "gain"},
     {"effect": "gain", "db": 1.0, "depth": 1.0}, {"effect": "saturation", "drive": "much"},
     {"effect": "equaliser", "points": [[100, 3], [200]]}, {"effect": "equaliser", "points": []}],
)  # fmt: skip
def test_a_foreign_effect_or_setting_is_one_clear_line(setting: dict[str, object]) -> None:
    with pytest.raises(AudioTransferError, match="effect"):
        read_chain([setting])
