"""The sampler, on synthetic soundfonts: the effect of each generator on the sound."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from audiotransfer.errors import AudioTransferError
from audiotransfer.synthesis import Sampler, SoundFont
from audiotransfer.synthesis import generators as gen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Sound = NDArray[np.float32]

RATE = 44100
PERIOD = 100  # samples of the sine that the font holds: 441 Hz
LENGTH = 4400
_RANGE = {gen.KEY_RANGE, gen.VELOCITY_RANGE}

Amounts = Sequence[tuple[int, int]]
Modulators = Sequence[tuple[int, int, int, int, int]]


def sine(length: int = LENGTH) -> Sound:
    return (0.5 * np.sin(2 * np.pi * np.arange(length) / PERIOD)).astype(np.float32)


def between(low: int, high: int) -> int:
    """A range as the amount of its generator."""
    return low | high << 8


def soundfont(
    instrument: Sequence[Amounts],
    preset: Sequence[Amounts] = (),
    *,
    modulators: Modulators = (),
    sound: Sound | None = None,
    vorbis: bool = False,
    bank: int = 0,
) -> bytes:
    """An SF2 of one preset, instrument and sample, whose key is 69; zones are lists of generators.

    ``modulators`` are those of the instrument's last zone.
    """
    sound = sine() if sound is None else sound
    raw = (sound * 32767).astype("<i2").tobytes() + bytes(92)
    end = len(sound)
    if vorbis:
        data = io.BytesIO()
        soundfile.write(data, sound, RATE, format="OGG", subtype="VORBIS")
        raw, end = data.getvalue(), len(data.getvalue())

    def chunk(name: str, data: bytes) -> bytes:
        return name.encode() + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)

    def tables(kind: str, zones: Sequence[Amounts], extra: Modulators) -> dict[str, bytes]:
        bags, generators = b"", b""
        count = 0
        for zone in zones:
            bags += struct.pack("<HH", count, 0)
            count += len(zone)
            for number, amount in zone:
                generators += struct.pack("<HH", number, amount & 0xFFFF)
        bags += struct.pack("<HH", count, len(extra))
        mods = b"".join(
            struct.pack("<HHHHH", a, b, c & 0xFFFF, d, e) for a, b, c, d, e in (*extra, [0] * 5)
        )
        return {
            f"{kind}bag": bags,
            f"{kind}mod": mods,
            f"{kind}gen": generators + bytes(4),
        }

    presets = [*preset] or [[]]
    presets = [*presets[:-1], [*presets[-1], (gen.INSTRUMENT, 0)]]
    instruments = [*instrument[:-1], [*instrument[-1], (gen.SAMPLE, 0)]]
    header = struct.pack(
        "<20sIIIIIBbHH", b"sine", 0, end, 1000, 4000, RATE, 69, 0, 0, 0x11 if vorbis else 1
    )
    parts = {
        "phdr": struct.pack("<20sHHHIII", b"Sine", 0, bank, 0, 0, 0, 0)
        + struct.pack("<20sHHHIII", b"EOP", 0, 0, len(presets), 0, 0, 0),
        **tables("p", presets, ()),
        "inst": struct.pack("<20sH", b"Sine", 0) + struct.pack("<20sH", b"EOI", len(instruments)),
        **tables("i", instruments, modulators),
        "shdr": header + struct.pack("<20sIIIIIBbHH", b"EOS", *[0] * 9),
    }
    order = ("phdr", "pbag", "pmod", "pgen", "inst", "ibag", "imod", "igen", "shdr")
    lists = (
        chunk("LIST", b"INFO" + chunk("ifil", struct.pack("<HH", 2, 4))),
        chunk("LIST", b"sdta" + chunk("smpl", raw)),
        chunk("LIST", b"pdta" + b"".join(chunk(name, parts[name]) for name in order)),
    )
    return chunk("RIFF", b"sfbk" + b"".join(lists))


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., Sound]:
    """Plays notes (start, duration, pitch, velocity) with a font of these generators."""

    def played(
        *instrument: Amounts,
        notes: Sequence[tuple[float, float, int, int]] = ((0.0, 0.4, 69, 127),),
        seconds: float = 0.5,
        drums: bool = False,
        **options: Any,
    ) -> Sound:
        path = tmp_path / "made.sf2"
        options.setdefault("bank", 128 if drums else 0)
        path.write_bytes(soundfont(instrument or [[(gen.SAMPLE_MODES, 1)]], **options))
        into = np.zeros((2, round(seconds * RATE)), np.float32)
        Sampler(RATE).play(into, np.array(notes, dtype=np.float64), path, 0, drums)
        return into

    return played


LOOPED = (gen.SAMPLE_MODES, 1)


def hertz(sound: Sound) -> float:
    size = 1 << 18
    window = sound[0, 2000:14000]
    spectrum = np.abs(np.fft.rfft(window * np.hanning(len(window)), size))
    return float(spectrum.argmax()) * RATE / size


def level(sound: Sound, start: float = 0.1, seconds: float = 0.1) -> float:
    """In dB, of both channels."""
    part = sound[:, round(start * RATE) : round((start + seconds) * RATE)]
    return 10 * float(np.log10((part**2).mean() + 1e-20))


@pytest.mark.parametrize("key", [45, 57, 69, 70, 93])
def test_a_looped_sine_stays_one(play: Callable[..., Sound], key: int) -> None:
    """In tune, and without a trace of the loop's seam or of the interpolation."""
    sound = play([LOOPED], notes=[(0.0, 0.5, key, 127)])
    wanted = RATE / PERIOD * 2 ** ((key - 69) / 12)
    assert hertz(sound) == pytest.approx(wanted, rel=6e-4)
    held = sound[0, 500:20000]
    times = 2 * np.pi * wanted * np.arange(len(held)) / RATE
    waves = np.stack([np.sin(times), np.cos(times)], axis=1)
    rest = held - waves @ np.linalg.lstsq(waves, held, rcond=None)[0]
    assert (rest**2).mean() < 10 ** (-55 / 10) * (held**2).mean()


