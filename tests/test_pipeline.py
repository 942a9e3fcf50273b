"""Laws of the pipeline, on small songs, with simple transfers in place of networks."""

from __future__ import annotations

import gc
import json
import math
import os
import platform
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor
from torch.nn import functional

import audiotransfer
from audiotransfer import pipeline
from audiotransfer.audio.loudness import LoudnessMeter
from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.tags.reading import read_tags
from audiotransfer.audio.true_peak import measure_true_peak
from audiotransfer.audio.writing import AudioWriter, write_audio
from audiotransfer.effects import Chain, read_chain
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline import Progress, Song, StemChoice, TransferOptions, stages, transfer
from audiotransfer.pipeline.blocks import BLOCK, FADE, TimeQueue, block_for, in_blocks
from audiotransfer.pipeline.finishing import MixFile, finish, matching_gain
from audiotransfer.pipeline.measuring import measure
from audiotransfer.pipeline.plan import prepare
from audiotransfer.pipeline.reporting import Tracker
from audiotransfer.pipeline.sources import MemorySource
from audiotransfer.pipeline.workers import Workers, gather
from audiotransfer.styles import Keep, Style, style_label
from separation import GRID, SeparationError

RATE = 44100
SMALL = 8192  # samples in a block, so that a short song has many
STEMS = ("drums", "bass", "other", "vocals")


