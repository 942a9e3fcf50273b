"""Outputs of a MIDI job: the MIDI file, its rendered audio and its piano rolls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from audiotransfer.atomic import check_place
from audiotransfer.audio.limiter import Limiter
from audiotransfer.audio.loudness import LoudnessMeter
from audiotransfer.audio.writing import AudioWriter, check_output, write_audio
from audiotransfer.data.rendering.arrangement import Arrangement, arrangement_of
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import LeadSheet, lead_sheet
from audiotransfer.leadsheet.musicxml import write_musicxml
from audiotransfer.midi.plotting import Marks, plot_scores
from audiotransfer.midi.score import WRITTEN
from audiotransfer.pipeline.finishing import Spool, matching_gain
from audiotransfer.pipeline.midi_options import MidiExtras
from audiotransfer.synthesis.ensemble import Ensemble, EnsemblePart
from audiotransfer.synthesis.room import DEFAULT_ROOM, Room, RoomFilter
from audiotransfer.synthesis.synthesizer import Part, Synthesizer, default_soundfont

__all__ = ["MidiExtras", "MidiOutput", "render_midi", "render_parts"]

_TAIL_SECONDS = 1.5
_RAMP_SECONDS = 0.005
_BLOCK = 1 << 20
_PEAK = 0.9
_LOUDNESS = -18.0  # LUFS of arranged songs
_LONGEST_SECONDS = 2 * 3600
_STEM_ENCODING = "float32"


@dataclass(frozen=True)
class MidiOutput:
    """The output path of one MIDI file, with its extras."""

    path: Path
    extras: MidiExtras = field(default_factory=MidiExtras)
    overwrite: bool = False

    @property
    def extra_paths(self) -> dict[str, Path]:
        """``audio``, ``plot`` and ``score``, where they are wanted: of ``song.jazz.mid``
        ``song.jazz.mid.wav``, as ``song.jazz.wav`` is the output of a recording, ``song.jazz.png``
        and ``song.jazz.musicxml``.
        """
        paths = {}
        if self.extras.render:
            paths["audio"] = self.path.with_name(self.path.name + self.extras.suffix)
        if self.extras.plot:
            paths["plot"] = self.path.with_suffix(".png")
        if self.extras.score:
            paths["score"] = self.path.with_suffix(".musicxml")
        return paths

    def check(self) -> None:
        """Raises AudioTransferError for a file that cannot be written, and a missing soundfont."""
        if self.path.suffix.lower() not in WRITTEN:
            raise AudioTransferError(
                f"{self.path} is no MIDI file by its name; end it in .mid (--render adds sound)"
            )
        check_place(self.path, self.overwrite)
        self.check_extras()

    def check_extras(self) -> None:
        """Checks the extras only, as `check` does."""
        for kind, path in self.extra_paths.items():
            if kind == "audio":
                check_output(path, self.overwrite, encoding=self.extras.encoding)
            else:
                check_place(path, self.overwrite)
        if self.extras.render:
            _synthesizer(self.extras.soundfont)

    def stem_path(self, name: str) -> Path:
        """The file of a rendered part."""
        folder = self.extras.stems_out or self.path.parent
        return folder / (name + self.extras.stems_suffix)

    def check_stems(self, names: Iterable[str]) -> None:
        """Raises AudioTransferError where files of parts with these names cannot be written."""
        if self.extras.render and self.extras.stems_out is not None:
            for name in names:
                check_output(self.stem_path(name), self.overwrite, encoding=_STEM_ENCODING)

    def lacks_stems(self, notated: Notated | None) -> bool:
        """Whether stems are asked for that an output of this kind does not have."""
        asked = self.extras.render and self.extras.stems_out is not None
        return asked and not self._of_parts(notated)

    def _of_parts(self, notated: Notated | None) -> bool:
        """Whether the parts of an arrangement are rendered, rather than its score."""
        return notated is not None and notated.complete and self.extras.soundfont is None

    def check_length(self, score: Any) -> None:
        """Raises AudioTransferError where audio of more than two hours would be rendered."""
        if self.extras.render:
            _check_length(arrangement_of(score, controllers=True), self.path)

    def write_extras(
        self, score: Any, before: Any = None, notated: Notated | None = None
    ) -> dict[str, str]:
        """Writes audio, piano rolls and notation of a score, with the rolls of the one before it if
        there is one; returns the files: ``audio``, ``plot``, ``score``.

        ``notated`` is an arrangement that the score was made of; without it its lead sheet is
        notated.
        """
        paths = self.extra_paths
        if "audio" in paths:
            encoding, overwrite = self.extras.encoding, self.overwrite
            if notated is not None and self._of_parts(notated):
                render_parts(
                    notated.parts,
                    paths["audio"],
                    notated.room,
                    encoding=encoding,
                    overwrite=overwrite,
                    stems={part.name: self.stem_path(part.name) for part in notated.parts}
                    if self.extras.stems_out is not None
                    else None,
                )
            else:
                render_midi(
                    score,
                    paths["audio"],
                    self.extras.soundfont,
                    encoding=encoding,
                    overwrite=overwrite,
                )
        if "plot" in paths:
            name = self.path.name
            shown = {name: score} if before is None else {"before": before, "after": score}
            marks = None if notated is None else notated.marks
            plot_scores(shown, paths["plot"], self.path.stem, self.overwrite, marks)
        if "score" in paths:
            sheet = lead_sheet(score, self.path.stem) if notated is None else notated.sheet
            parts = None if notated is None else notated.parts
            write_musicxml(paths["score"], sheet, parts, self.overwrite)
        return {kind: str(path) for kind, path in paths.items()}


@dataclass(frozen=True)
class Notated:
    """An arrangement beside its MIDI file.

    ``sheet`` is the lead sheet that the ``parts`` play, which are all that the file has where it is
    ``complete``. ``marks`` are chord names and sections of the score ``before`` and ``after``;
    ``room`` is the room that the parts are rendered in.
    """

    sheet: LeadSheet
    parts: Sequence[EnsemblePart]
    marks: Mapping[str, Marks]
    complete: bool = True
    room: Room | None = DEFAULT_ROOM


def render_midi(
    score: Any,
    path: Path,
    soundfont: Path | None = None,
    *,
    encoding: str = "int16",
    overwrite: bool = False,
) -> None:
    """Renders a score with a soundfont to an audio file: stereo, 44.1 kHz, with one gain.

    Volume, expression, pan and pedal of the channels are rendered, pitch bend is not.
    Raises AudioTransferError where the soundfont is missing or unreadable or the score lasts longer
    than two hours.
    """
    synthesizer, font = _synthesizer(soundfont)
    band = arrangement_of(score, str(path), controllers=True)
    _check_length(band, path)
    audio = _rendered(band, synthesizer, font)
    # General MIDI mixes may pass full scale.
    audio /= max(float(np.abs(audio).max(initial=0.0)) / _PEAK, 1.0)
    write_audio(
        path,
        torch.from_numpy(audio),
        synthesizer.sample_rate,
        encoding=encoding,
        overwrite=overwrite,
    )


def render_parts(
    parts: Sequence[EnsemblePart],
    path: Path,
    room: Room | None = DEFAULT_ROOM,
    *,
    seconds: float | None = None,
    encoding: str = "int16",
    overwrite: bool = False,
    stems: Mapping[str, Path] | None = None,
) -> None:
    """Renders arranged parts with the package's instruments to an audio file.

    Stereo, 44.1 kHz, in bounded memory, at -18 LUFS; a limiter keeps single hits below full scale.
    The length is as of `Ensemble.render`. ``stems`` are files for the single parts, by name: with
    their share of the room and the mix's gain, so that they sum to the mix but for the limiter.
    Raises AudioTransferError for an unknown instrument or effect, and for more than two hours.
    """
    if max((part.end for part in parts), default=0.0) > _LONGEST_SECONDS:
        raise AudioTransferError(
            f"{path} would sound for more than {_LONGEST_SECONDS // 3600} hours"
        )
    ensemble = Ensemble()
    rate, frames = ensemble.sample_rate, 0
    meter, limiter = LoudnessMeter(rate, 2), Limiter(rate, _PEAK)
    stems = stems or {}
    with ExitStack() as stack:
        mix = stack.enter_context(Spool(path.parent, 2))
        single = {name: stack.enter_context(Spool(path.parent, 2)) for name in stems}
        rooms = [RoomFilter(room, rate) if room and stems else None for _ in parts]
        blocks = ensemble.stem_blocks(parts, seconds) if stems else ()
        for sounds in blocks:
            for part, sound, reverb in zip(parts, sounds, rooms, strict=True):
                if part.name in single:
                    wet = reverb(sound) if reverb else sound
                    single[part.name].write(torch.from_numpy(wet))
        for block in ensemble.blocks(parts, seconds, room):
            audio = torch.from_numpy(block)
            meter.push(audio)
            mix.write(audio)
            frames += audio.shape[1]
        gain = matching_gain(meter.integrated(), _LOUDNESS)
        with AudioWriter(path, rate, 2, encoding=encoding, overwrite=overwrite) as writer:
            for piece in mix.blocks():
                frames -= piece.shape[1]
                writer.write(limiter.push(piece * gain, last=not frames))
        for name, place in stems.items():
            with AudioWriter(
                place, rate, 2, encoding=_STEM_ENCODING, overwrite=overwrite
            ) as writer:
                for piece in single[name].blocks():
                    writer.write(piece * gain)


def _rendered(band: Arrangement, synthesizer: Synthesizer, font: Path) -> NDArray[np.float32]:
    """The audio ``[2, T]`` of all parts, each at its levels."""
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