def test_a_sample_without_a_loop_ends(play: Callable[..., Sound]) -> None:
    sound = play([(gen.SAMPLE_MODES, 0)])
    assert np.abs(sound[:, :LENGTH]).max() > 0.1 and not sound[:, LENGTH + 1 :].any()


def test_a_loop_while_the_key_is_held_plays_out(play: Callable[..., Sound]) -> None:
    ending = sine(8000)
    ending[4000:] = 0.9
    long_release = (gen.VOLUME_ENVELOPE + 5, 3600)
    notes = [(0.0, 0.2, 69, 127)]
    inside = play([LOOPED, long_release], notes=notes, sound=ending)
    left = play([(gen.SAMPLE_MODES, 3), long_release], notes=notes, sound=ending)
    off = round(0.2 * RATE)
    assert np.array_equal(left[:, :off], inside[:, :off])
    assert np.abs(inside).max() < 0.4 < left[:, off:].max()
    assert not left[:, off + 8001 :].any()


@pytest.mark.parametrize(
    ("generator", "amount", "cents"),
    [
        (gen.COARSE_TUNE, 3, 300),
        (gen.FINE_TUNE, -40, -40),
        (gen.ROOT_KEY, 67, 200),
        (gen.FIXED_KEY, 74, 500),
        (gen.SCALE_TUNING, 50, 0),
    ],
)
def test_tuning(play: Callable[..., Sound], generator: int, amount: int, cents: int) -> None:
    sound = play([LOOPED, (generator, amount)])
    assert 1200 * np.log2(hertz(sound) / 441) == pytest.approx(cents, abs=1)


def test_a_scale_of_half_steps(play: Callable[..., Sound]) -> None:
    sound = play([LOOPED, (gen.SCALE_TUNING, 50)], notes=[(0, 0.4, 75, 127)])
    assert 1200 * np.log2(hertz(sound) / 441) == pytest.approx(300, abs=1)


def test_velocity_and_attenuation(play: Callable[..., Sound]) -> None:
    """40 dB a decade of velocity, and 0.4 times what a file asks for."""
    loud = level(play([LOOPED]))
    assert loud == pytest.approx(20 * np.log10(0.25), abs=0.1)  # a sine of half scale, two sides
    for velocity in (100, 64, 12):
        soft = level(play([LOOPED], notes=[(0, 0.4, 69, velocity)]))
        assert soft - loud == pytest.approx(40 * np.log10(velocity / 127), abs=0.1)
    assert level(play([LOOPED, (gen.ATTENUATION, 100)])) - loud == pytest.approx(-4, abs=0.1)


