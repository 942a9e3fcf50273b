"""What may be written beside a MIDI file: how it sounds, and how it looks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from audiotransfer.atomic import check_place
from audiotransfer.audio.writing import check_output, write_audio
from audiotransfer.data.rendering.arrangement import Arrangement, arrangement_of
from audiotransfer.errors import AudioTransferError
from audiotransfer.midi.plotting import plot_scores
from audiotransfer.synthesis.synthesizer import Part, Synthesizer, default_soundfont

_TAIL_SECONDS = 1.5
_RAMP_SECONDS = 0.005
_BLOCK = 1 << 20
_PEAK = 0.9
_LONGEST_SECONDS = 2 * 3600


@dataclass(frozen=True)
class Beside:
    """The sound of a score by a soundfont, and piano rolls, under the name of its MIDI file."""

    render: bool = False
    soundfont: Path | None = None
    """``None`` is the one that pretty_midi carries."""
    suffix: str = ".wav"
    encoding: str = "int16"
    plot: bool = False

    def paths(self, output: Path) -> dict[str, Path]:
        """``audio`` and ``plot``, where they are wanted, for a MIDI file ``output``: of
        ``song.jazz.mid`` ``song.jazz.mid.wav``, as ``song.jazz.wav`` is what becomes of a
        recording, and ``song.jazz.png``.
        """
        paths = {}
        if self.render:
            paths["audio"] = output.with_name(output.name + self.suffix)
        if self.plot:
            paths["plot"] = output.with_suffix(".png")
        return paths

    def check(self, output: Path, overwrite: bool = False, score: Any = None) -> None:
        """Raises AudioTransferError, before any work, for what could not be written after it: a
        place that is taken, no soundfont, a ``score`` of more than two hours.
        """
        for kind, path in self.paths(output).items():
            if kind == "audio":
                check_output(path, overwrite, encoding=self.encoding)
            else:
                check_place(path, overwrite)
        if self.render:
            _synthesizer(self.soundfont)
            if score is not None:
                _check_length(arrangement_of(score, controllers=True), output)

    def write(
        self, output: Path, score: Any, before: Any = None, overwrite: bool = False
    ) -> dict[str, str]:
        """Writes what is wanted of a score that stands in ``output``, beside the one before it if
        there is one; returns the files: ``audio``, ``plot``.
        """
        paths = self.paths(output)
        if "audio" in paths:
            render_score(
                score,
                paths["audio"],
                self.soundfont,
                encoding=self.encoding,
                overwrite=overwrite,
            )
        if "plot" in paths:
            shown = {output.name: score} if before is None else {"before": before, "after": score}
            plot_scores(shown, paths["plot"], output.stem, overwrite)
        return {kind: str(path) for kind, path in paths.items()}


def render_score(
    score: Any,
    path: Path,
    soundfont: Path | None = None,
    *,
    encoding: str = "int16",
    overwrite: bool = False,
) -> None:
    """Plays a score with a soundfont into an audio file: stereo, 44.1 kHz, one gain for all of it.

    Channels have the volume, expression, pan and pedal that the score says, but no pitch bend.
    Raises AudioTransferError where the soundfont is missing or unreadable or the score lasts longer
    than two hours.
    """
    synthesizer, font = _synthesizer(soundfont)
    band = arrangement_of(score, str(path), controllers=True)
    _check_length(band, path)
    audio = _played(band, synthesizer, font)
    # General MIDI mixes may pass full scale.
    audio /= max(float(np.abs(audio).max(initial=0.0)) / _PEAK, 1.0)
    write_audio(
        path,
        torch.from_numpy(audio),
        synthesizer.sample_rate,
        encoding=encoding,
        overwrite=overwrite,
    )


def _played(band: Arrangement, synthesizer: Synthesizer, font: Path) -> NDArray[np.float32]:
    """The sound of a band ``[2, T]``, each part at its levels."""
    seconds = band.seconds + _TAIL_SECONDS
    alike: dict[bytes, list[Part]] = {}
    for part in band.parts:
        alike.setdefault(part.levels.tobytes(), []).append(part)
    audio = np.zeros((2, 0), dtype=np.float32)
    for parts in alike.values():
        sound = synthesizer.render([(part, font) for part in parts], seconds)
        _set_levels(sound, parts[0].levels, synthesizer.sample_rate)
        audio = sound if not audio.size else np.add(audio, sound, out=audio)
    return audio


def _set_levels(sound: NDArray[np.float32], levels: NDArray[np.float64], sample_rate: int) -> None:
    """Multiplies sound ``[2, T]`` by gains ``[K, 3]`` (see `Part`), each reached in 5 ms."""
    if not len(levels):
        return
    times = levels[:, 0] * sample_rate
    # A change lasts until the next at the most, so that time goes on.
    reached = np.minimum(times + _RAMP_SECONDS * sample_rate, np.append(times[1:], np.inf))
    places = np.stack([times, reached], axis=1).ravel()
    for side, gains in zip(sound, levels[:, 1:].T, strict=True):
        before = np.concatenate([[gains[0] if times[0] <= 0 else 1.0], gains[:-1]])
        values = np.stack([before, gains], axis=1).ravel()
        for start in range(0, len(side), _BLOCK):
            block = side[start : start + _BLOCK]
            block *= np.interp(start + np.arange(len(block)), places, values)


def _check_length(band: Arrangement, path: Path) -> None:
    if band.seconds > _LONGEST_SECONDS:
        raise AudioTransferError(
            f"{path} would sound for {band.seconds / 3600:.1f} hours, more than"
            f" {_LONGEST_SECONDS / 3600:g}; cut the score, or check its tempo"
        )


def _synthesizer(soundfont: Path | None) -> tuple[Synthesizer, Path]:
    font = soundfont or default_soundfont()
    if not font.is_file():
        raise AudioTransferError(f"soundfont {font} does not exist; name an .sf2 or .sf3")
    return Synthesizer(), font
