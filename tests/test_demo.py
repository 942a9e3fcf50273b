"""The demo: the shipped file is the rendered composition, and the demo writes all its outputs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiotransfer.demo import run_demo, song_path
from audiotransfer.demo.composition import SAMPLE_RATE, TAIL_SECONDS, arrangement, render_song
from audiotransfer.errors import AudioTransferError
from audiotransfer.midi.score import read_score

D_MAJOR = {2, 4, 6, 7, 9, 11, 1}


def test_the_tune_is_in_d_and_fits_its_bars() -> None:
    song = arrangement()
    for part in song.parts:
        assert (part.notes[:, 1] > 0).all()
        assert ((part.notes[:, 3] >= 1) & (part.notes[:, 3] <= 127)).all()
        if not part.drums:
            assert {int(pitch) % 12 for pitch in part.notes[:, 2]} <= D_MAJOR
    assert song.seconds <= 12 * 4 * song.beat
    assert {part.stem for part in song.parts} == {"drums", "bass", "other"}


def test_the_shipped_song_is_the_composition() -> None:
    info = soundfile.info(song_path())
    assert (info.channels, info.samplerate) == (2, SAMPLE_RATE)
    assert info.frames == round((arrangement().seconds + TAIL_SECONDS) * SAMPLE_RATE)
    assert song_path().stat().st_size < 1_000_000
    audio, _ = soundfile.read(song_path())
    assert 0.5 < np.abs(audio).max() <= 1.0


def test_rendering_again_gives_a_song_with_the_same_attacks() -> None:
    """With another soundfont the sounds differ, but loud and soft fall in the same places."""
    rendered = render_song()
    shipped, _ = soundfile.read(song_path(), dtype="float32")
    assert rendered.shape == shipped.T.shape

    def attacks(audio: np.ndarray) -> np.ndarray:
        frames = audio.mean(0)[: audio.shape[1] // 1024 * 1024].reshape(-1, 1024)
        energy = np.log(np.abs(np.fft.rfft(frames)).sum(1) + 1e-3)
        return np.maximum(np.diff(energy), 0)

    assert np.corrcoef(attacks(rendered), attacks(shipped.T))[0, 1] > 0.6


def test_the_demo_writes_song_result_stems_and_plot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    style = tmp_path / "styles" / "still"
    style.mkdir(parents=True)
    card = {"schema": 1, "name": "still", "description": "-", "stems": {"other": "keep"}}
    (style / "card.json").write_text(json.dumps({**card, "weights": {}}))
    monkeypatch.setenv("AUDIOTRANSFER_STYLES", str(style.parent))
    folder = tmp_path / "demo"
    made = run_demo(folder, "still", separator="none")
    for path in (made.song, made.output, made.plot, made.stems / "other.wav"):
        assert path.is_file()
    assert soundfile.info(made.output).frames == soundfile.info(made.song).frames
    assert made.plot.read_bytes().startswith(b"\x89PNG")
    notes = read_score(made.notes)
    assert notes.note_num() == sum(len(part.notes) for part in arrangement().parts)
    assert notes.to("second").end() == pytest.approx(arrangement().seconds, abs=0.01)
    assert not list(folder.rglob(".*"))
    started = time.process_time()
    with pytest.raises(AudioTransferError, match="is there already; -f writes over it"):
        run_demo(folder, "still", separator="none")
    assert time.process_time() - started < 1
