"""The contract of separators, on every registered one, and the behaviour of the simple ones."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from separation import GRID, SeparationError, Separator, create, fingerprint, names
from separation.baselines import OracleSeparator
from separation.hpss import FRAMES, HpssSeparator, percussive_mask

RATE = 44100
LENGTHS = [0, 1, 2, 1023, 12347, 44101]
Build = Callable[[str, Tensor], Separator]


def song(channels: int, length: int, seed: int = 0) -> Tensor:
    """Tones, clicks and noise, different in each channel."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(length) / RATE
    mix = 0.03 * torch.randn(channels, length, generator=generator)
    for channel in range(channels):
        for frequency in (80.0, 330.0 + 110 * channel, 3000.0):
            mix[channel] += 0.1 * torch.sin(2 * math.pi * frequency * time)
    mix[:, ::11025] += 0.5
    return mix


def decibels(error: Tensor, reference: Tensor) -> float:
    """Energy of the error against that of the reference."""
    ratio = error.double().square().sum() / reference.double().square().sum().clamp_min(1e-30)
    return 10 * math.log10(max(float(ratio), 1e-30))


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    from demucs.htdemucs import HTDemucs

    from separation.demucs.checkpoints import save_bag

    torch.manual_seed(0)
    network = HTDemucs(
        ["drums", "bass", "other", "vocals"],
        channels=8,
        dconv_depth=1,
        t_layers=1,
        t_heads=2,
        segment=1,
    )
    small: Path = save_bag(tmp_path_factory.mktemp("demucs"), "small", [network])
    options = {"demucs": {"model": str(small)}}
    built: dict[str, Separator] = {}

    def separator(name: str, mix: Tensor) -> Separator:
        if name == "oracle":
            return OracleSeparator({"drums": 0.4 * mix, "vocals": 0.3 * mix.flip(-1)})
        if name not in built:
            built[name] = create(name, **options.get(name, {}))
        return built[name]

    return separator


every_registered = pytest.mark.parametrize("name", names())
every_separator = pytest.mark.parametrize("name", [*names(), "oracle"])
mono_and_stereo = pytest.mark.parametrize("channels", [1, 2])


def test_our_own_are_registered() -> None:
    assert {"demucs", "hpss", "none"} <= set(names())


@every_separator
@mono_and_stereo
@pytest.mark.parametrize("length", LENGTHS)
def test_stems_have_the_shape_of_the_mix_and_sum_to_it(
    build: Build, name: str, channels: int, length: int
) -> None:
    mix = song(channels, length)
    before = mix.clone()
    separator = build(name, mix)
    stems = separator(mix)
    assert torch.equal(mix, before)
    assert tuple(stems) == separator.stems
    assert "other" in stems
    for stem in stems.values():
        assert stem.shape == mix.shape
        assert stem.dtype == torch.float32
        assert bool(torch.isfinite(stem).all())
    total = torch.stack(list(stems.values())).sum(0)
    assert length == 0 or decibels(total - mix, mix) <= -60
    for stem in stems.values():
        stem.add_(1)
    assert torch.equal(mix, before), "a stem shares its memory with the mix"


@every_separator
@mono_and_stereo
def test_silence_gives_silence(build: Build, name: str, channels: int) -> None:
    mix = torch.zeros(channels, 20000)
    for stem in build(name, mix)(mix).values():
        assert float(stem.abs().max()) <= 1e-6


@pytest.mark.parametrize("name", ["demucs", "hpss", "none", "oracle"])
@pytest.mark.parametrize("gain", [1e-4, 8.0])
def test_stems_follow_the_level_of_the_mix(build: Build, name: str, gain: float) -> None:
    mix = song(2, 30000)
    plain = build(name, mix)(mix)
    scaled = build(name, gain * mix)(gain * mix)
    for stem, other in zip(plain.values(), scaled.values(), strict=True):
        assert decibels(other / gain - stem, mix) <= -40


@every_separator
def test_same_generator_same_stems(build: Build, name: str) -> None:
    mix = song(2, 30000)
    separator = build(name, mix)
    first = separator(mix, torch.Generator().manual_seed(3))
    second = separator(mix, torch.Generator().manual_seed(3))
    assert all(torch.equal(first[stem], second[stem]) for stem in separator.stems)


@every_registered
def test_a_block_with_context_is_a_piece_of_the_whole(build: Build, name: str) -> None:
    separator = build(name, torch.zeros(2, 0))
    grid, context = separator.grid, separator.context
    before = math.ceil(context / grid) * grid
    start = before + grid
    stop = start + grid * math.ceil(GRID / grid)
    mix = song(2, stop + context + GRID)
    whole = separator(mix)
    block = separator(mix[:, start - before : stop + context])
    for stem in separator.stems:
        piece = block[stem][:, before : before + stop - start]
        assert decibels(piece - whole[stem][:, start:stop], mix[:, start:stop]) <= -80


