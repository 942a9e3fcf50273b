"""SoundFont files (SF2, and SF3 with Vorbis samples): presets, their zones and samples.

Source: SoundFont Technical Specification 2.04, E-mu Systems 2006.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.errors import AudioTransferError
from audiotransfer.synthesis.generators import (
    DEFAULT_MODULATORS,
    DEFAULTS,
    INSTRUMENT,
    KEY_RANGE,
    NOT_IN_PRESETS,
    SAMPLE,
    VELOCITY_RANGE,
    Modulator,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Bank of the percussion kits.
DRUM_BANK = 128

_VORBIS = 0x10
_RECORDS = {
    "phdr": np.dtype(
        [("name", "S20"), ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("rest", "V12")]
    ),
    "inst": np.dtype([("name", "S20"), ("bag", "<u2")]),
    "bag": np.dtype([("generators", "<u2"), ("modulators", "<u2")]),
    "gen": np.dtype([("generator", "<u2"), ("amount", "<i2")]),
    "mod": np.dtype(
        [
            ("source", "<u2"),
            ("destination", "<u2"),
            ("amount", "<i2"),
            ("amount_source", "<u2"),
            ("transform", "<u2"),
        ]
    ),
    "shdr": np.dtype(
        [
            ("name", "S20"),
            ("start", "<u4"),
            ("end", "<u4"),
            ("loop_start", "<u4"),
            ("loop_end", "<u4"),
            ("rate", "<u4"),
            ("key", "u1"),
            ("correction", "i1"),
            ("link", "<u2"),
            ("type", "<u2"),
        ]
    ),
}


@dataclass(frozen=True)
class Sample:
    """A recorded sound.

    ``start`` and ``end`` are its place in the file (samples, or bytes of Vorbis), ``loop`` is
    relative to its start (samples), ``rate`` in Hz, ``key`` the MIDI key of its pitch,
    ``correction`` in cents.
    """

    start: int
    end: int
    loop: tuple[int, int]
    rate: int
    key: int
    correction: int
    compressed: bool


@dataclass(frozen=True)
class Zone:
    """A sample and the parameters with which a preset plays it, for a range of keys and velocities.

    ``generators`` maps the specification's numbers to amounts, those of instrument and preset
    added.
    """

    sample: Sample
    keys: tuple[int, int]
    velocities: tuple[int, int]
    generators: dict[int, int]
    modulators: tuple[Modulator, ...]

    def sounds_at(self, key: int, velocity: int) -> bool:
        """Whether a note of this key and velocity plays the zone."""
        low, high = self.keys
        soft, loud = self.velocities
        return low <= key <= high and soft <= velocity <= loud


@dataclass
class _Bag:
    """Generators and modulators of one zone of a preset or an instrument, as in the file."""

    generators: dict[int, int] = field(default_factory=dict)
    modulators: dict[tuple[int, ...], Modulator] = field(default_factory=dict)

    def over(self, base: _Bag) -> _Bag:
        """This zone, completed by the settings of ``base``, the global zone of its list."""
        return _Bag(base.generators | self.generators, base.modulators | self.modulators)


class SoundFont:
    """An SF2 or SF3 file; its samples are read when they are played.

    Raises AudioTransferError where the file cannot be read or is no SoundFont.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._bytes: NDArray[np.uint8] = np.memmap(path, dtype=np.uint8, mode="r")
            chunks = dict(_chunks(self._bytes))
            self._samples = chunks["smpl"]
            self._tables = {name: _records(chunks, name) for name in _TABLES}
        except (OSError, KeyError, ValueError) as error:
            reason = f"it has no {error} part" if isinstance(error, KeyError) else str(error)
            raise AudioTransferError(f"soundfont {path} cannot be read: {reason}") from error
        self._zones: dict[tuple[int, int], tuple[Zone, ...]] = {}
        self._vorbis = lru_cache(maxsize=128)(self._decode)

    @cached_property
    def presets(self) -> dict[tuple[int, int], str]:
        """Names of the presets by (bank, program)."""
        return {
            (int(preset["bank"]), int(preset["program"])): _text(preset["name"])
            for preset in reversed(self._tables["phdr"][:-1])
        }

    def zones(self, bank: int, program: int) -> tuple[Zone, ...]:
        """All zones of a preset, of all its instruments.

        Raises AudioTransferError where there is no such preset, or where its part of the file is
        damaged.
        """
        place = (bank, program)
        if place not in self.presets:
            raise AudioTransferError(
                f"soundfont {self.path} has no preset {program} in bank {bank}"
            )
        if place not in self._zones:
            try:
                self._zones[place] = tuple(self._compose(*place))
            except IndexError as error:
                raise AudioTransferError(
                    f"soundfont {self.path} is damaged: preset {self.presets[place]!r} names what "
                    "is not there"
                ) from error
        return self._zones[place]

    def sound(self, sample: Sample) -> NDArray[Any]:
        """A sample's sound ``[T]``: 16-bit integers, or float32 where it was compressed.

        Raises AudioTransferError where a compressed sample is damaged.
        """
        if sample.compressed:
            return self._vorbis(sample)
        return self._samples[2 * sample.start : 2 * sample.end].view("<i2")

    def _decode(self, sample: Sample) -> NDArray[np.float32]:
        import soundfile

        data = io.BytesIO(self._samples[sample.start : sample.end].tobytes())
        try:
            sound, _ = soundfile.read(data, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise AudioTransferError(
                f"soundfont {self.path} has a damaged sample: {error.error_string}"
            ) from error
        return np.ascontiguousarray(sound[:, 0])

    def _compose(self, bank: int, program: int) -> Iterator[Zone]:
        headers = self._tables["phdr"]
        match = (headers["bank"][:-1] == bank) & (headers["program"][:-1] == program)
        for of_preset in self._bags("p", headers, int(np.flatnonzero(match)[0]), INSTRUMENT):
            instrument = of_preset.generators[INSTRUMENT]
            for of_instrument in self._bags("i", self._tables["inst"], instrument, SAMPLE):
                zone = self._zone(of_preset, of_instrument)
                if zone is not None:
                    yield zone

    def _zone(self, of_preset: _Bag, of_instrument: _Bag) -> Zone | None:
        """Combination of a preset's and an instrument's zone; None where no note plays it."""
        ours, theirs = of_instrument.generators, of_preset.generators
        keys, velocities = (
            _overlap(_range(ours.get(kind)), _range(theirs.get(kind)))
            for kind in (KEY_RANGE, VELOCITY_RANGE)
        )
        sample = self._sample(ours[SAMPLE])
        if sample is None or keys[0] > keys[1] or velocities[0] > velocities[1]:
            return None
        amounts = DEFAULTS | ours
        for generator, amount in theirs.items():
            if generator in DEFAULTS and generator not in NOT_IN_PRESETS:
                amounts[generator] += amount
        modulators = DEFAULT_MODULATORS | of_instrument.modulators
        return Zone(
            sample,
            keys,
            velocities,
            amounts,
            (*modulators.values(), *of_preset.modulators.values()),
        )

    def _bags(self, kind: str, headers: NDArray[Any], index: int, target: int) -> Iterator[_Bag]:
        """Zones of a preset or an instrument with generator ``target``, on its global zone."""
        if not 0 <= index < len(headers) - 1:
            raise IndexError(index)
        bags, generators = self._tables[f"{kind}bag"], self._tables[f"{kind}gen"]
        modulators = self._tables[f"{kind}mod"]
        base = _Bag()
        first, last = int(headers["bag"][index]), int(headers["bag"][index + 1])
        for number in range(first, last):
            this, following = bags[number], bags[number + 1]
            bag = _Bag()
            for record in generators[this["generators"] : following["generators"]]:
                bag.generators[int(record["generator"])] = int(record["amount"])
            for record in modulators[this["modulators"] : following["modulators"]]:
                modulator = Modulator(*(int(value) for value in record))
                bag.modulators[modulator.identity] = modulator
            if target in bag.generators:
                yield bag.over(base)
            elif number == first:
                base = bag

    def _sample(self, index: int) -> Sample | None:
        """A sample's header, or None where it is empty or in a sound module's ROM."""
        headers = self._tables["shdr"]
        if not 0 <= index < len(headers) - 1:
            raise IndexError(index)
        record = headers[index]
        compressed = bool(record["type"] & _VORBIS)
        start = int(record["start"])
        limit = len(self._samples) // (1 if compressed else 2)
        end = min(int(record["end"]), limit)
        if start >= end or record["rate"] == 0 or record["type"] & 0x8000:
            return None
        # Loops are relative to the file's first sample, or to the sound's own if it is compressed.
        origin = 0 if compressed else start
        loop = (int(record["loop_start"]) - origin, int(record["loop_end"]) - origin)
        # Keys above 127 mark sounds without a pitch; the specification uses 60 for them.
        key = int(record["key"]) if record["key"] < 128 else 60
        correction = int(record["correction"])
        return Sample(start, end, loop, int(record["rate"]), key, correction, compressed)


_TABLES = ("phdr", "pbag", "pmod", "pgen", "inst", "ibag", "imod", "igen", "shdr")


def _chunks(data: NDArray[np.uint8]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Name and content of each chunk in a RIFF file's lists."""
    if data[:4].tobytes() != b"RIFF" or data[8:12].tobytes() != b"sfbk":
        raise ValueError("it is no SoundFont 2 file")
    at, end = 12, len(data)
    while at + 8 <= end:
        name = data[at : at + 4].tobytes().decode("latin-1")
        size = int(data[at + 4 : at + 8].view("<u4")[0])
        if name == "LIST":
            at += 12
            continue
        yield name, data[at + 8 : min(at + 8 + size, end)]
        at += 8 + size + size % 2


def _records(chunks: dict[str, NDArray[np.uint8]], name: str) -> NDArray[Any]:
    """A table of the file as a record array."""
    dtype = _RECORDS[name if name in _RECORDS else name[1:]]
    content = chunks[name]
    records = np.frombuffer(content[: len(content) // dtype.itemsize * dtype.itemsize], dtype=dtype)
    if not len(records) and not name.endswith("mod"):
        raise ValueError(f"its {name} part is empty")
    return records


def _range(amount: int | None) -> tuple[int, int]:
    """Lowest and highest value of a range, which are packed into one amount."""
    return (0, 127) if amount is None else (amount & 0xFF, amount >> 8 & 0xFF)


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return max(one[0], other[0]), min(one[1], other[1])


def _text(name: bytes) -> str:
    return name.split(b"\0")[0].decode("latin-1").strip()
