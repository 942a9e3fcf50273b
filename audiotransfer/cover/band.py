"""The band of a style, read from its ``band.yaml``: roles, instruments, timing and patterns."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from audiotransfer.errors import AudioTransferError
from audiotransfer.synthesis.room import DEFAULT_ROOM, Room
from audiotransfer.typed import WrongValue, read_mapping

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Timing:
    """When an instrument sounds against the beat.

    ``swing`` are pairs of tempo (beats per minute) and swing ratio (long to short eighth, 1 is
    straight, 2 a triplet), interpolated in between; ``lag`` are pairs of tempo and delay after the
    beat in ms; ``spread_ms`` is the standard deviation of single onsets. ``key_lag_ms`` are
    further delays of single keys of a kit.
    """

    swing: tuple[tuple[float, float], ...] = ()
    lag: tuple[tuple[float, float], ...] = ()
    spread_ms: float = 0.0
    key_lag_ms: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Ballad:
    """The instrument of a role in slow or quiet songs.

    It plays below a tempo (of the song's own beats per minute) or a mean energy (0..1).
    """

    instrument: str
    below_bpm: float = 0.0
    below_energy: float = 0.0


@dataclass(frozen=True)
class Role:
    """One part of the band.

    ``writer`` names the function that writes its notes (see `audiotransfer.cover.writers`),
    ``settings`` are its own. ``instruments`` are those that may play it; the first is the default.
    ``timings`` replace ``timing`` for single instruments of the role, ``levels`` in dB are added
    to ``level_db`` for them.
    """

    name: str
    writer: str
    instruments: tuple[str, ...]
    level_db: float = 0.0
    pan: float = 0.0
    timing: Timing = field(default_factory=Timing)
    timings: dict[str, Timing] = field(default_factory=dict)
    levels: dict[str, float] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    effects: tuple[dict[str, Any], ...] = ()
    """Effects of its first instrument, as in a style's card: ``{effect: amplifier, drive: 4}``."""
    ducked_by: str | None = None
    """Name of the role whose kick drum an effect ``ducking`` follows."""
    ballad: Ballad | None = None


@dataclass(frozen=True)
class Tempo:
    """Tempos in beats per minute below which the feel is doubled, and above which it is halved."""

    double_below: float = 0.0
    halve_above: float = 1e9


@dataclass(frozen=True)
class Harmony:
    """How a band reharmonises.

    Without ``sevenths`` chords are left as triads. ``share`` scales how many bars may get another
    root at high strength; 0 is none.
    """

    sevenths: bool = True
    share: float = 1.0


@dataclass(frozen=True)
class Band:
    """The content of a ``band.yaml``."""

    roles: tuple[Role, ...]
    description: str = ""
    tempo: Tempo = field(default_factory=Tempo)
    harmony: Harmony = field(default_factory=Harmony)
    room: Room = DEFAULT_ROOM
    """The room that the band is rendered in."""
    counts: str = ""
    """File of counts beside the ``band.yaml``, with a licence of its own; empty without."""
    folder: Path = Path()
    """Folder of the file."""

    def role(self, name: str) -> Role:
        """The role of this name. Raises AudioTransferError where there is none."""
        for role in self.roles:
            if role.name == name:
                return role
        names = ", ".join(role.name for role in self.roles)
        raise AudioTransferError(f"the band has no role {name!r}; it has {names}")


def settings_of(role: Role, schema: type[Settings]) -> Settings:
    """A role's settings as a dataclass. Raises AudioTransferError for an unknown or wrong key."""
    try:
        return read_mapping(role.settings, schema)
    except WrongValue as error:
        raise AudioTransferError(f"role {role.name}, settings: {error}") from None


def read_band(path: Path) -> Band:
    """Reads a ``band.yaml``.

    Raises AudioTransferError: the file is missing, no YAML, or has an unknown or wrong key.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise AudioTransferError(f"{path} cannot be read ({error})") from None
    try:
        return read_mapping({**dict(values), "folder": str(path.parent)}, Band)
    except (WrongValue, TypeError, ValueError) as error:
        raise AudioTransferError(f"{path}: {error}") from None