class Bands:
    """Takes a mix apart by moving averages of different lengths: quick, local, sums to the mix."""

    stems = STEMS
    sample_rate = RATE
    context = 256
    grid = 1

    def __call__(self, mix: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        smooth = [_average(mix, length) for length in (5, 33, 129)]
        parts = (mix - smooth[0], smooth[1] - smooth[2], smooth[0] - smooth[1], smooth[2])
        return dict(zip(("drums", "bass", "other", "vocals"), parts, strict=True))


class Echo:
    """A transfer that needs its neighbourhood, and mixes with the dry stem by strength."""

    grid = 1

    def __init__(self, delay: int = 700) -> None:
        self.context = self.delay = delay

    def __call__(
        self,
        stem: Tensor,
        strength: float = 1.0,
        generator: torch.Generator | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Tensor:
        length = stem.shape[-1]
        early = functional.pad(stem, (self.delay, 0))[..., :length]
        late = functional.pad(stem, (0, self.delay))[..., self.delay :]
        if progress is not None:
            progress(1.0)
        return stem + strength * 0.5 * (early - late)


class Tiles(Echo):
    """A transfer that works in tiles on the grid, each with a gain found in it alone."""

    grid = tile = 4096

    def __init__(self) -> None:
        super().__init__(self.tile)

    def __call__(self, stem: Tensor, strength: float = 1.0, *_: Any, **__: Any) -> Tensor:
        length = stem.shape[-1]
        padded = functional.pad(stem, (0, -length % self.tile)).unflatten(-1, (-1, self.tile))
        level = padded.square().mean((0, 2), keepdim=True).sqrt()
        return stem + strength * (padded * level).flatten(-2)[..., :length]


class Noise(Echo):
    """A transfer that draws random numbers."""

    def __call__(
        self,
        stem: Tensor,
        strength: float = 1.0,
        generator: torch.Generator | None = None,
        *_: Any,
        **__: Any,
    ) -> Tensor:
        return stem + strength * stem * torch.rand(stem.shape, generator=generator)


def _average(mix: Tensor, length: int) -> Tensor:
    padded = functional.pad(mix[None], (length // 2, length // 2))
    return functional.avg_pool1d(padded, length, 1)[0]


def a_style(transfer: Any = None, name: str = "stub") -> Style:
    one = Echo() if transfer is None else transfer
    return Style(name, {"drums": one, "bass": one, "other": one, "vocals": Keep()})


def a_song(seconds: float = 1.0, rate: int = RATE, channels: int = 2, level: float = 0.1) -> Tensor:
    random = torch.Generator().manual_seed(int(seconds * 1000) + channels)
    length = max(1, round(seconds * rate))
    time_ = torch.arange(length) / rate
    tones = torch.stack([torch.sin(2 * math.pi * (220 + 90 * c) * time_) for c in range(channels)])
    beat = (-(time_ % 0.25) * 30).exp()
    noise = torch.randn(channels, length, generator=random) * beat
    return level * (tones + 0.5 * noise)


def options(**changes: Any) -> TransferOptions:
    return replace(TransferOptions(style=a_style(), separator=Bands(), device="cpu"), **changes)


def null_db(one: Tensor, other: Tensor) -> float:
    error = (one - other).double().square().mean()
    return 10 * math.log10(float(error / other.double().square().mean()) + 1e-30)


def apply(song: Tensor, rate: int = RATE, **changes: Any) -> Tensor:
    wanted: dict[str, Any] = {"style": a_style(), "separator": Bands(), "device": "cpu"}
    return transfer(Song(song, rate), **{**wanted, **changes}).audio


def refusal(call: Callable[..., Any], *args: Any, **changes: Any) -> str:
    with pytest.raises((AudioTransferError, SeparationError)) as caught:
        call(*args, **changes)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "song.wav"
    write_audio(path, a_song(0.5), RATE, encoding="float32", tags={"title": "A song"})
    return path


# Streaming


@pytest.mark.parametrize("total", [1, 100, SMALL - 1, SMALL + FADE, 5 * SMALL + 17])
def test_blocks_with_context_equal_the_whole(total: int) -> None:
    signal = torch.randn(2, 3, total, generator=torch.Generator().manual_seed(total))
    pieces = in_blocks(
        signal.split(1000, -1),
        total,
        lambda _, window: _average(window.flatten(0, 1), 5).unflatten(0, (2, 3)),
        context=2,
        grid=64,
        block=SMALL,
    )
    whole = _average(signal.flatten(0, 1), 5).unflatten(0, (2, 3))
    assert torch.allclose(torch.cat(list(pieces), -1), whole, atol=1e-6)


def test_blocks_start_on_the_grid_and_see_their_context() -> None:
    seen: list[tuple[int, int]] = []
    signal = torch.arange(10 * SMALL, dtype=torch.float32)[None]

    def note(_: int, window: Tensor) -> Tensor:
        seen.append((int(window[0, 0]), window.shape[-1]))
        return window

    settings = {"context": SMALL + 1, "grid": SMALL, "block": 2 * SMALL}
    pieces = list(in_blocks([signal], signal.shape[-1], note, **settings))
    assert torch.equal(torch.cat(pieces, -1), signal)
    assert all(0 < piece.shape[-1] <= 2 * SMALL for piece in pieces)
    # Before a block lie context and fade, in whole grid steps; after it no more than the context.
    assert [start for start, _ in seen] == [
        max(0, n - 2 * SMALL) for n in range(0, 9 * SMALL, 2 * SMALL)
    ]
    assert [length for _, length in seen[1:3]] == [5 * SMALL + 1] * 2
    # A rest that is no longer than the context goes with the block before.
    seen.clear()
    list(in_blocks([signal[:, : 9 * SMALL + 1]], 9 * SMALL + 1, note, **settings))
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (GRID + 1, f"block {GRID + 1} is off the grid of {GRID} samples: give {GRID}"),
        (5 * GRID - 1, f"block {5 * GRID - 1} is off the grid of {GRID} samples: give {5 * GRID}"),
        (100, f"block 100 is too small: give at least {GRID} samples"),
    ],
)
def test_a_block_off_the_grid_is_refused(block: int, message: str) -> None:
    signal = torch.zeros(1, 10 * GRID)
    pieces = in_blocks(
        [signal], signal.shape[-1], lambda _, x: x, context=0, grid=GRID, block=block
    )
    assert refusal(list, pieces) == message

    class Coarse(Bands):
        grid = GRID

    assert refusal(apply, a_song(0.1), separator=Coarse(), block=block) == message
    tiles = Tiles()
    tiles.grid = GRID  # type: ignore[misc]
    assert refusal(apply, a_song(0.1), style=a_style(tiles), block=block) == message


def test_a_block_must_suit_separator_and_transfers_alike() -> None:
    class Coarse(Bands):
        grid = 3 * 4096

    song, style = a_song(1.0), a_style(Tiles())
    grid = "off the grid of 12288 samples: give 12288"
    assert grid in refusal(apply, song, style=style, separator=Coarse(), block=4 * 4096)
    assert apply(song, style=style, separator=Coarse(), block=12288).shape == song.shape
    # What is not called asks for nothing.
    apply(song, style=style, separator=Coarse(), block=2 * 12288, strength=0.0)


def test_blocks_are_whole_grid_steps() -> None:
    assert [block_for(grid) for grid in (1, GRID, 5 * GRID)] == [BLOCK, BLOCK, 10 * GRID]
    assert block_for(100 * GRID) == 100 * GRID
    assert block_for(1000, 10) == 3000  # holds the fade


def test_the_next_block_is_begun_before_one_is_given() -> None:
    begun = [Event() for _ in range(4)]
    signal = torch.arange(4.0 * SMALL)[None]

    def note(number: int, window: Tensor) -> Tensor:
        begun[number].set()
        return window

    with Workers(2) as workers:
        pieces = in_blocks([signal], 4 * SMALL, note, context=FADE, block=SMALL, ahead=workers)
        first = next(pieces)
        assert begun[1].wait(timeout=60)
        assert not begun[2].is_set()
        assert torch.equal(torch.cat([first, *pieces], -1), signal)
    assert begun[3].is_set()


# Cores


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 3])
def test_workers_take_one_core_each_and_give_all_back(threads: None, count: int) -> None:
    torch.set_num_threads(3)
    weight = torch.ones(1, requires_grad=True)
    with Workers(count) as workers:
        pieces = [workers.start(torch.get_num_threads), workers.start(lambda: torch.sum(weight))]
        ticks: list[None] = []
        one, total = gather(pieces, lambda: ticks.append(None))
        assert (one, total.requires_grad) == (1, False)
        assert ticks
        with workers.every_core():
            assert torch.get_num_threads() == 3
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("count", [1, 2])
def test_what_fails_in_a_worker_fails_here(threads: None, count: int) -> None:
    torch.set_num_threads(2)
    with pytest.raises(ZeroDivisionError), Workers(count) as workers:
        gather([workers.start(divmod, 1, 1), workers.start(divmod, 1, 0)], lambda: None)
    assert torch.get_num_threads() == 2