def test_a_modulator_in_the_file_replaces_the_default(play: Callable[..., Sound]) -> None:
    mods = [(0x0502, gen.ATTENUATION, 0, 0, 0)]
    soft = play([LOOPED], notes=[(0, 0.4, 69, 20)], modulators=mods)
    assert level(soft) == pytest.approx(level(play([LOOPED])), abs=0.01)
    by_key = [(0x0003, gen.FINE_TUNE, 127, 0, 0)]  # from the key, linear: a cent for each
    assert 1200 * np.log2(hertz(play([LOOPED], modulators=by_key)) / 441) == pytest.approx(
        69, abs=1
    )


@pytest.mark.parametrize("pan", [-500, -200, 0, 500])
def test_pan_keeps_the_power(play: Callable[..., Sound], pan: int) -> None:
    left, right = play([LOOPED, (gen.PAN, pan)])
    power = np.array([(side[1000:9000] ** 2).mean() for side in (left, right)])
    assert power.sum() == pytest.approx(0.125, rel=0.01)
    angle = (pan / 1000 + 0.5) * np.pi / 2
    assert power / power.sum() == pytest.approx([np.cos(angle) ** 2, np.sin(angle) ** 2], abs=0.01)


def test_the_volume_envelope(play: Callable[..., Sound]) -> None:
    """Delay 50 ms, attack 100 ms, hold 50 ms, 100 dB in 0.5 s down to 40 dB, 100 dB in 0.25 s."""
    first = gen.VOLUME_ENVELOPE
    times = [(0, 0.05), (1, 0.1), (2, 0.05), (3, 0.5), (5, 0.25)]
    amounts = [(first + place, round(1200 * np.log2(time))) for place, time in times]
    sound = play([LOOPED, *amounts, (first + 4, 400)], notes=[(0.0, 0.6, 69, 127)], seconds=0.8)
    full = level(play([LOOPED]))
    assert not sound[:, : round(0.049 * RATE)].any()
    assert level(sound, 0.095, 0.01) - full == pytest.approx(-6, abs=0.6)
    assert level(sound, 0.16, 0.03) - full == pytest.approx(0, abs=0.1)
    assert level(sound, 0.295, 0.01) - full == pytest.approx(-20, abs=0.6)
    assert level(sound, 0.45, 0.1) - full == pytest.approx(-40, abs=0.1)
    assert level(sound, 0.645, 0.01) - full == pytest.approx(-60, abs=0.6)
    assert not sound[:, round(0.79 * RATE) :].any()


