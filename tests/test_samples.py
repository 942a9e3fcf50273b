"""Samples passed to the Python interface: accepted, or refused with the expected form."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audiotransfer import Song, load_style, transfer
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.sources import MemorySource

RATE = 44100


def noise(*shape: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def refusal(audio: Any, rate: Any = RATE) -> str:
    with pytest.raises(AudioTransferError) as caught:
        Song(audio, rate)
    with pytest.raises(AudioTransferError):
        MemorySource(audio, rate, "song")
    message = str(caught.value)
    assert "\n" not in message and "song" in message
    return message


@pytest.mark.parametrize(
    "audio",
    [noise(2, 500), torch.from_numpy(noise(2, 500)), noise(2, 500).astype(np.float64),
     noise(2, 500).astype(">f4"), np.asfortranarray(noise(2, 500)), noise(500, 2).T,
     noise(2, 500)[:, ::-1], noise(2, 500).tolist(), torch.from_numpy(noise(2, 500)).double(),
     torch.from_numpy(noise(2, 500)).requires_grad_(), noise(1, 7), noise(8, 100), noise(2, 1)],
    ids=range(13),
)  # fmt: skip
def test_what_is_taken(audio):
    song = Song(audio, RATE)
    assert song.audio.dtype == torch.float32 and not song.audio.requires_grad
    expected = audio.detach().numpy() if isinstance(audio, torch.Tensor) else np.asarray(audio)
    assert np.allclose(song.audio.numpy(), expected, atol=1e-7)


def test_an_array_that_must_not_be_written_is_copied(recwarn):
    audio = noise(2, 100)
    audio.flags.writeable = False
    assert np.array_equal(Song(audio, RATE).audio.numpy(), audio)
    assert not recwarn.list


def test_one_dimension_is_one_channel():
    assert Song(noise(500), RATE).audio.shape == (1, 500)


@pytest.mark.parametrize("shape", [(44100, 2), (44100, 1), (1000, 6), (25, 2)])
def test_channels_last_is_refused_with_the_right_shape(shape):
    message = refusal(noise(*shape))
    assert f"[{shape[0]}, {shape[1]}]" in message and f"[{shape[1]}, {shape[0]}]" in message
    assert "audio.T" in message


@pytest.mark.parametrize(
    ("audio", "words"),
    [
        (noise(2, 2, 500), "[channels, samples], one song at a time"),
        (noise(), "[channels, samples]"),
        (noise(30, 500), "24 channels at most"),
        (noise(2, 0), "no samples"),
        (noise(0), "no samples"),
        (noise(0, 500), "no samples"),
        ((32767 * noise(2, 500)).astype(np.int16), "divide them by 32768"),
        ((32767 * noise(2, 500)).astype(np.int32), "divide them by 2147483648"),
        (torch.ones(2, 500, dtype=torch.int16), "divide them by 32768"),
        (np.ones((2, 500), np.uint8), "subtract 128, then divide by 128"),
        (torch.ones(2, 500, dtype=torch.uint8), "subtract 128, then divide by 128"),
        (np.ones((2, 500), np.uint16), "subtract 32768, then divide by 32768"),
        (np.ones((2, 500), bool), "floating-point"),
        (torch.ones(2, 500, dtype=torch.bool), "floating-point"),
        (noise(2, 500).astype(complex), "floating-point"),
        (torch.from_numpy(noise(2, 500)).to(torch.complex64), "floating-point"),
        ("song.wav", "floating-point"),
        (None, "floating-point"),
        ([[0.1, 0.2], [0.3]], "[channels, samples]"),
        (np.array([["a", "b"]]), "floating-point"),
        (np.array([[0.1, np.nan]]), "NaN"),
        (np.array([[0.1, -np.inf]]), "NaN or infinite"),
        (np.array([[0.1, 1e300]]), "NaN or infinite"),
    ],
    ids=range(23),
)
def test_what_is_refused(audio, words):
    assert words in refusal(audio)


@pytest.mark.parametrize(
    "rate",
    [44100, 44100.0, np.int32(44100), np.int64(44100), np.float32(44100), np.array(44100),
     torch.tensor(44100), torch.tensor(44100.0)],
)  # fmt: skip
def test_whole_numbers_are_rates(rate):
    song = Song(noise(2, 500), rate)
    assert song.sample_rate == 44100 and type(song.sample_rate) is int


@pytest.mark.parametrize(
    "rate",
    [0, -1, -44100, 1, 7999, 192001, 1e9, 44100.5, float("nan"), float("inf"), -float("inf"), True,
     False, np.bool_(True), "44100", None, [44100], np.array([44100, 48000]), 44100j,
     Fraction(88200, 2)],
    ids=str,
)  # fmt: skip
def test_silly_rates_are_refused(rate):
    message = refusal(noise(2, 500), rate)
    assert "rate" in message and ("8000 to 192000" in message or "44100" in message)


def test_a_loaded_style_refuses_and_takes_the_same():
    style = load_style("jazz", device="cpu")
    with pytest.raises(AudioTransferError, match=r"\[44100, 2\].*\[2, 44100\]"):
        style(noise(44100, 2), RATE)
    with pytest.raises(AudioTransferError, match="rate"):
        style(noise(2, 44100), "44100")
    with pytest.raises(AudioTransferError, match="32768"):
        transfer(Song((noise(2, 500) * 32767).astype(np.int16), RATE), style)  # type: ignore
    for audio in (noise(2, 4410), noise(4410), torch.from_numpy(noise(1, 4410))):
        out = style(audio, 44100.0, strength=0.0, separator="none")
        assert type(out) is type(audio) and out.shape == audio.shape
        assert np.array_equal(np.asarray(out), np.asarray(audio))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"stems": {"drums": 3}}, "stem choice 3 of 'drums'"),
        ({"stems": ["drums"]}, "stems of the type list"),
        ({"gains_db": [1.0]}, "gains_db of the type list"),
        ({"gains_db": {"drums": "loud"}}, "gain drums=loud"),
        ({"style": None}, "no style given"),
        ({"style": b"jazz"}, "a style of the type bytes"),
        ({"style": np.zeros(3)}, "a style of the type ndarray"),
        ({"gains": {}}, "unknown option 'gains': did you mean gains_db?"),
        ({"xyz": 1}, "unknown option 'xyz': there are style"),
        ({"seed": "a"}, "seed 'a'"),
        ({"seed": 1.5}, "seed 1.5"),
        ({"seed": -1}, "seed -1"),
        ({"strength": "all"}, "strength all"),
    ],
)
def test_options_that_are_none_are_refused_in_one_line(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(AudioTransferError) as caught:
        transfer(Song(noise(2, 500), RATE), **{"style": "jazz", **asked})
    message = str(caught.value)
    assert says in message and "\n" not in message


def test_what_is_no_song_or_style_is_refused_in_one_line() -> None:
    with pytest.raises(AudioTransferError, match="a song of the type ndarray"):
        transfer(noise(2, 500), "jazz")  # type: ignore[arg-type]
    with pytest.raises(AudioTransferError, match="a style of the type NoneType"):
        load_style(None)  # type: ignore[arg-type]


def test_a_song_in_memory_names_the_argument_that_overwrites(tmp_path: Path) -> None:
    song = Song(noise(2, 500), RATE)
    song.write(tmp_path / "a.wav")
    with pytest.raises(AudioTransferError, match=r"\(overwrite=True\)"):
        song.write(tmp_path / "a.wav")
    song.write(tmp_path / "a.wav", overwrite=True)


@pytest.mark.parametrize("seconds", [0.0001, 0.1, 0.39])
def test_a_song_shorter_than_a_loudness_block_comes_out_as_loud(seconds):
    audio = noise(2, max(1, round(seconds * RATE)))
    out = load_style("rock", device="cpu")(audio, RATE, separator="none")
    assert out.shape == audio.shape and np.isfinite(out).all()