HEAP = """
import torch
from audiotransfer.pipeline.workers import Workers

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

def work():
    large, small = [], []
    for _ in range(20):
        large.append(torch.ones(5 << 20))
        small.append(torch.ones(2000))
    return small

with Workers(2) as workers:
    # glibc learns from what is freed first that pieces of this size are worth keeping.
    kept = [workers.start(work).result() for _ in range(2)]
    before = resident()
    kept += [workers.start(work).result() for _ in range(4)]
    print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")
def test_what_is_free_goes_back_to_the_system() -> None:
    run = subprocess.run(
        [sys.executable, "-c", HEAP], capture_output=True, text=True, check=True, timeout=120
    )
    assert float(run.stdout) < 30


def test_any_number_of_cores_gives_the_same_song(threads: None) -> None:
    song = a_song(1.6)
    found = []
    for cores in (1, 2, 3):
        torch.set_num_threads(cores)
        found.append(apply(song, separator="embedded", style=a_style(Noise()), block=GRID // 2))
        assert torch.get_num_threads() == cores
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_large_separators_have_every_core_to_themselves(threads: None) -> None:
    seen: list[int] = []

    class Large(Bands):
        large = True

        def __call__(self, *args: Any) -> dict[str, Tensor]:
            seen.append(torch.get_num_threads())
            return super().__call__(*args)

    torch.set_num_threads(2)
    song = a_song(1.0)
    result = apply(song, separator=Large(), block=SMALL)
    assert set(seen) == {2}
    assert torch.equal(result, apply(song, block=SMALL))


# Queues


def test_a_queue_gives_what_it_took() -> None:
    queue = TimeQueue()
    signal = torch.arange(100.0)[None]
    for piece in signal.split(7, -1):
        queue.push(piece)
    taken = torch.cat([queue.take(length) for length in (0, 1, 50, 49)], -1)
    assert torch.equal(taken, signal)
    with pytest.raises(ValueError, match="1 samples wanted, 0 there"):
        queue.take(1)


# Stages


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("style", [None, a_style(Echo())])
def test_a_block_holds_the_same_stretch_of_song_and_stems(rate: int, style: Any) -> None:
    song = a_song(2.0, rate)
    source = MemorySource(song, rate, "song")
    measured = measure(source, Tracker(None))
    plan = prepare(options(style=style, block=SMALL), separate_only=True)
    native: list[Tensor] = []
    seconds = 0.0
    for block in stages.play(source, measured, plan, Workers(), Tracker(None)):
        native.append(block.native)
        seconds += block.dry.shape[-1] / RATE
        assert block.dry.shape[0] == len(plan.stems)
        assert block.wet.shape == (len(plan.styled), *block.dry.shape[1:])
        ahead = seconds - sum(piece.shape[-1] for piece in native) / rate
        assert -1 / RATE < ahead < 1 / rate + 1e-9 or seconds * RATE > measured.working_frames - 1
    assert torch.equal(torch.cat(native, -1), song)


# Laws


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_strength_zero_and_identity_styles_null(rate: int, channels: int) -> None:
    song = a_song(0.7, rate, channels)
    assert null_db(apply(song, rate, strength=0.0), song) < -100
    assert null_db(apply(song, rate, style=a_style(Echo(0)), block=SMALL), song) < -100
    assert null_db(apply(song, rate, style=a_style(Keep())), song) < -100


def test_strength_moves_the_song_ever_farther() -> None:
    song = a_song(0.7)
    distances = [null_db(apply(song, strength=s / 4), song) for s in range(5)]
    assert distances == sorted(distances)
    assert distances[-1] > -20


@pytest.mark.parametrize("stub", [Echo(), Tiles()])
def test_chunked_equals_whole(stub: Echo) -> None:
    song = a_song(4.0)  # more than two contexts
    whole = apply(song, style=a_style(stub))
    chunked = apply(song, style=a_style(stub), block=2 * SMALL)
    assert null_db(chunked, whole) < -100


LOUD = read_chain([{"effect": "saturation", "drive": 4.0}, {"effect": "chorus", "depth": 0.7}])
PUMP = read_chain([{"effect": "ducking", "depth": 0.8}])


def test_effects_stand_behind_what_is_played() -> None:
    song, style = a_song(1.0), a_style(Keep())
    styled = replace(style, stems={**style.stems, "other": Echo()})
    gain = read_chain([{"effect": "gain", "db": 6.0}])
    louder = apply(song, style=replace(styled, effects={"other": gain}))
    assert null_db(louder, apply(song, style=styled, gains_db={"other": 6.0})) < -60
    half = apply(song, style=replace(styled, effects={"other": gain}), strength=0.5)
    assert null_db(half, louder) > -40
    without = apply(song, style=replace(styled, effects={"other": LOUD}), effects=False)
    assert torch.equal(without, apply(song, style=styled))
    none = apply(song, style=replace(styled, effects={"other": LOUD}), strength=0.0)
    assert null_db(none, song) < -100


def test_a_stem_that_is_kept_has_no_effects() -> None:
    style = replace(a_style(), effects={"other": LOUD, "bass": LOUD})
    kept = {stem: StemChoice("keep") for stem in ("drums", "bass", "other")}
    song = a_song(1.0)
    assert torch.equal(apply(song, style=style, stems=kept), song)


def test_stems_duck_below_the_songs_own_drums() -> None:
    class Kicks(Bands):
        """All that is low is drums."""

        def __call__(self, *args: Any) -> dict[str, Tensor]:
            found = super().__call__(*args)
            return {**found, "drums": found["vocals"], "vocals": found["drums"]}

    song, style = a_song(2.0), a_style()
    pumped = apply(song, style=replace(style, effects={"other": PUMP}), separator=Kicks())
    assert null_db(pumped, apply(song, style=style, separator=Kicks())) > -50
    # A whole song has no drums to duck below.
    whole = {"separator": "none"}
    same = apply(song, style=replace(style, effects={"other": PUMP}), **whole)
    assert null_db(same, apply(song, style=style, **whole)) < -100


@pytest.mark.parametrize("effects", [LOUD, PUMP])
def test_chunked_equals_whole_behind_effects(effects: Chain) -> None:
    song, style = a_song(6.0), replace(a_style(), effects={"other": effects})
    whole = apply(song, style=style)
    assert null_db(apply(song, style=style, block=2 * GRID), whole) < -60


@pytest.mark.parametrize("separator", ["none", "hpss"])
def test_chunked_equals_whole_with_real_separators(separator: str) -> None:
    song = a_song(2.5)
    whole = apply(song, separator=separator)
    assert null_db(apply(song, separator=separator, block=GRID // 2), whole) < -60


@pytest.mark.parametrize("gain", [0.0003, 0.5, 3.0])
def test_gain_equivariance(gain: float) -> None:
    song = a_song(0.7, level=0.1)
    louder = apply(song * gain, style=a_style(Tiles()))
    assert null_db(louder / gain, apply(song, style=a_style(Tiles()))) < -80


def test_swapping_the_channels_swaps_them_in_the_result() -> None:
    song = a_song(0.7)
    swapped = apply(song.flip(0), style=a_style(Tiles()))
    assert null_db(swapped.flip(0), apply(song, style=a_style(Tiles()))) < -100


def test_mono_is_the_mean_of_what_stereo_gives() -> None:
    song = a_song(0.7, channels=1)
    both = apply(song.repeat(2, 1))
    assert null_db(apply(song), both.mean(0, keepdim=True)) < -80


def test_the_input_is_left_alone() -> None:
    song = a_song(0.3)
    before = song.clone()
    apply(song)
    assert torch.equal(song, before)


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000, 96000])
@pytest.mark.parametrize("length", [1, 2, 255, 4410, 4411, 30011])
def test_length_rate_and_channels_come_back(rate: int, length: int) -> None:
    for channels in (1, 2):
        song = a_song(1.0, length, channels)[:, :length]
        result = transfer(Song(song, rate), a_style(), separator=Bands(), device="cpu", block=SMALL)
        assert (result.audio.shape, result.sample_rate) == (song.shape, rate)
        assert result.audio.isfinite().all()


@pytest.mark.parametrize("channels", [3, 6])
def test_more_channels_come_out_stereo_with_a_notice(channels: int, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "wide.wav", a_song(0.2, channels=channels).T.numpy(), RATE)
    report = pipeline.transfer_file(tmp_path / "wide.wav", tmp_path / "out.wav", options())
    assert report.channels == 2
    assert any(f"{channels} channels" in notice for notice in report.notices)


@pytest.mark.parametrize("level", [0.001, 0.1, 0.6])
def test_loudness_and_true_peak_hold(level: float, tmp_path: Path) -> None:
    song = a_song(1.5, level=level)
    path = tmp_path / "song.wav"
    write_audio(path, song, RATE, encoding="float32")
    loud = Style("loud", {"drums": Echo(3), "bass": Echo(2000), "other": Echo(5)})
    report = pipeline.transfer_file(path, tmp_path / "out.wav", options(style=loud))
    result, _ = read_audio(tmp_path / "out.wav")
    assert report.loudness_in is not None
    assert abs(_loudness(result) - report.loudness_in) < 1
    assert measure_true_peak(result) <= max(1.0, measure_true_peak(song))
    assert report.loudness_out == pytest.approx(_loudness(result), abs=0.1)


@pytest.mark.parametrize("decay", [10.0, 25.0, 50.0])
def test_a_short_loud_hit_keeps_its_loudness(decay: float) -> None:
    """A kick at -7 LUFS in a fifth of a second, played by one that rings out sooner."""
    time_ = torch.arange(RATE // 5) / RATE
    kick = torch.sin(2 * math.pi * (55 * time_ + 3 * (1 - (-40 * time_).exp())))
    sound_ = 0.5 * (-decay * time_).exp() * kick.expand(2, -1)
    with MixFile(None, RATE, 2) as mix:
        mix.write(sound_)
        gain = matching_gain(mix.loudness, -7.0)
        given = list(finish(mix, gain, -7.0, 1.0, Tracker(None)))
    result = torch.cat(given, -1)
    assert result.shape == sound_.shape
    assert _loudness(result) == pytest.approx(-7.0, abs=0.7)
    assert measure_true_peak(result) <= 1.0


def test_a_song_above_full_scale_stays_as_it_is_without_a_change(tmp_path: Path) -> None:
    song = a_song(0.5, level=1.2)
    assert null_db(apply(song, strength=0.0), song) < -100
    changed = apply(song)
    assert measure_true_peak(changed) <= measure_true_peak(song)


def _loudness(audio: Tensor) -> float:
    meter = LoudnessMeter(RATE, audio.shape[0])
    meter.push(audio)
    return meter.integrated()


# Random numbers


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_same_seed_same_bytes(wav: Path, tmp_path: Path, suffix: str) -> None:
    def run(name: str, seed: int) -> bytes:
        out = tmp_path / f"{name}{suffix}"
        pipeline.transfer_file(wav, out, options(style=a_style(Noise()), seed=seed, block=SMALL))
        return out.read_bytes()

    assert run("a", 1) == run("b", 1)
    assert run("c", 2) != run("a2", 1)


def test_many_songs_by_one_plan_are_each_as_alone(wav: Path, tmp_path: Path) -> None:
    wanted = options(style=a_style(Noise()), seed=1, block=SMALL)
    plan = pipeline.prepare(wanted)
    for name in ("a.wav", "b.wav"):
        pipeline.transfer_song(wav, plan, pipeline.Output.file(tmp_path / name, wanted))
    pipeline.transfer_file(wav, tmp_path / "alone.wav", wanted)
    alone, *planned = ((tmp_path / f"{n}.wav").read_bytes() for n in ("alone", "a", "b"))
    assert planned == [alone, alone]
    with pytest.raises(AudioTransferError, match="exists"):
        pipeline.transfer_song(wav, plan, pipeline.Output.file(tmp_path / "a.wav", wanted))
    with pytest.raises(AudioTransferError, match=r"suffix '\.txt'"):
        pipeline.transfer_song(wav, plan, pipeline.Output.file(tmp_path / "a.txt", wanted))


def test_a_stems_numbers_do_not_depend_on_the_other_stems() -> None:
    song, quiet = a_song(0.5), {"bass": "mute", "other": "mute", "vocals": "mute"}
    alone = Style("alone", {"drums": Noise()})
    both = transfer(Song(song, RATE), a_style(Noise()), separator=Bands(), stems=quiet)
    one = transfer(Song(song, RATE), alone, separator=Bands(), stems=quiet)
    assert torch.equal(both.audio, one.audio)


# Stems


def test_stems_out_holds_dry_and_wet_stems(wav: Path, tmp_path: Path) -> None:
    song, _ = read_audio(wav)
    choices = {"bass": StemChoice("keep"), "other": StemChoice.parse("mute")}
    wanted = options(stems=choices, stems_out=tmp_path / "stems", gains_db={"drums": -3})
    report = pipeline.transfer_file(wav, tmp_path / "out.wav", wanted)
    there = sorted(path.name for path in (tmp_path / "stems").iterdir())
    assert there == ["bass.wav", "drums.stub.wav", "drums.wav", "other.wav", "vocals.wav"]
    info = soundfile.info(tmp_path / "stems" / "drums.wav")
    assert (info.subtype, info.samplerate, info.channels) == ("FLOAT", RATE, 2)
    dry = sum(read_audio(tmp_path / "stems" / f"{stem}.wav")[0] for stem in STEMS)
    assert null_db(dry, song) < -60
    assert [report.stems[stem].action for stem in STEMS] == ["style", "keep", "mute", "keep"]
    assert report.stems["drums"].gain_db == -3
    assert [Path(file).name for file in report.stems["drums"].files] == [
        "drums.wav",
        "drums.stub.wav",
    ]


def test_a_stop_while_stems_are_begun_leaves_nothing(
    wav: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter = AudioWriter.__enter__

    def stopped(writer: AudioWriter) -> AudioWriter:
        if writer.path.name == "other.wav":
            raise KeyboardInterrupt
        return enter(writer)

    monkeypatch.setattr(AudioWriter, "__enter__", stopped)
    before = set(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        pipeline.transfer_file(wav, tmp_path / "o.wav", options(stems_out=tmp_path / "stems"))
    assert set(tmp_path.iterdir()) == before


def test_a_kept_stem_is_its_separated_stem_to_the_bit(wav: Path, tmp_path: Path) -> None:
    keep = {"drums": StemChoice("keep")}
    wanted = options(stems=keep, stems_out=tmp_path / "kept", block=SMALL)
    pipeline.transfer_file(wav, tmp_path / "out.wav", wanted)
    pipeline.separate_file(wav, tmp_path / "separated", options(block=SMALL))
    for stem in STEMS:
        one, other = (tmp_path / folder / f"{stem}.wav" for folder in ("kept", "separated"))
        assert one.read_bytes() == other.read_bytes()
    assert len(list((tmp_path / "separated").iterdir())) == len(STEMS)


def test_mutes_and_gains_apply() -> None:
    song = a_song(0.6)
    parts = Bands()(song)
    muted = apply(song, style=None, stems={"drums": "mute"})
    expected = song - parts["drums"]
    scale = (muted * expected).sum() / expected.square().sum()
    assert null_db(muted / scale, expected) < -40
    gained = apply(song, style=None, gains_db={"bass": 6.0})
    expected = song + (10**0.3 - 1) * parts["bass"]
    scale = (gained * expected).sum() / expected.square().sum()
    assert null_db(gained / scale, expected) < -40


def test_each_stem_may_have_its_own_style_and_strength(tmp_path: Path, wav: Path) -> None:
    other = a_style(Noise(), "noise")
    choices = {"drums": StemChoice("style", other, 0.25), "vocals": StemChoice("style", other)}
    report = pipeline.transfer_file(wav, tmp_path / "out.wav", options(stems=choices, strength=0.5))
    assert (report.stems["drums"].style, report.stems["drums"].strength) == ("noise", 0.25)
    assert (report.stems["bass"].style, report.stems["bass"].strength) == ("stub", 0.5)
    assert report.stems["vocals"].action == "keep"
    assert any("noise" in notice and "vocals" in notice for notice in report.notices)


# Silence and the very short


def test_silence_gives_silence_with_a_notice(tmp_path: Path) -> None:
    write_audio(tmp_path / "silence.wav", torch.zeros(2, 9000), RATE)
    wanted = options(stems_out=tmp_path / "stems")
    report = pipeline.transfer_file(tmp_path / "silence.wav", tmp_path / "out.wav", wanted)
    assert not read_audio(tmp_path / "out.wav")[0].any()
    assert any("silent" in notice for notice in report.notices)
    assert report.loudness_out is None
    json.dumps(report.to_dict(), allow_nan=False)
    assert (tmp_path / "stems" / "drums.stub.wav").exists()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_songs_go_through(value: float) -> None:
    assert apply(torch.full((1, 5000), value)).isfinite().all()


def test_a_tenth_of_a_second() -> None:
    song = a_song(0.1)
    assert apply(song, separator="hpss").shape == song.shape


# Files


def test_the_report_says_what_was_done(wav: Path, tmp_path: Path) -> None:
    report = pipeline.transfer_file(wav, tmp_path / "out.wav", options())
    values = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert values["input"] == str(wav)
    assert values["output"] == str(tmp_path / "out.wav")
    assert values["frames"] == round(values["seconds"] * RATE)
    assert values["separator"] == "Bands"
    assert values["wall_seconds"] > 0
    assert read_tags(tmp_path / "out.wav")["title"] == "A song"


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg"])
@pytest.mark.parametrize("encoding", ["int16", "int24"])
def test_formats(wav: Path, tmp_path: Path, suffix: str, encoding: Any) -> None:
    out = tmp_path / f"out{suffix}"
    pipeline.transfer_file(wav, out, options(encoding=encoding))
    audio, rate = read_audio(out)
    assert rate == RATE
    assert suffix == ".mp3" or audio.shape == read_audio(wav)[0].shape


def _everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_what_cannot_be_done_is_refused_with_nothing_written(wav: Path, tmp_path: Path) -> None:
    (tmp_path / "there.wav").write_bytes(b"mine")
    (tmp_path / "stems").mkdir()
    (tmp_path / "stems" / "bass.wav").write_bytes(b"mine")
    before = _everything(tmp_path)
    out = tmp_path / "out.wav"

    def refused(output: Path = out, source: Path = wav, **changes: Any) -> str:
        return refusal(pipeline.transfer_file, source, output, options(**changes))

    assert "absent.wav" in refused(source=tmp_path / "absent.wav")
    assert "exists" in refused(tmp_path / "there.wav")
    assert ".xyz" in refused(tmp_path / "out.xyz")
    assert "absent" in refused(tmp_path / "absent" / "out.wav")
    assert "is the song itself" in refused(wav, overwrite=True)
    assert "flac" in refused(tmp_path / "out.flac", encoding="float32")
    assert "strength 1.5" in refused(strength=1.5)
    assert "strength nan" in refused(strength=math.nan)
    assert "strength 2" in refused(stems={"drums": StemChoice("style", "jazz", 2)})
    assert "gain drums=90" in refused(gains_db={"drums": 90})
    assert "drums?" in refused(stems={"drms": StemChoice("keep")})
    assert "bass" in refused(gains_db={"bas": 1})
    assert "unknown style" in refused(style="no-such-style")
    assert "no style given" in refused(style=None)
    assert "every stem is muted" in refused(stems={s: StemChoice("mute") for s in STEMS})
    assert "device 'tpu'" in refused(device="tpu")
    assert "nosuch" in refused(separator="nosuch")
    assert "bass.wav" in refused(stems_out=tmp_path / "stems")
    assert "is a file" in refused(stems_out=wav)
    assert "cannot be made" in refused(stems_out=wav / "stems")
    assert "block 5" in refused(block=5)
    assert _everything(tmp_path) == before
    assert (tmp_path / "there.wav").read_bytes() == b"mine"


@pytest.mark.parametrize("content", [b"", b"no sound at all", b"RIFF\x24\x00\x00\x00WAVEfmt "])
def test_what_is_no_sound_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.wav").write_bytes(content)
    wanted = options(stems_out=tmp_path / "stems")
    refusal(pipeline.transfer_file, tmp_path / "bad.wav", tmp_path / "out.wav", wanted)
    assert _everything(tmp_path) == {"bad.wav"}


def test_nan_and_no_samples_are_refused(tmp_path: Path) -> None:
    samples = a_song(0.2).T.numpy().copy()
    samples[4000, 1] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "none.wav", samples[:0], RATE)
    for name in ("nan", "none"):
        source = tmp_path / f"{name}.wav"
        refusal(pipeline.transfer_file, source, tmp_path / "out.wav", options())
    assert _everything(tmp_path) == {"nan.wav", "none.wav"}
    assert "NaN" in refusal(apply, torch.full((1, 10), math.nan))
    assert "expected [channels, samples]" in refusal(apply, torch.zeros(2, 0))
    assert "expected [channels, samples]" in refusal(apply, torch.zeros(1, 2, 5))


def test_separators_of_another_rate_are_refused() -> None:
    class Slow(Bands):
        sample_rate = 16000

    assert "16000 Hz" in refusal(apply, a_song(0.1), separator=Slow())


def test_auto_takes_what_is_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def create(name: str, **_: Any) -> Bands:
        made.append(name)
        return Bands()

    monkeypatch.setattr("separation.create", create)
    monkeypatch.setattr("separation.available", lambda model: True)
    assert pipeline.resolve_separator("auto", "cpu")[1:] == ("demucs:htdemucs", [])
    monkeypatch.setattr("separation.available", lambda model: False)
    _, label, notices = pipeline.resolve_separator("auto", "cpu")
    assert label == "embedded"
    assert len(notices) == 1
    assert "audiotransfer fetch htdemucs" in notices[0]
    assert made == ["demucs:htdemucs", "embedded"]


# Progress, cancelling, killing


def test_progress_rises_to_one(wav: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    pipeline.transfer_file(wav, tmp_path / "out.wav", options(block=SMALL), seen.append)
    shares = [state.share for state in seen]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert list(dict.fromkeys(state.stage for state in seen)) == ["measure", "transfer", "write"]


@pytest.mark.parametrize("stage", ["measure", "transfer", "write"])
def test_cancelling_leaves_nothing(wav: Path, tmp_path: Path, stage: str) -> None:
    def cancel(state: Progress) -> None:
        if state.stage == stage:
            raise KeyboardInterrupt

    before = _everything(tmp_path)
    wanted = options(stems_out=tmp_path / "stems")
    with pytest.raises(KeyboardInterrupt):
        pipeline.transfer_file(wav, tmp_path / "out.wav", wanted, cancel)
    assert _everything(tmp_path) == before


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_kill_leaves_nothing_under_a_final_name(wav: Path, tmp_path: Path) -> None:
    code = f"""
        import time
        from pathlib import Path
        from audiotransfer import pipeline

        def wait(state):
            if state.stage == "write":
                print("now", flush=True)
                time.sleep(60)

        wanted = pipeline.TransferOptions(
            gains_db={{"drums": 3.0}}, separator="hpss", stems_out=Path({str(tmp_path / "stems")!r})
        )
        pipeline.transfer_file({str(wav)!r}, {str(tmp_path / "out.wav")!r}, wanted, wait)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    left = _everything(tmp_path)
    assert not [
        name for name in left - {"song.wav", "stems"} if not Path(name).name.startswith(".")
    ]
    again = options(stems_out=tmp_path / "stems")
    pipeline.transfer_file(wav, tmp_path / "out.wav", again)
    assert not [name for name in _everything(tmp_path) if Path(name).name.startswith(".")]