def test_the_filter(play: Callable[..., Sound]) -> None:
    """12 dB an octave above its cutoff; a modulation envelope opens and closes it."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, LENGTH).astype(np.float32)

    def bands(sound: Sound) -> tuple[float, float]:
        power = np.abs(np.fft.rfft(sound[0, 4000:16000])) ** 2
        places = np.fft.rfftfreq(12000, 1 / RATE)
        inside = ((100, 400), (3800, 4200))
        low, high = (power[(places > a) & (places < b)].mean() for a, b in inside)
        return 10 * np.log10(low), 10 * np.log10(high)

    cutoff = round(1200 * np.log2(1000 / 8.176))
    open_low, open_high = bands(play([LOOPED], sound=noise))
    low, high = bands(play([LOOPED, (gen.CUTOFF, cutoff)], sound=noise))
    assert low - open_low == pytest.approx(0, abs=0.5)
    assert high - open_high == pytest.approx(-24, abs=2)
    lifted = [LOOPED, (gen.CUTOFF, cutoff), (gen.MOD_ENVELOPE_TO_CUTOFF, 6000)]
    assert bands(play(lifted, sound=noise))[1] - open_high == pytest.approx(0, abs=1)
    closing = [*lifted, (gen.MOD_ENVELOPE + 3, -4800), (gen.MOD_ENVELOPE + 4, 1000)]
    closed = play(closing, sound=noise)
    assert bands(closed)[1] == pytest.approx(high, abs=1)
    peak = play([LOOPED, (gen.CUTOFF, 8000), (gen.RESONANCE, 120)], sound=noise)
    assert np.isfinite(peak).all() and np.abs(peak).max() < 2


def test_vibrato_and_tremolo(play: Callable[..., Sound]) -> None:
    slow = round(1200 * np.log2(5 / 8.176))
    steady = hertz(play([LOOPED]))
    moved = play([LOOPED, (gen.VIBRATO_TO_PITCH, 100), (gen.VIBRATO_FREQUENCY, slow)], seconds=0.4)[
        0
    ]
    crossings = np.flatnonzero((moved[:-1] < 0) & (moved[1:] >= 0))
    tones = RATE / np.diff(crossings[5:-5])
    assert 1200 * np.log2(tones.max() / steady) == pytest.approx(100, abs=12)
    assert 1200 * np.log2(tones.min() / steady) == pytest.approx(-100, abs=12)
    swell = play(
        [LOOPED, (gen.MOD_LFO_TO_VOLUME, 60), (gen.MOD_LFO_FREQUENCY, slow)],
        notes=[(0, 0.5, 69, 127)],
    )
    levels = [level(swell, at, 0.01) for at in np.arange(0.05, 0.45, 0.01)]
    assert max(levels) - min(levels) == pytest.approx(12, abs=1)


def test_zones_add_up_and_bow_to_ranges(play: Callable[..., Sound]) -> None:
    """A global zone holds where the zone says nothing; what the preset says is added."""
    tuned = play(
        [(gen.FINE_TUNE, 30), LOOPED], [(gen.COARSE_TUNE, 1)], preset=[[(gen.FINE_TUNE, 20)]]
    )
    assert 1200 * np.log2(hertz(tuned) / 441) == pytest.approx(150, abs=1)
    split = [(gen.KEY_RANGE, between(60, 69)), (gen.VELOCITY_RANGE, between(50, 127)), LOOPED]
    assert play(split).any()
    assert not play(split, notes=[(0, 0.4, 70, 127)]).any()
    assert not play(split, notes=[(0, 0.4, 69, 49)]).any()
    assert not play(split, preset=[[(gen.KEY_RANGE, between(70, 80))]]).any()


def test_one_class_silences_itself(play: Callable[..., Sound]) -> None:
    zone = [LOOPED, (gen.EXCLUSIVE_CLASS, 1), (gen.VOLUME_ENVELOPE + 5, 2400)]
    open_hat = [(0.0, 0.4, 69, 127)]
    both = [*open_hat, (0.2, 0.1, 81, 1)]
    alone, cut = (play(zone, notes=notes, drums=True) for notes in (open_hat, both))
    at = round(0.2 * RATE)
    assert np.array_equal(alone[:, :at], cut[:, :at])
    assert level(cut, 0.25, 0.05) < level(alone, 0.25, 0.05) - 50
    together = play(zone, notes=[*open_hat, (0.0, 0.4, 69, 127)], drums=True)
    assert level(together) == pytest.approx(level(alone) + 6.02, abs=0.01)


def test_compressed_samples(play: Callable[..., Sound]) -> None:
    raw, vorbis = (play([LOOPED], vorbis=packed) for packed in (False, True))
    assert ((raw - vorbis) ** 2).mean() < 10 ** (-35 / 10) * (raw**2).mean()
    assert hertz(vorbis) == pytest.approx(441, rel=3e-4)


WHOLE = soundfont([[LOOPED, (gen.MOD_ENVELOPE_TO_PITCH, 100)]], [[(gen.FINE_TUNE, 3)]])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_files_play_or_are_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    damaged = bytearray(WHOLE[: data.draw(st.integers(0, len(WHOLE)))])
    first = WHOLE.index(b"pdta")
    for _ in range(data.draw(st.integers(0, 8))):
        at = data.draw(st.one_of(st.integers(0, 60), st.integers(first, len(WHOLE) - 1)))
        if at < len(damaged):
            damaged[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fonts") / "damaged.sf2"
    path.write_bytes(damaged)
    into = np.zeros((2, 2000), np.float32)
    try:
        Sampler(RATE).play(into, np.array([[0.0, 0.02, 69, 100]]), path, 0)
    except AudioTransferError as error:
        assert "\n" not in str(error) and path.name in str(error)
    assert np.isfinite(into).all()


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "one.sf2"
    path.write_bytes(soundfont([[LOOPED]]))
    font = SoundFont(path)
    assert font.presets == {(0, 0): "Sine"}
    with pytest.raises(AudioTransferError, match="no preset 5 in bank 0"):
        font.zones(0, 5)
    with pytest.raises(AudioTransferError, match="no preset in bank 128"):
        Sampler(RATE).preset(path, 0, drums=True)
    with pytest.raises(AudioTransferError, match="gone"):
        SoundFont(tmp_path / "gone.sf2")
