"""The package's instruments, ensembles of them, and the room."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
import torch

from audiotransfer.audio.loudness import LoudnessMeter
from audiotransfer.errors import AudioTransferError
from audiotransfer.midi.percussion import KEYS
from audiotransfer.pipeline.midi_output import render_parts
from audiotransfer.synthesis import (
    Ensemble,
    EnsemblePart,
    Room,
    describe,
    instrument_names,
    load_instrument,
)
from audiotransfer.synthesis.catalogue import FOLDER
from audiotransfer.synthesis.oscillators import oscillate
from audiotransfer.synthesis.room import RoomFilter
from audiotransfer.synthesis.synth_presets import PRESETS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Sound = NDArray[np.float32]

RATE = 44100
TUNED = [name for name in instrument_names() if not describe(name).drums]
DRUM_KITS = [name for name in instrument_names() if describe(name).drums]


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return Ensemble()


def part(instrument: str, notes: Sequence[Sequence[float]], **settings: Any) -> EnsemblePart:
    return EnsemblePart("part", instrument, np.array(notes, dtype=np.float64), **settings)


def dry(ensemble: Ensemble, *parts: EnsemblePart, seconds: float | None = None) -> Sound:
    """The parts without room and without a gain for their peak."""
    return np.concatenate(list(ensemble.blocks(parts, seconds, None)), axis=1)


def rms(sound: Sound, start: float, end: float) -> float:
    """RMS in dB between two times."""
    window = sound[:, round(start * RATE) : round(end * RATE)]
    return float(10 * np.log10(np.mean(window.astype(np.float64) ** 2) + 1e-12))


def attack_level(sound: Sound, start: float) -> float:
    """The highest 50 ms RMS in dB of the 0.6 s from ``start`` on."""
    window = sound[:, round(start * RATE) : round((start + 0.6) * RATE)].astype(np.float64)
    power = np.concatenate([[0.0], np.cumsum((window**2).sum(axis=0))])
    return float(10 * np.log10((power[2205:] - power[:-2205]).max() / 2205 + 1e-12))


def cents(sound: NDArray[np.float64], pitch: float) -> float:
    """Deviation of the strongest of the first six partials from a pitch, weighted by power.

    Centroids within 60 cents, so that vibrato counts as its mean.
    """
    hertz = 440.0 * 2.0 ** ((pitch - 69) / 12)
    size = 1 << 18
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), size)) ** 2
    deviations, powers = [], []
    for partial in range(1, 7):
        center = hertz * partial * size / RATE
        # The window's main lobe reaches into the neighbours of low notes no further than this.
        low, high = (round(center * 2.0 ** (side * 60 / 1200)) for side in (-1, 1))
        if high >= len(spectrum):
            break
        bins = np.arange(low, high + 1)
        peak = spectrum[low : high + 1]
        peak = np.where(peak > peak.max() * 1e-2, peak, 0.0)
        deviations.append(1200 * np.log2((bins * peak).sum() / peak.sum() / center))
        powers.append(peak.sum())
    kept = np.array(powers) > 0.03 * max(powers)
    return float(np.average(np.array(deviations)[kept], weights=np.array(powers)[kept]))


@pytest.mark.parametrize("name", TUNED)
def test_keys_are_within_20_cents_at_soft_and_loud_velocities(
    ensemble: Ensemble, name: str
) -> None:
    described = describe(name)
    keys = sorted({*range(described.low_key, described.high_key + 1, 6), described.high_key})
    notes = [
        (1.2 * place, 1.0, key, velocity)
        for place, (key, velocity) in enumerate((key, v) for key in keys for v in (60, 105))
    ]
    sound = dry(ensemble, part(name, notes)).mean(axis=0).astype(np.float64)
    for start, _, key, velocity in notes:
        window = sound[round((start + 0.15) * RATE) : round((start + 1.0) * RATE)]
        deviation = cents(window, key)
        assert abs(deviation) < 20, (key, velocity, deviation)


def test_the_measure_of_cents_sees_what_is_out_of_tune() -> None:
    for deviation in (-35.0, 12.0, 40.0):
        hertz = 440.0 * 2.0 ** (deviation / 1200)
        sound = oscillate("saw", hertz, 0.0, RATE, RATE).astype(np.float64)
        assert cents(sound, 69) == pytest.approx(deviation, abs=1.5)


@pytest.mark.parametrize("name", instrument_names())
def test_level_rises_with_velocity(ensemble: Ensemble, name: str) -> None:
    described = describe(name)
    keys = [36, 38, 42, 46, 51] if described.drums else [described.low_key + 8, 60, 64]
    velocities = (20, 45, 70, 95, 120)
    for key in keys:
        notes = [(3.0 * place, 0.8, key, v) for place, v in enumerate(velocities)]
        sound = dry(ensemble, part(name, notes))
        levels = [attack_level(sound, max(0.0, note[0] - 0.05)) for note in notes]
        assert min(np.diff(levels)) > 2.0, (key, levels)


@pytest.mark.parametrize("name", ["sax_tenor", "piano_grand", "bass_electric", "vibraphone"])
def test_velocity_layers_cross_without_a_dip(ensemble: Ensemble, name: str) -> None:
    key = describe(name).low_key + 12
    notes = [(3.0 * place, 0.8, key, v) for place, v in enumerate(range(74, 87))]
    sound = dry(ensemble, part(name, notes))
    levels = [attack_level(sound, max(0.0, note[0] - 0.05)) for note in notes]
    assert min(np.diff(levels)) > -2.0, levels


def test_a_closed_hat_ends_an_open_one(ensemble: Ensemble) -> None:
    for name in DRUM_KITS:
        rings = dry(ensemble, part(name, [(0, 0.1, 46, 100)]))
        choked = dry(ensemble, part(name, [(0, 0.1, 46, 100), (0.2, 0.1, 42, 1)]))
        assert rms(rings, 0.1, 0.18) == pytest.approx(rms(choked, 0.1, 0.18), abs=0.1)
        assert rms(choked, 0.24, 0.4) < rms(rings, 0.24, 0.4) - 12, name


def test_every_drum_class_sounds_in_every_kit(ensemble: Ensemble) -> None:
    for name in DRUM_KITS:
        sound = dry(ensemble, part(name, [(n * 3.0, 0.1, key, 100) for n, key in enumerate(KEYS)]))
        assert min(rms(sound, n * 3.0, n * 3.0 + 0.2) for n in range(len(KEYS))) > -55, name
        # A cowbell has no piece of its own: it is the ride's class.
        assert rms(dry(ensemble, part(name, [(0, 0.1, 56, 100)])), 0, 0.2) > -55


def test_hits_in_a_row_are_different_recordings(ensemble: Ensemble) -> None:
    notes = [(1, 0.1, 38, 64), (3, 0.1, 38, 64), (5, 0.1, 38, 64)]
    sound = dry(ensemble, part("kit_jazz_sticks", notes))
    first, second, third = (sound[:, n * RATE : n * RATE + 9000] for n in (1, 3, 5))
    assert np.abs(first - second).max() > 0.1 * np.abs(first).max()
    assert np.abs(first - third).max() < 1e-4  # two round robins


@pytest.mark.parametrize("name", ["sax_tenor", "clarinet", "viola_section"])
def test_held_notes_loop_without_a_joint(ensemble: Ensemble, name: str) -> None:
    sound = dry(ensemble, part(name, [(0, 8.0, 62, 80)]))
    assert rms(sound, 7.0, 7.5) > rms(sound, 1.0, 1.5) - 4
    edges = np.abs(np.diff(sound[0], 2))[RATE // 2 : 7 * RATE]
    frames = edges[: len(edges) // 220 * 220].reshape(-1, 220).max(axis=1)
    # A click would stand out against what the recording itself has.
    assert frames.max() < 2.5 * np.quantile(frames, 0.98)


def test_notes_end_after_their_release_and_hits_ring_on(ensemble: Ensemble) -> None:
    for name in ("sax_tenor", "piano_grand", "bass_upright_pizz", "synth_lead"):
        sound = dry(ensemble, part(name, [(0, 0.5, 50, 90)]), seconds=2.0)
        assert rms(sound, 0.35, 0.45) > -40, name
        assert rms(sound, 1.2, 1.5) < rms(sound, 0.35, 0.45) - 50, name
    crash = dry(ensemble, part("kit_rock", [(0, 0.05, 49, 100)]), seconds=2.0)
    assert rms(crash, 1.0, 1.2) > -60


def test_the_end_rings_out_and_empty_parts_are_silent(ensemble: Ensemble) -> None:
    crash = dry(ensemble, part("kit_rock", [(0, 0.05, 49, 100)]))
    assert crash.shape[1] > 2.5 * RATE
    assert np.abs(crash[:, -200:]).max() < 0.003
    empty = EnsemblePart("lead", "trumpet", np.zeros((0, 4)))
    assert np.array_equal(dry(ensemble, part("kit_rock", [(0, 0.05, 49, 100)]), empty), crash)


def test_the_pedal_holds_notes(ensemble: Ensemble) -> None:
    pedal = np.array([[0.2, 1.5]])
    notes = [(0, 0.4, 60, 90), (1.8, 0.3, 64, 90)]
    plain = dry(ensemble, part("piano_grand", notes))
    held = dry(ensemble, part("piano_grand", notes, pedal=pedal))
    assert rms(held, 1.0, 1.4) > rms(plain, 1.0, 1.4) + 30
    assert np.abs(held[:, 3 * RATE :] - plain[:, 3 * RATE :]).max() < 1e-6


def test_a_stirring_brush_swells_over_its_note(ensemble: Ensemble) -> None:
    sound = dry(ensemble, part("kit_jazz_brushes", [(0, 2.0, 25, 90)]), seconds=3.0)
    assert rms(sound, 0.6, 0.9) > max(rms(sound, 0.0, 0.1), rms(sound, 1.85, 1.95)) + 3
    assert rms(sound, 2.4, 2.8) < -60


def test_keys_outside_the_range_are_folded_by_octaves(ensemble: Ensemble) -> None:
    for name, key, sounding in (
        ("bass_upright_pizz", 76, 64),  # two semitones above the highest: transposed
        ("bass_upright_pizz", 79, 55),
        ("trumpet", 36, 60),
        ("synth_bass", 67, 55),
    ):
        sound = dry(ensemble, part(name, [(0, 1.0, key, 90)])).mean(axis=0).astype(np.float64)
        assert abs(cents(sound[RATE // 5 : RATE], sounding)) < 20, (name, key)


def test_other_sample_rates_keep_pitch_and_length() -> None:
    slow = Ensemble(22050)
    for name in ("trumpet", "synth_lead"):
        sound = slow.render([part(name, [(0, 1.0, 67, 90)])], 2.0, None)
        assert sound.shape == (2, 2 * 22050)
        # Read as 44.1 kHz it is an octave higher.
        assert abs(cents(sound[0, 4000:20000].astype(np.float64), 79)) < 20


QUARTET = (
    EnsemblePart("lead", "trumpet", np.array([[0.0, 1.4, 67, 80], [1.5, 1.2, 72, 90]]), pan=0.2),
    EnsemblePart(
        "chords",
        "piano_grand",
        np.array([[t, 0.8, key, 70] for t in (0.5, 2.0) for key in (53, 57, 60, 64)]),
        pan=-0.3,
    ),
    EnsemblePart("bass", "bass_upright_pizz", np.array([[t, 0.5, 41, 80] for t in range(4)])),
    EnsemblePart("drums", "kit_jazz_sticks", np.array([[t / 2, 0.1, 51, 70] for t in range(7)])),
)


def test_blocks_equal_the_whole(ensemble: Ensemble) -> None:
    whole = dry(ensemble, *QUARTET)
    blocks = list(ensemble.blocks(QUARTET, None, None, block_seconds=0.7))
    assert len(blocks) > 5
    assert np.array_equal(np.concatenate(blocks, axis=1), whole)
    reverberant = [
        np.concatenate(list(ensemble.blocks(QUARTET, block_seconds=seconds)), axis=1)
        for seconds in (0.7, 30.0)
    ]
    assert np.abs(reverberant[0] - reverberant[1]).max() < 1e-6
    assert np.abs(reverberant[0] - whole).max() > 1e-3


def test_blocks_equal_the_whole_with_effects(ensemble: Ensemble) -> None:
    guitar = replace(
        QUARTET[1],
        instrument="guitar_electric_clean",
        effects=({"effect": "amplifier", "drive": 4.0}, {"effect": "chorus", "depth": 0.5}),
    )
    # A block is a multiple of the chorus's period of 1.5 s.
    parts = (guitar, QUARTET[3])
    whole, blocks = (
        np.concatenate(list(ensemble.blocks(parts, 4.0, None, block_seconds=seconds)), axis=1)
        for seconds in (60.0, 1.6)
    )
    assert whole.shape == blocks.shape == (2, 4 * RATE)
    assert np.abs(whole - blocks).max() < 1e-5
    assert (
        np.abs(whole - dry(ensemble, *(replace(guitar, effects=()), parts[1]), seconds=4.0)).max()
        > 0.01
    )


def test_stems_add_up_to_the_mix(ensemble: Ensemble) -> None:
    stems = list(ensemble.stem_blocks(QUARTET, block_seconds=1.0))
    assert {len(block) for block in stems} == {4}
    mix = np.concatenate([np.sum(block, axis=0) for block in stems], axis=1)
    assert np.abs(mix - dry(ensemble, *QUARTET)).max() < 1e-6


def test_the_same_notes_are_the_same_bytes() -> None:
    first, second = (Ensemble().render(QUARTET).tobytes() for _ in range(2))
    assert first == second


def test_level_and_pan(ensemble: Ensemble) -> None:
    notes = [(0, 1.0, 60, 80)]
    plain = dry(ensemble, part("sax_tenor", notes))
    louder = dry(ensemble, part("sax_tenor", notes, level_db=6.0))
    assert np.allclose(louder, plain * 10 ** (6 / 20), atol=1e-6)
    left = dry(ensemble, part("sax_tenor", notes, pan=-1.0))
    assert np.abs(left[1]).max() < 1e-6
    assert np.mean(left**2) == pytest.approx(np.mean(plain**2), rel=1e-3)


def test_the_mix_peaks_at_0_9_at_the_most(ensemble: Ensemble) -> None:
    loud = [replace(each, level_db=24.0) for each in QUARTET]
    assert np.abs(ensemble.render(loud)).max() == pytest.approx(0.9, abs=1e-5)
    assert ensemble.render([]).shape == (2, 0)
    assert ensemble.render([], 1.0).shape == (2, RATE)


def test_a_kick_ducks_a_pad(ensemble: Ensemble) -> None:
    pad = EnsemblePart("pad", "synth_pad", np.array([[0.0, 3.0, 57, 80]]))
    kick = EnsemblePart("drums", "kit_electronic", np.array([[1.5, 0.1, 36, 110]]), level_db=6.0)
    ducked = replace(pad, effects=({"effect": "ducking", "depth": 0.9},), ducked_by="drums")
    plain = next(iter(ensemble.stem_blocks([pad, kick])))[0]
    held = next(iter(ensemble.stem_blocks([ducked, kick])))[0]
    assert rms(held, 1.52, 1.6) < rms(plain, 1.52, 1.6) - 3
    assert rms(held, 1.0, 1.4) == pytest.approx(rms(plain, 1.0, 1.4), abs=0.1)


@pytest.mark.parametrize("seconds", [0.4, 0.7, 1.6])
def test_a_room_decays_in_the_time_that_was_asked_for(seconds: float) -> None:
    impulse = np.zeros((2, 3 * RATE), dtype=np.float32)
    impulse[:, 0] = 1.0
    wet = RoomFilter(Room(decay_seconds=seconds), RATE)(impulse)
    wet[:, 0] -= 1.0
    left = np.cumsum((wet.astype(np.float64) ** 2).sum(axis=0)[::-1])[::-1]
    energy = 10 * np.log10(left / left[0] + 1e-20)
    at_5, at_35 = (int(np.argmax(energy < level)) / RATE for level in (-5, -35))
    assert 2.0 * (at_35 - at_5) == pytest.approx(seconds, rel=0.2)
    assert 10 * np.log10(left[0] / 2) == pytest.approx(-15.0, abs=0.5)


def test_lead_chords_bass_and_drums_are_balanced(ensemble: Ensemble) -> None:
    """A melody and chords at the same velocities differ by 3 dB at the most."""
    melody = [(n * 0.25, 0.23, 60 + (0, 3, 5, 7, 9, 7, 5, 2)[n % 8], 77) for n in range(32)]
    chords = [
        (bar * 2 + at, length, key + (0, 2)[bar % 2], 72)
        for bar in range(4)
        for at, length in ((0.0, 0.7), (0.75, 0.7))
        for key in (53, 57, 60, 64)
    ]
    walking = [(n * 0.5, 0.48, 40 + (0, 3, 7, 10)[n % 4], 80) for n in range(16)]
    lead = rms(dry(ensemble, part("sax_tenor", melody), seconds=8.0), 0, 8)
    assert rms(dry(ensemble, part("sax_alto", melody), seconds=8.0), 0, 8) == pytest.approx(
        lead, abs=2
    )
    assert rms(dry(ensemble, part("piano_grand", chords), seconds=8.0), 0, 8) == pytest.approx(
        lead, abs=3
    )
    assert rms(dry(ensemble, part("guitar_jazz", chords), seconds=8.0), 0, 8) == pytest.approx(
        lead, abs=3
    )
    bass = rms(dry(ensemble, part("bass_upright_pizz", walking), seconds=8.0), 0, 8)
    assert bass == pytest.approx(lead - 1, abs=2)


def test_parts_are_rendered_to_a_file(tmp_path: Path) -> None:
    render_parts(QUARTET, tmp_path / "song.wav", encoding="float32")
    sound, rate = soundfile.read(tmp_path / "song.wav", dtype="float32")
    assert rate == RATE
    mix = Ensemble().render(QUARTET)
    assert sound.T.shape == mix.shape
    meter = LoudnessMeter(RATE, 2)
    meter.push(torch.from_numpy(sound.T.copy()))
    assert meter.integrated() == pytest.approx(-18, abs=1)  # the limiter takes a little
    assert np.abs(sound).max() <= 0.9001
    assert np.corrcoef(sound.T.ravel(), mix.ravel())[0, 1] > 0.98


def test_errors_name_what_is_wrong(ensemble: Ensemble) -> None:
    with pytest.raises(AudioTransferError, match="'sax_tenr' is unknown; did you mean sax_tenor"):
        load_instrument("sax_tenr")
    with pytest.raises(AudioTransferError, match="ducked by 'kick'; there are part"):
        ensemble.render([part("synth_pad", [(0, 1, 60, 80)], ducked_by="kick")])
    with pytest.raises(AudioTransferError, match="effect 'fuzz' is unknown"):
        ensemble.render([part("synth_pad", [(0, 1, 60, 80)], effects=[{"effect": "fuzz"}])])


def test_names_load_neither_numpy_nor_the_engine() -> None:
    script = (
        "import sys; from audiotransfer.synthesis import describe, instrument_names\n"
        "names = instrument_names(); assert len(names) > 15\n"
        "assert describe('sax_tenor').program == 66 and describe('synth_bass').program == 38\n"
        "assert not {'numpy', 'numba', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_instrument_is_described_whole_and_small() -> None:
    folders = sorted(path for path in FOLDER.iterdir() if path.is_dir())
    total = sum(path.stat().st_size for path in FOLDER.rglob("*"))
    assert total <= 14_000_000
    notice = " ".join((Path(__file__).parents[1] / "NOTICE").read_text("utf-8").split())
    for folder in folders:
        card = json.loads((folder / "instrument.json").read_text("utf-8"))
        assert {sample["file"] for sample in card["samples"]} == {
            path.name for path in folder.glob("*.ogg")
        }
        assert card["licence"] and card["changes"]
        assert f"audiotransfer/synthesis/instruments/{folder.name}" in notice
        assert card["credit"] in notice, folder.name
        for sample in card["samples"]:
            info = soundfile.info(folder / sample["file"])
            assert (info.samplerate, info.frames) == (RATE, sample["frames"])
            assert info.channels <= card["channels"]


@pytest.mark.parametrize("deviation", [-40.0, 25.0])
@pytest.mark.parametrize("name", ["sax_tenor", "piano_grand", "bass_upright_pizz", *PRESETS])
def test_an_ensemble_is_tuned_to_a_deviation(name: str, deviation: float) -> None:
    described = describe(name)
    key = (described.low_key + described.high_key) // 2
    notes = part(name, [(0.0, 1.2, key, 90)])
    at = [
        cents(dry(Ensemble(tuning=tuning), notes)[:, RATE // 5 : RATE].mean(axis=0), key)
        for tuning in (0.0, deviation)
    ]
    assert at[1] - at[0] == pytest.approx(deviation, abs=4.0)


def test_drums_have_no_tuning() -> None:
    hits = part("kit_jazz_sticks", [(0.1, 0.2, 38, 100), (0.5, 0.2, 51, 90)])
    assert np.array_equal(dry(Ensemble(tuning=50.0), hits), dry(Ensemble(), hits))