# Many songs


def test_one_bad_song_does_not_stop_the_rest(wav: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound")
    second = tmp_path / "second.wav"
    write_audio(second, a_song(0.2, channels=1), RATE)
    songs = [bad, wav, second, wav]
    outputs = [tmp_path / f"{song.stem}.stub.wav" for song in songs]
    seen: list[pipeline.Outcome] = []
    wanted = options(stems_out=tmp_path / "stems", overwrite=True)
    outcomes = pipeline.transfer_many(songs, outputs, wanted, done=seen.append)
    assert outcomes == seen
    assert [outcome.error is None for outcome in outcomes] == [False, True, True, False]
    assert "already" in str(outcomes[3].error)
    assert {path.name for path in (tmp_path / "stems").iterdir()} == {"song.stub", "second.stub"}
    assert outcomes[2].report is not None
    assert outcomes[2].report.channels == 1
    assert refusal(pipeline.transfer_many, songs, outputs, options(style="no-such"))


def test_what_outputs_are_called_after() -> None:
    assert style_label(a_style()) == "stub"
    assert style_label("a/jazz") == "jazz"
    assert style_label(None) == "mix"


# Choices


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("keep", StemChoice("keep")),
        ("mute", StemChoice("mute")),
        ("jazz", StemChoice("style", "jazz")),
        ("jazz@0.5", StemChoice("style", "jazz", 0.5)),
        ("a@b/jazz@1", StemChoice("style", "a@b/jazz", 1.0)),
    ],
)
def test_choices_are_read(text: str, choice: StemChoice) -> None:
    assert StemChoice.parse(text) == choice


