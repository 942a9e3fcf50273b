"""What an instrument is, read from its ``instrument.json``: range, level, licence, samples.

A folder of ``audiotransfer/synthesis/instruments`` holds the sound files of one instrument beside
it. Nothing here loads numpy.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from audiotransfer.errors import AudioTransferError
from audiotransfer.typed import WrongValue, read_mapping

FILE = "instrument.json"


@dataclass(frozen=True)
class SampleDescription:
    """A recorded note or hit, and the keys and velocities that it plays.

    ``frames`` counts samples at 44.1 kHz; the loop is ``loop_start`` up to ``loop_end``.
    ``root_midi`` is the recorded pitch as a fractional MIDI note. ``gain_db`` brings the recording
    to the common level of velocity 127. ``attack_ms`` is the time from its start to half of its
    amplitude. Without ``release_s`` the sound rings to its end however short the note is.
    """

    file: str
    frames: int
    gain_db: float
    attack_ms: float
    low_velocity: int
    high_velocity: int
    root_midi: float | None = None
    low_key: int = 0
    high_key: int = 127
    keys: tuple[int, ...] = ()
    """Of a kit: General MIDI keys, instead of ``low_key`` and ``high_key``."""
    round_robin: int = 1
    loop_start: int | None = None
    loop_end: int | None = None
    release_s: float | None = None
    choke_group: str | None = None
    """Notes of one group cut each other off, as a closed hi-hat does an open one."""


@dataclass(frozen=True)
class InstrumentDescription:
    """An instrument of the package: its range, General MIDI program, level, licence and samples.

    ``program`` counts from 0 and is, of a kit (``drums``), the number of a General MIDI kit.
    ``mix_db`` brings typical notes to the level of the instrument's role (see `Ensemble`).
    ``soft_cutoff_hz`` is the cutoff of a low-pass filter at velocity 1, which opens with velocity.
    """

    title: str
    licence: str
    credit: str
    source: str
    changes: str
    program: int
    drums: bool
    channels: int
    mix_db: float
    samples: tuple[SampleDescription, ...]
    low_key: int = 0
    high_key: int = 127
    soft_cutoff_hz: float | None = None
    vibrato_hz: float = 0.0
    vibrato_cents: float = 0.0
    vibrato_delay_s: float = 0.0


def read_description(folder: Path) -> InstrumentDescription:
    """Reads the ``instrument.json`` of a folder; AudioTransferError where it is none."""
    path = folder / FILE
    try:
        return read_mapping(json.loads(path.read_text("utf-8")), InstrumentDescription)
    except (OSError, ValueError, WrongValue) as error:
        raise AudioTransferError(f"{path} describes no instrument ({error})") from None
