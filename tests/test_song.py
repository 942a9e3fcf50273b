"""Songs in memory: what `transfer` says beside the sound, and what notebooks show."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
import soundfile
import torch
from test_pipeline import RATE, Bands, a_style

from audiotransfer import Song, transfer
from audiotransfer.errors import AudioTransferError


def song(seconds: float = 1.0, channels: int = 2, rate: int = RATE) -> Song:
    time = torch.arange(int(seconds * rate)) / rate
    sound = 0.3 * torch.sin(2 * torch.pi * 220 * time) * (time < seconds / 2)
    return Song(sound.expand(channels, -1), rate, "album/hymn <1>.wav")


def test_a_transfer_says_what_was_done(tmp_path: Path) -> None:
    made = transfer(song(), a_style(), separator=Bands(), stems_out=tmp_path / "stems")
    assert made.mode == "timbre" and made.cover is None
    assert made.notices == made.report.notices
    drums = made.stem("drums")
    assert drums.audio.shape == made.audio.shape
    assert drums.audio.abs().max() > 0
    with pytest.raises(AudioTransferError, match="there are drums, bass, other, vocals"):
        made.stem("guitar")
    assert made.write(tmp_path / "made.wav") is None and (tmp_path / "made.wav").exists()


def test_stems_that_were_not_written_are_named_as_such() -> None:
    made = transfer(song(0.3), a_style(), separator=Bands())
    with pytest.raises(AudioTransferError, match="stems_out=FOLDER"):
        made.stem("drums")


@pytest.mark.parametrize(("channels", "rate"), [(1, 44100), (2, 22050), (6, 48000), (2, 96000)])
def test_notebooks_show_waveform_and_sound(tmp_path: Path, channels: int, rate: int) -> None:
    shown = song(1.0, channels, rate)._repr_html_()
    assert "hymn &lt;1&gt;.wav: 0:01" in shown and f"{rate} Hz" in shown
    sound = re.search(r"base64,([^\"]+)", shown)
    (tmp_path / "shown.ogg").write_bytes(base64.b64decode(sound[1]))
    read, _ = soundfile.read(tmp_path / "shown.ogg")
    assert read[: len(read) // 3].any()
    # Loud in its first half, and silent in its second.
    lines = re.findall(r"M[\d.]+ ([\d.]+)V([\d.]+)", shown)
    heights = [abs(float(a) - float(b)) for a, b in lines]
    assert len(heights) == 600
    assert min(heights[50:280]) > 5 and max(heights[320:]) == 0


def test_songs_are_plotted_one_above_the_other() -> None:
    figure = song().plot(song(1.0, 1, 22050), seconds=0.5)
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]
    assert titles == ["hymn <1>.wav", "hymn <1>.wav (2)"]
    assert figure.axes[1].get_xlabel() == "time (s)"
    with pytest.raises(AudioTransferError, match="choose an earlier start"):
        song().plot(start=5.0)