@pytest.mark.parametrize("text", ["", "@0.5", "keep@0.5", "mute@1", "jazz@", "jazz@2", "jazz@x"])
def test_choices_that_mean_nothing_are_refused(text: str) -> None:
    refusal(StemChoice.parse, text)


# Python


def test_the_package_hands_on_its_three_names(wav: Path) -> None:
    assert audiotransfer.Song is Song
    assert audiotransfer.transfer is transfer
    assert {"Song", "load_style", "transfer"} <= set(dir(audiotransfer))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = audiotransfer.nothing
    result = audiotransfer.transfer(str(wav), style=a_style(), separator=Bands())
    assert result.tags["title"] == "A song"
    assert "seperator" in refusal(transfer, Song(a_song(0.1), RATE), a_style(), seperator="none")


@pytest.mark.parametrize("shape", [(4000,), (1, 4000), (2, 4000)])
def test_a_loaded_style_takes_and_gives_the_same_kind(shape: tuple[int, ...]) -> None:
    style = pipeline.LoadedStyle("stub", a_style().stems)
    audio = a_song(1.0, 4000)[:1].expand(2, -1)[: math.prod(shape) // 4000].reshape(shape)
    result = style(audio, 22050, strength=0.5, separator=Bands())
    assert isinstance(result, Tensor)
    assert result.shape == shape
    array = style(audio.numpy(), 22050, strength=0.5, separator=Bands())
    assert isinstance(array, np.ndarray)
    assert np.array_equal(array, result.numpy())


def test_a_song_is_read_and_written(wav: Path, tmp_path: Path) -> None:
    song = Song.read(wav)
    assert song.seconds == pytest.approx(0.5)
    song.write(tmp_path / "copy.wav", encoding="float32")
    assert (tmp_path / "copy.wav").read_bytes() == wav.read_bytes()


# Remix


@pytest.fixture
def stems(wav: Path, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "stems"
    pipeline.transfer_file(wav, tmp_path / "out.wav", options(stems_out=folder, encoding="float32"))
    yield folder


def _remixed(folder: Path, **changes: Any) -> Tensor:
    out = folder.parent / "remix.wav"
    pipeline.remix(folder, out, encoding="float32", overwrite=True, **changes)
    return read_audio(out)[0]


def test_a_remix_of_everything_is_the_transfer(stems: Path, tmp_path: Path) -> None:
    assert null_db(_remixed(stems), read_audio(tmp_path / "out.wav")[0]) < -60


def test_dry_stems_sum_to_the_song(stems: Path, wav: Path) -> None:
    dry = dict.fromkeys(("drums", "bass", "other"), "dry")
    assert null_db(_remixed(stems, versions=dry), read_audio(wav)[0]) < -60


def test_remix_gains_and_mutes_are_exact(stems: Path) -> None:
    dry = dict.fromkeys(("drums", "bass", "other"), "dry")
    one = {stem: read_audio(stems / f"{stem}.wav")[0] for stem in STEMS}
    result = _remixed(stems, versions=dry, gains_db={"bass": -6}, mutes=["vocals"])
    assert null_db(result, one["drums"] + one["other"] + 10**-0.3 * one["bass"]) < -100


def test_remix_pads_shorter_stems(stems: Path, wav: Path) -> None:
    vocals = read_audio(stems / "vocals.wav")[0][:, :1000]
    write_audio(stems / "vocals.wav", vocals, RATE, encoding="float32", overwrite=True)
    assert _remixed(stems).shape == read_audio(wav)[0].shape


def test_what_cannot_be_remixed_is_refused(stems: Path, tmp_path: Path) -> None:
    out = tmp_path / "remix.wav"
    (tmp_path / "empty").mkdir()
    assert "no stems" in refusal(pipeline.remix, tmp_path / "empty", out)
    assert "no folder" in refusal(pipeline.remix, tmp_path / "absent", out)
    assert "drums?" in refusal(pipeline.remix, stems, out, mutes=["drum"])
    assert "stub" in refusal(pipeline.remix, stems, out, versions={"drums": "stab"})
    assert "every stem" in refusal(pipeline.remix, stems, out, mutes=STEMS)
    assert "gain bass=inf" in refusal(pipeline.remix, stems, out, gains_db={"bass": math.inf})
    assert "one of the stems" in refusal(pipeline.remix, stems, stems / "bass.wav", overwrite=True)
    assert "exists" in refusal(pipeline.remix, stems, tmp_path / "out.wav")
    (stems / "drums.rock.wav").write_bytes((stems / "drums.stub.wav").read_bytes())
    assert "drums=dry" in refusal(pipeline.remix, stems, out)
    (stems / "drums.rock.wav").unlink()
    write_audio(stems / "voice.wav", a_song(0.1), 48000)
    assert "48000 Hz" in refusal(pipeline.remix, stems, out)
    assert not out.exists()


def test_measuring_keeps_no_tensors_of_a_song() -> None:
    """Small tensors that stay between large ones that come and go hold the heap at its largest."""
    alive: dict[int, int] = {}

    class Long:
        name, sample_rate, channels, frames = "long", RATE, 2, 40 * RATE
        layout, notices = None, ()

        def blocks(self, frames: int, start: int = 0) -> Iterator[Tensor]:
            for second in range(40):
                if second in (5, 39):
                    gc.collect()
                    alive[second] = sum(issubclass(type(a), Tensor) for a in gc.get_objects())
                yield 0.1 * torch.ones(2, RATE)

    measure(Long(), Tracker(None))
    assert alive[39] == alive[5]


def test_a_style_that_is_loaded_once_keeps_its_effects() -> None:
    song, rock = a_song(1.0), audiotransfer.load_style("rock", device="cpu")
    assert set(rock.effects) == {"drums", "bass", "other"}
    plain = replace(rock, effects={})
    once = {"separator": "hpss", "device": "cpu"}
    by_name = transfer(Song(song, RATE), "rock", **once).audio
    assert torch.equal(torch.as_tensor(rock(song, RATE, **once)), by_name)
    assert null_db(transfer(Song(song, RATE), plain, **once).audio, by_name) > -30
