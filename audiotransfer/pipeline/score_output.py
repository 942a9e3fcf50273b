"""What may be written beside a MIDI file: how it sounds, and how it looks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from audiotransfer import files
from audiotransfer.errors import AudioTransferError
from audiotransfer.symbolic.plotting import plot_scores
from audiotransfer.symbolic.studio.band import Band, band_of
from audiotransfer.symbolic.studio.synth import Synthesizer, default_soundfont

_TAIL_SECONDS = 1.5
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
                files.check_output(path, overwrite, encoding=self.encoding)
            else:
                files.check_place(path, overwrite)
        if self.render:
            _synthesizer(self.soundfont)
            if score is not None:
                _check_length(band_of(score), output)

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

    Raises AudioTransferError where the soundfont is missing or unreadable or the score lasts longer
    than two hours.
    """
    synthesizer, font = _synthesizer(soundfont)
    band = band_of(score, str(path))
    _check_length(band, path)
    players = [(part, font) for part in band.parts]
    audio = synthesizer.render(players, band.seconds + _TAIL_SECONDS)
    # General MIDI mixes may pass full scale.
    audio /= max(float(np.abs(audio).max(initial=0.0)) / _PEAK, 1.0)
    files.write(
        path,
        torch.from_numpy(audio),
        synthesizer.sample_rate,
        encoding=encoding,
        overwrite=overwrite,
    )


def _check_length(band: Band, path: Path) -> None:
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
