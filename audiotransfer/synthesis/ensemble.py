"""An ensemble of sampled and synthesised instruments, rendered block by block."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.errors import AudioTransferError
from audiotransfer.synthesis.catalogue import Instrument, Voice, load_instrument
from audiotransfer.synthesis.room import DEFAULT_ROOM, Room, RoomFilter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.effects import Chain

BLOCK_SECONDS = 15.0
TAIL_SECONDS = 2.0
PEAK = 0.9


def _no_pedal() -> NDArray[np.float64]:
    return np.zeros((0, 2))


@dataclass(frozen=True)
class EnsemblePart:
    """The notes of one instrument of an ensemble.

    ``name`` is the part's role (``lead``, ``bass``), ``instrument`` the name of an instrument of
    the package (``sax_tenor``). ``notes`` ``[N, 4]`` are start (s), duration (s), MIDI pitch and
    velocity (1..127), sorted by start; of a kit the pitches are General MIDI keys. ``level_db`` is
    added to the instrument's own level; ``pan`` is -1 (left) to 1 (right).

    ``effects`` are settings of effects, as in a style's card: ``{"effect": "amplifier", "drive":
    4.0}``. ``ducked_by`` names the part whose kick drum an effect ``ducking`` follows. ``pedal``
    ``[K, 2]`` holds the times (s) between which the sustain pedal is down.
    """

    name: str
    instrument: str
    notes: NDArray[np.float64]
    level_db: float = 0.0
    pan: float = 0.0
    effects: Sequence[Mapping[str, Any]] = ()
    ducked_by: str | None = None
    pedal: NDArray[np.float64] = field(default_factory=_no_pedal)

    @property
    def end(self) -> float:
        """Time (s) at which the last note ends."""
        return float((self.notes[:, 0] + self.notes[:, 1]).max(initial=0.0))


class Ensemble:
    """Renders parts: stereo, float32, at ``sample_rate`` Hz, which effects need to be 44100.

    At velocities of about 64 to 90 and ``level_db`` 0 a lead and chords have an RMS of about 0.1,
    a bass of 0.09 and drums of 0.05. Instruments are kept, with the samples that were played.
    ``tuning`` is the deviation from A = 440 Hz in cents.
    """

    def __init__(self, sample_rate: int = 44100, tuning: float = 0.0) -> None:
        self.sample_rate, self.tuning = sample_rate, tuning
        self._instruments: dict[str, Instrument] = {}

    def instrument(self, name: str) -> Instrument:
        """An instrument by name; AudioTransferError for an unknown one."""
        if name not in self._instruments:
            self._instruments[name] = load_instrument(name, self.sample_rate, self.tuning)
        return self._instruments[name]

    def render(
        self,
        parts: Sequence[EnsemblePart],
        seconds: float | None = None,
        room: Room | None = DEFAULT_ROOM,
    ) -> NDArray[np.float32]:
        """The mix ``[2, T]`` of parts, with one gain where its peak would pass 0.9.

        ``seconds`` is its length; where it is ``None``, 2 s more than the notes, or until the last
        has rung out. Later notes are left out. Raises AudioTransferError as `blocks` does.
        """
        blocks = list(self.blocks(parts, seconds, room))
        mix = np.concatenate(blocks, axis=1) if blocks else np.zeros((2, 0), np.float32)
        mix *= peak_gain(float(np.abs(mix).max(initial=0.0)))
        return mix

    def blocks(
        self,
        parts: Sequence[EnsemblePart],
        seconds: float | None = None,
        room: Room | None = DEFAULT_ROOM,
        block_seconds: float = BLOCK_SECONDS,
    ) -> Iterator[NDArray[np.float32]]:
        """The mix in blocks ``[2, t]``, without the gain against its peak.

        Memory is that of a block and the longest note. Raises AudioTransferError for an unknown
        instrument or effect, and a ``ducked_by`` that is no part.
        """
        if not parts:
            yield np.zeros((2, round((seconds or 0.0) * self.sample_rate)), dtype=np.float32)
            return
        filter = RoomFilter(room, self.sample_rate) if room else None
        for stems in self.stem_blocks(parts, seconds, block_seconds):
            mix = _summed(stems)
            yield filter(mix) if filter else mix

    def stem_blocks(
        self,
        parts: Sequence[EnsemblePart],
        seconds: float | None = None,
        block_seconds: float = BLOCK_SECONDS,
        *,
        only: Collection[str] | None = None,
    ) -> Iterator[list[NDArray[np.float32]]]:
        """Each part's sound ``[2, t]`` by blocks, at its level and pan, without the room.

        With ``only``, that of the parts with these names, as it is among all parts; ``seconds`` is
        needed then.
        """
        used = parts
        if only is not None:
            ducking = {part.ducked_by for part in parts if part.name in only}
            used = [part for part in parts if part.name in only or part.name in ducking]
        streams = [
            _Stream(part, self.instrument(part.instrument), self.sample_rate) for part in used
        ]
        by_name = {stream.part.name: stream for stream in reversed(streams)}
        names = {part.name: None for part in parts}
        for part in parts:
            if part.ducked_by is not None and part.ducked_by not in names:
                raise AudioTransferError(
                    f"part {part.name!r} is ducked by {part.ducked_by!r}; there are "
                    + ", ".join(names)
                )
        if seconds is None:
            seconds = max((part.end for part in parts), default=-TAIL_SECONDS) + TAIL_SECONDS
            rung_out = max((stream.end for stream in streams), default=0)
            total = max(round(seconds * self.sample_rate), rung_out)
        else:
            total = round(seconds * self.sample_rate)
        # Blocks begin where periodic effects do, and the context reaches back to such a place.
        chains = [chain for part in parts if (chain := _chain(part.effects)) is not None]
        grid = math.lcm(*(chain.grid for chain in chains))
        needed = max((chain.context(0) for chain in chains), default=0)
        context = -(-needed // grid) * grid
        step = max(1, round(block_seconds * self.sample_rate) // grid) * grid
        for start in range(0, total, step):
            stop = min(total, start + step)
            windows = {
                id(stream): stream.read(start - context, stop + context, total)
                for stream in streams
            }
            stems = []
            for stream in streams:
                if only is not None and stream.part.name not in only:
                    continue
                name = stream.part.ducked_by
                drums = windows[id(by_name[name])] if name is not None else None
                sound = stream.mixed(windows[id(stream)], drums)
                stems.append(sound[:, context : context + stop - start])
            yield stems


class _Stream:
    """A part's sound, read forward; notes are rendered when they begin and kept until they end."""

    def __init__(self, part: EnsemblePart, instrument: Instrument, sample_rate: int) -> None:
        if part.effects and sample_rate != 44100:
            raise AudioTransferError(
                f"part {part.name!r}: effects need 44100 Hz, not {sample_rate}"
            )
        self.part, self._instrument = part, instrument
        self.chain = _chain(part.effects)
        self._gain = np.float32(10.0 ** (instrument.description.mix_db / 20.0))
        self._voices: Sequence[Voice] = instrument.voices(_pedalled(part))
        self._next = 0
        self._begin = 0
        self._sound = np.zeros((instrument.channels, 0), dtype=np.float32)

    @property
    def end(self) -> int:
        """Sample at which the last note has rung out."""
        return max((voice.onset + voice.length for voice in self._voices), default=0)

    def read(self, start: int, stop: int, total: int) -> NDArray[np.float32]:
        """Dry sound ``[C, stop - start]`` at the instrument's level; 0 before the song.

        What lies before ``start`` is dropped. Notes that begin at ``total`` or later are left out.
        """
        last = self._next
        while last < len(self._voices) and self._voices[last].onset < min(stop, total):
            last += 1
        new = self._voices[self._next : last]
        begin = max(0, start)
        kept = self._sound[:, begin - self._begin :]
        end = max(
            stop,
            begin + kept.shape[1],
            max((voice.onset + voice.length for voice in new), default=0),
        )
        self._sound = np.zeros((len(kept), end - begin), dtype=np.float32)
        self._sound[:, : kept.shape[1]] = kept
        self._begin, self._next = begin, last
        for voice in new:
            voice.add(self._sound[:, voice.onset - begin : voice.onset - begin + voice.length])
        window = self._gain * self._sound[:, : stop - begin]
        return np.pad(window, ((0, 0), (begin - start, 0))) if start < 0 else window

    def mixed(
        self, window: NDArray[np.float32], drums: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """The window with the part's effects, level and pan: ``[2, T]``."""
        # Silence stays silence in every effect.
        if self.chain is not None and window.any():
            import torch

            kick = None if drums is None else torch.from_numpy(drums)
            with torch.inference_mode():
                window = self.chain(torch.from_numpy(window), kick).numpy()
        level = 10.0 ** (self.part.level_db / 20.0)
        angle = (min(max(self.part.pan, -1.0), 1.0) + 1.0) * np.pi / 4.0
        gains = level * np.array([[np.cos(angle)], [np.sin(angle)]])
        if len(window) == 2:
            gains *= np.sqrt(2.0)
        mixed: NDArray[np.float32] = window * gains.astype(np.float32)
        return mixed


def _pedalled(part: EnsemblePart) -> NDArray[np.float64]:
    """The part's notes, those that end while the pedal is down prolonged to its release."""
    notes = np.asarray(part.notes, dtype=np.float64).reshape(-1, 4)
    if not len(part.pedal):
        return notes
    down, up = part.pedal[np.argsort(part.pedal[:, 0])].T
    ends = notes[:, 0] + notes[:, 1]
    press = np.searchsorted(down, ends, side="right") - 1
    held = (press >= 0) & (ends < up[press])
    notes = notes.copy()
    notes[held, 1] = up[press[held]] - notes[held, 0]
    return notes


def _chain(effects: Sequence[Mapping[str, Any]]) -> Chain | None:
    if not effects:
        return None
    from audiotransfer.effects import read_chain  # loads torch

    return read_chain(effects)


def _summed(stems: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    mix = stems[0].copy()
    for stem in stems[1:]:
        mix += stem
    return mix


def peak_gain(peak: float) -> float:
    """Gain that brings a peak above 0.9 down to it."""
    return min(1.0, PEAK / peak) if peak > 0.0 else 1.0
