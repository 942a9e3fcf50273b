"""Singing of recorded syllables, voices at other pitches, and what productions do to voices."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch

from audiotransfer.audio.writing import write_audio
from audiotransfer.data.rendering.excerpts import ExcerptSettings, render_excerpt
from audiotransfer.data.rendering.excerpts.pieces import HARMONY
from audiotransfer.data.rendering.excerpts.singing import LOW_VOICES, VOICES, sing, voice_for
from audiotransfer.data.rendering.excerpts.solo_singing import read_singing, repitched_singing
from audiotransfer.data.rendering.excerpts.sound import SAMPLE_RATE, doubled, treated_voice
from audiotransfer.data.rendering.excerpts.voice_envelopes import (
    VoiceEnvelopes,
    read_envelopes,
    repitched,
    sing_syllables,
)
from audiotransfer.synthesis.synthesizer import default_soundfont
from audiotransfer.training.config import load_config

LOW, STEADY = VOICES[0], replace(VOICES[1], vibrato=0.0, formants=1.0)


def pitch_of(sound: np.ndarray, low: float, high: float) -> np.ndarray:
    found, _, _ = librosa.pyin(
        sound, sr=SAMPLE_RATE, fmin=librosa.midi_to_hz(low), fmax=librosa.midi_to_hz(high),
        frame_length=2048, hop_length=256,
    )  # fmt: skip
    return np.asarray(librosa.hz_to_midi(found))


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A recording of syllables at about 100 Hz."""
    place = tmp_path_factory.mktemp("speech") / "speech.wav"
    starts = 0.2 + 0.35 * np.arange(14)
    notes = np.column_stack([starts, starts + 0.24, 43 + np.arange(14) % 4])
    sound = sing(notes, 5.5, SAMPLE_RATE, STEADY, np.random.default_rng(4))
    write_audio(place, torch.from_numpy(sound[None] * 0.5), SAMPLE_RATE)
    return str(place)


@pytest.fixture(scope="module")
def recorded(speech: str) -> VoiceEnvelopes:
    return read_envelopes(speech)


def test_syllables_are_found(recorded: VoiceEnvelopes) -> None:
    first, top, end = recorded.syllables.T
    assert 12 <= len(recorded.syllables) <= 17
    assert np.all((first <= top) & (top < end)) and recorded.voiced[top].all()
    times = top * 256 / SAMPLE_RATE
    inside = ((times - 0.2) % 0.35) < 0.26
    assert inside.mean() > 0.8


@pytest.mark.parametrize("octave", [0, 12, 24])
def test_syllables_are_sung_at_the_notes_pitches(octave: int, recorded: VoiceEnvelopes) -> None:
    notes = np.array([(0.3, 0.9, 45.0), (0.9, 1.6, 49.0), (2.0, 2.9, 42.0)])
    notes[:, 2] += octave
    sound = sing_syllables(notes, 3.2, STEADY, recorded, np.random.default_rng(1))
    assert len(sound) == round(3.2 * SAMPLE_RATE) and np.isfinite(sound).all()
    pitch = pitch_of(sound, 36 + octave, 55 + octave)
    times = np.arange(len(pitch)) * 256 / SAMPLE_RATE
    for start, end, wanted in notes:
        inside = (times > start + 0.2) & (times < end - 0.15) & np.isfinite(pitch)
        assert inside.sum() >= 5
        assert np.median(pitch[inside]) == pytest.approx(wanted, abs=0.6)


def test_formants_stay_where_the_pitch_moves(speech: str, recorded: VoiceEnvelopes) -> None:
    singing = read_singing(speech)
    random = np.random.default_rng(2)
    own = repitched(recorded, singing.pitch, 0.0, 1.0, random)
    high = repitched(recorded, singing.pitch, 7.0, 1.0, random)
    short = repitched(recorded, singing.pitch, 7.0, 1.3, random)
    moved = pitch_of(high, 40, 62)[: len(singing.pitch)]
    both = np.isfinite(moved) & np.isfinite(singing.pitch[: len(moved)])
    assert both.sum() > 40
    away = moved[both] - singing.pitch[: len(moved)][both]
    assert np.median(away) == pytest.approx(7.0, abs=0.3)

    def centre(sound: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(sound)) ** 2
        return float(np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE) @ power / power.sum())

    assert centre(high) == pytest.approx(centre(own), rel=0.2)
    assert centre(short) > 1.1 * centre(high)


def test_a_singer_is_moved_with_the_notes(speech: str) -> None:
    own = read_singing(speech)
    moved = [repitched_singing(speech, np.random.default_rng(seed)) for seed in range(4)]
    shifts = {float(np.median(one.notes[:, 2] - own.notes[:, 2])) for one in moved}
    assert len(shifts) > 2 and max(shifts) - min(shifts) >= 3
    for one in moved:
        assert np.median(one.pitch[np.isfinite(one.pitch)]) == pytest.approx(
            np.median(one.notes[:, 2]) + one.tuning_cents / 100, abs=1.0
        )


def test_low_voices_are_low() -> None:
    notes = np.array([(0.0, 1.0, 66.0), (1.0, 2.0, 69.0)])
    random = np.random.default_rng(0)
    found = [voice_for(notes, random, 1.0) for _ in range(30)]
    assert {voice.name for voice, _ in found} == {voice.name for voice in LOW_VOICES}
    assert all(66 + shift <= 60 for _, shift in found)


def test_treated_voices_keep_their_length_and_pitch(recorded: VoiceEnvelopes) -> None:
    notes = np.array([(0.2, 2.6, 47.0)])
    sound = sing_syllables(notes, 3.0, STEADY, recorded, np.random.default_rng(1))
    changed = 0
    for seed in range(6):
        random = np.random.default_rng(seed)
        for treated in (doubled(sound, random), treated_voice(sound, random)):
            assert treated.shape == sound.shape and np.isfinite(treated).all()
            changed += not np.allclose(treated, sound, atol=1e-3)
            held = pitch_of(treated[SAMPLE_RATE // 2 : 2 * SAMPLE_RATE], 41, 53)
            assert np.nanmedian(held) == pytest.approx(47.0, abs=0.4)
    assert changed >= 10


def test_excerpts_of_voices(speech: str) -> None:
    fonts = [str(default_soundfont())]
    plain = ExcerptSettings(
        {"invented": 1.0}, soundfonts=fonts, seconds=5.0, own_instruments=0.0, sung=1.0
    )
    settings = replace(
        plain, speech=[speech], spoken=1.0, low=1.0, treated=1.0, dense=1.0, lead_level=[-3.0, -2.0]
    )
    sung, parts = 0, {"plain": 0, "dense": 0}
    for index in range(6):
        for name, one in (("plain", plain), ("dense", settings)):
            arrays = render_excerpt(one, index)
            about = json.loads(str(arrays["about"]))
            parts[name] += sum(HARMONY in part for part in about["programs"])
            if name == "dense" and len(arrays["sung"]):
                sung += 1
                assert -3.0 <= about["lead_db"] <= -2.0
                assert np.median(arrays["lead"][:, 2]) <= 64
    assert sung >= 3 and parts["dense"] > parts["plain"] + 3


def test_the_config_of_voices_keeps_the_test_recordings_out() -> None:
    settings = load_config("transcription-voices", [], ExcerptSettings)
    files = [*settings.singing, *settings.speech]
    assert files and not any("eir_" in Path(file).name for file in files)
    assert not any("vocadito_14" in file for file in files)  # the validation's singer
    assert not any("TimGM6mb" in font for font in settings.soundfonts)
    assert settings.seed not in {26, 27}
