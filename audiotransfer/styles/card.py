"""The card of a style: its stems, how it was trained, and the checksums of its weights.

A card is ``card.json`` in the style's folder. Reading one imports no torch, so that listing styles
is instant.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audiotransfer.atomic import write_bytes
from audiotransfer.errors import AudioTransferError
from audiotransfer.renamed import present_keys
from audiotransfer.typed import WrongValue, read_mapping

SCHEMA = 1
CARD_NAME = "card.json"
KEEP = "keep"
ROUTES = ("spectral", "symbolic", "waveform")
AUTO = ("", "cover", "timbre")
#: Route -> the kind of input that its styles transfer.
PLAYS = {"spectral": "recordings", "symbolic": "MIDI files", "waveform": "recordings"}
# Names of styles and stems become parts of file names and of `--stem NAME=STYLE@STRENGTH`.
NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
# These words have a meaning of their own in `--stem NAME=` and in `remix`.
RESERVED = frozenset({"keep", "mute", "dry", "cover", "timbre"})
# Option of a stem's entry: the reason why its spectrograms cannot become sound.
SILENT = "silent"
#: The option of a stem's entry that is its level (dB) in the songs that the style was made from,
#: relative to the songs.
LEVEL = "level"
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Beside the card, or in the folder of a style beside this one.
_BAND = re.compile(r"(\.\./[A-Za-z0-9_-]+/)?[^/\\]+\.yaml")
# Beside the card, or in a folder beside the style's that several styles share.
_WEIGHTS = re.compile(r"(\.\./[A-Za-z0-9_-]+/)?[^/\\]+\.safetensors")


@dataclass(frozen=True)
class StemEntry:
    """The transfer of one stem: its route, its weights file, and the stem's name in that file."""

    route: str
    weights: str
    stem: str
    spectrogram: dict[str, Any] = field(default_factory=dict)
    """Settings of the spectrogram (see ``vocoder.Spectrogram``) that the network was trained on."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further settings, read by the route alone."""

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def _files(entry: StemEntry) -> list[str]:
    """The weights that a stem's transfer reads."""
    options = [value for value in entry.options.values() if isinstance(value, str)]
    return [entry.weights, *(value for value in options if value.endswith(".safetensors"))]