@every_separator
@pytest.mark.parametrize(
    "mix", [torch.zeros(100), torch.zeros(1, 2, 100), torch.zeros(2, 100, dtype=torch.int16)]
)
def test_what_is_no_block_is_refused(build: Build, name: str, mix: Tensor) -> None:
    with pytest.raises(SeparationError, match="channels, samples"):
        build(name, torch.zeros(2, 100))(mix)


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(SeparationError, match=r"unknown separator 'demuks': did you mean 'demucs'"):
        create("demuks")


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(SeparationError, match="'none' has no option 'shifts'"):
        create("none", shifts=2)
    with pytest.raises(SeparationError, match="'hpss' has no option 'model'"):
        create("hpss:large")


def test_the_package_answers_without_torch() -> None:
    code = (
        "import sys, separation; separation.names(); separation.available('htdemucs');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_none_hands_the_mix_on() -> None:
    mix = song(2, 5000)
    assert torch.equal(create("none")(mix)["other"], mix)


def tone(frequency: float, gains: tuple[float, float]) -> Tensor:
    wave = torch.sin(2 * math.pi * frequency * torch.arange(3 * RATE) / RATE)
    return torch.tensor(gains)[:, None] * 0.2 * wave


def clicks() -> Tensor:
    """Bursts of noise, 5 ms long, four a second, equal in both channels."""
    noise = torch.randn(3 * RATE, generator=torch.Generator().manual_seed(1))
    burst = (torch.arange(3 * RATE) % 11025) < 220
    return (0.3 * noise * burst).expand(2, -1).clone()


@pytest.mark.parametrize(
    ("stem", "part"),
    [
        ("drums", clicks()),
        ("bass", tone(80, (1, 1))),
        ("vocals", tone(440, (1, 1))),
        ("other", tone(1000, (1, 0))),
    ],
)
def test_hpss_sorts_by_what_a_sound_is_like(stem: str, part: Tensor) -> None:
    mix = clicks() + tone(80, (1, 1)) + tone(440, (1, 1)) + tone(1000, (1, 0))
    inside = slice(RATE // 2, -RATE // 2)
    found = HpssSeparator()(mix)[stem][:, inside]
    assert decibels(found - part[:, inside], part[:, inside]) <= -8


def test_hpss_agrees_with_librosa() -> None:
    import numpy as np
    from librosa.decompose import hpss

    magnitude = torch.rand(200, 150, generator=torch.Generator().manual_seed(0))
    _, expected = hpss(magnitude.numpy(), kernel_size=FRAMES, power=2.0, mask=True)
    inside = (slice(FRAMES, -FRAMES), slice(FRAMES, -FRAMES))
    np.testing.assert_allclose(
        percussive_mask(magnitude)[inside].numpy(), expected[inside], atol=1e-5
    )


def test_the_oracle_finds_what_does_not_overlap() -> None:
    stems = {"drums": clicks(), "bass": tone(80, (1, 1)), "vocals": tone(440, (1, 0.5))}
    mix = torch.stack(list(stems.values())).sum(0)
    found = OracleSeparator(stems)(mix)
    for name, stem in stems.items():
        assert decibels(found[name] - stem, stem) <= -15


def test_the_oracle_knows_one_song() -> None:
    oracle = OracleSeparator({"drums": torch.zeros(2, 100)})
    with pytest.raises(SeparationError, match=r"shape \[2, 100\], not \[2, 99\]"):
        oracle(torch.zeros(2, 99))
    with pytest.raises(SeparationError, match="one common shape"):
        OracleSeparator({"drums": torch.zeros(2, 100), "bass": torch.zeros(2, 99)})


# --- which separator it was


@every_registered
def test_two_of_a_kind_have_one_fingerprint(name: str, build: Build) -> None:
    one = build(name, torch.zeros(2, 0))
    other = copy.deepcopy(one)
    one(song(2, 1000))
    assert fingerprint(one) == fingerprint(other)


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    code = (
        "from separation import *; print(*(fingerprint(create(n)) for n in ('embedded', 'hpss')))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert told.stdout.split() == [fingerprint(create(name)) for name in ("embedded", "hpss")]


def test_what_makes_other_stems_has_another_fingerprint(build: Build) -> None:
    found = {fingerprint(build(name, torch.zeros(2, 0))) for name in names()}
    assert len(found) == len(names())
    one = copy.deepcopy(create("embedded"))
    before = fingerprint(one)
    with torch.no_grad():
        next(iter(one.network.parameters())).view(-1)[0].add_(1e-3)  # type: ignore[attr-defined]
    assert fingerprint(one) != before
    assert fingerprint(HpssSeparator("cuda")) == fingerprint(HpssSeparator("cpu"))
    mix = torch.ones(2, 10)
    one_stem, half = OracleSeparator({"drums": mix}), OracleSeparator({"drums": 0.5 * mix})
    assert fingerprint(one_stem) != fingerprint(half)

    class Newer(HpssSeparator):
        version = 2

    assert fingerprint(Newer()) != fingerprint(HpssSeparator())