@dataclass(frozen=True)
class Card:
    """The content of ``card.json``.

    Raises :class:`AudioTransferError` where fields contradict each other.
    """

    name: str
    description: str
    """How songs in this style sound, in a sentence."""
    stems: dict[str, StemEntry | None]
    """Stem name -> its entry; ``None`` (``"keep"`` in the file) leaves the stem alone."""
    weights: dict[str, str]
    """Weights file -> sha256 of its bytes. ``../FOLDER/FILE`` is one that styles share."""
    route: str = "spectral"
    effects: dict[str, Any] = field(default_factory=dict)
    """Stem name -> effects that follow its transfer (see ``audiotransfer.effects``)."""
    networks: dict[str, Any] = field(default_factory=dict)
    """Network name -> its sizes."""
    corpora: list[dict[str, Any]] = field(default_factory=list)
    """Each with ``name`` and ``licence``."""
    seed: int = 0
    steps: int = 0
    hardware: str = ""
    hours: float = 0.0
    figures: dict[str, Any] = field(default_factory=dict)
    """Measured figures beside those of the baselines."""
    config: dict[str, Any] = field(default_factory=dict)
    """The resolved configuration that trained it."""
    band: str = ""
    """File in the style's folder that says how a cover is arranged (see ``audiotransfer.cover``);
    empty without. ``../FOLDER/FILE`` is one that styles share. A style with one needs no stems
    and no weights."""
    auto: str = ""
    """Mode of recordings in this style that name none: ``cover`` or ``timbre``; empty is timbre
    where the style has it."""
    package_version: str = ""
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise AudioTransferError(
                f"card of style {self.name!r} has schema {self.schema!r}, this version reads"
                f" {SCHEMA}:"
                " install the audiotransfer that wrote it"
            )
        if not NAME.fullmatch(self.name) or self.name in RESERVED:
            raise AudioTransferError(
                f"style name {self.name!r}: use small letters, digits, - and _,"
                f" and none of {', '.join(sorted(RESERVED))}"
            )
        for route in (self.route, *(entry.route for entry in self.stems.values() if entry)):
            if route not in ROUTES:
                raise AudioTransferError(
                    f"style {self.name!r} names the route {route!r}: there are {', '.join(ROUTES)}"
                )
        for stem, entry in self.stems.items():
            if not NAME.fullmatch(stem):
                raise AudioTransferError(
                    f"style {self.name!r} has the stem {stem!r}: use small letters"
                )
            for file in _files(entry) if entry is not None else ():
                if file not in self.weights:
                    raise AudioTransferError(
                        f"style {self.name!r}: stem {stem} wants {file!r}, whose sha256 the card"
                        " does not give"
                    )
        for stem in self.effects:
            if self.stems.get(stem) is None:
                raise AudioTransferError(
                    f"style {self.name!r} has effects for {stem!r}, which it does not transfer"
                )
        if self.band and not _BAND.fullmatch(self.band):
            raise AudioTransferError(
                f"style {self.name!r} names the band {self.band!r}: it must be a .yaml beside the"
                " card, or ../FOLDER/FILE beside the style"
            )
        if self.auto not in AUTO or (self.auto == "cover" and not self.band):
            raise AudioTransferError(
                f"style {self.name!r} has {self.auto!r} for the mode auto: expected cover, which"
                " needs a band, or timbre"
            )
        for file, digest in self.weights.items():
            if not _WEIGHTS.fullmatch(file):
                raise AudioTransferError(
                    f"style {self.name!r} names the weights {file!r}: they must be a"
                    " .safetensors beside the card, or ../FOLDER/FILE beside the style"
                )
            if not _SHA256.fullmatch(digest):
                raise AudioTransferError(f"style {self.name!r}: {digest!r} for {file} is no sha256")

    def to_dict(self) -> dict[str, Any]:
        """The card as plain JSON values, which :meth:`from_dict` reads."""
        values = {spec.name: getattr(self, spec.name) for spec in dataclasses.fields(self)}
        values["stems"] = {
            stem: entry.to_dict() if entry else KEEP for stem, entry in self.stems.items()
        }
        return {"schema": values.pop("schema"), **values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Card:
        """Reads the values of a ``card.json``.

        Raises :class:`AudioTransferError`: a field is unknown, missing or of the wrong type, or the
        card is of another version.
        """
        label = f"card of style {values.get('name', '?')!r}"
        if values.get("schema", SCHEMA) != SCHEMA:
            raise AudioTransferError(
                f"{label} has schema {values['schema']!r}, this version reads {SCHEMA}:"
                " install the audiotransfer that wrote it"
            )
        plain = dict(values)
        if isinstance(stems := plain.get("stems"), Mapping):
            route = plain.get("route", "spectral")
            plain["stems"] = {
                stem: _plain_entry(entry, stem, route, label) for stem, entry in stems.items()
            }
        try:
            return read_mapping(plain, cls)
        except WrongValue as error:
            raise AudioTransferError(f"{label}: {error}") from None


def _plain_entry(entry: Any, stem: str, route: str, label: str) -> dict[str, Any] | None:
    """A stem's entry as the file has it, with the defaults of its card; ``None`` for ``"keep"``."""
    if entry == KEEP:
        return None
    if not isinstance(entry, Mapping):
        raise AudioTransferError(
            f"{label}: stem {stem} is {entry!r}, expected {KEEP!r} or an object"
        )
    return {"route": route, "stem": stem, **present_keys(entry, label)}


def read_card(folder: str | Path) -> Card:
    """Reads the card in a style's folder.

    Raises :class:`AudioTransferError`: there is none, or it is damaged.
    """
    path = Path(folder) / CARD_NAME
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AudioTransferError(
            f"{folder} is no style: it has no {CARD_NAME}; of a folder of songs `audiotransfer "
            "train --style NAME --from FOLDER` makes one"
        ) from None
    except (OSError, ValueError) as error:
        raise AudioTransferError(
            f"{path} cannot be read ({error}): install the style again"
        ) from None
    if not isinstance(values, dict):
        raise AudioTransferError(
            f"{path} is no card: expected a JSON object, found {type(values).__name__}"
        )
    return Card.from_dict(values)


def write_card(folder: str | Path, card: Card) -> Path:
    """Writes ``card.json`` atomically and returns its path.

    Raises :class:`AudioTransferError` where it cannot be written.
    """
    path = Path(folder) / CARD_NAME
    text = json.dumps(card.to_dict(), indent=1, ensure_ascii=False) + "\n"
    write_bytes(path, text.encode(), overwrite=True)
    return path


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; computed once as long as the file is the same."""
    path = Path(path)
    state = path.stat()
    return _sha256(path, state.st_ino, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _sha256(path: Path, _inode: int, _size: int, _modified: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_playable(card: Card) -> None:
    """Raises :class:`AudioTransferError` for a style whose spectrograms cannot become sound."""
    for entry in card.stems.values():
        if entry is not None and (why := entry.options.get(SILENT)):
            raise AudioTransferError(f"style {card.name!r} plays no songs: {why}")


def check_weights(folder: str | Path, card: Card) -> None:
    """Compares each weights file with the card's SHA-256.

    Raises :class:`AudioTransferError` for a file that is missing or has another one.
    """
    for file, digest in card.weights.items():
        path = Path(folder) / file
        if not path.is_file():
            raise AudioTransferError(
                f"style {card.name!r}: {path} is missing: install the style again"
            )
        found = sha256(path)
        if found != digest:
            raise AudioTransferError(
                f"style {card.name!r}: {path} is damaged or foreign (sha256 {found[:12]}…,"
                f" the card says {digest[:12]}…): install the style again"
            )
