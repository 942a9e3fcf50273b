"""The card of a style: what it does, what it was made of, and how to know its weights again.

A card is ``card.json`` in the style's folder. Reading one needs no torch, so that listing styles is
instant.
"""

from __future__ import annotations

import dataclasses
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

SCHEMA = 1
CARD_NAME = "card.json"
KEEP = "keep"
ROUTES = ("spectral", "symbolic", "waveform")
#: Route -> what its styles are given.
PLAYS = {"spectral": "recordings", "symbolic": "MIDI files", "waveform": "recordings"}
# Names of styles and stems become parts of file names and of `--stem NAME=STYLE@STRENGTH`.
NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
# What these words mean behind `--stem NAME=` and in `remix` is taken.
RESERVED = frozenset({"keep", "mute", "dry"})
# The option of a stem's entry that says why it cannot be played on songs.
SILENT = "silent"
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Beside the card, or in a folder beside the style's, whose files several styles may share.
_WEIGHTS = re.compile(r"(\.\./[A-Za-z0-9_-]+/)?[^/\\]+\.safetensors")


@dataclass(frozen=True)
class StemEntry:
    """How one stem is transferred: by which route, from which weights file, under which name inside
    it.
    """

    route: str
    weights: str
    stem: str
    spectrogram: dict[str, Any] = field(default_factory=dict)
    """Settings of the spectrogram (see ``vocoder.Spectrogram``) that the network was trained on."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further settings which only the route understands."""

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Card:
    """Everything there is to say about a style. Raises :class:`AudioTransferError` where it
    contradicts itself.
    """

    name: str
    description: str
    """What one hears, in a sentence."""
    stems: dict[str, StemEntry | None]
    """Stem name -> its entry; ``None`` (``"keep"`` in the file) leaves the stem alone."""
    weights: dict[str, str]
    """Weights file -> sha256 of its bytes. ``../FOLDER/FILE`` is one that styles share."""
    route: str = "spectral"
    effects: dict[str, Any] = field(default_factory=dict)
    """Stem name -> what is done to it once it is played (see ``audiotransfer.effects``)."""
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
            if entry is not None and entry.weights not in self.weights:
                raise AudioTransferError(
                    f"style {self.name!r}: stem {stem} wants {entry.weights!r}, whose sha256"
                    " the card does not give"
                )
        for stem in self.effects:
            if self.stems.get(stem) is None:
                raise AudioTransferError(
                    f"style {self.name!r} has effects for {stem!r}, which it does not play"
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
        """The card as plain JSON values; :meth:`from_dict` takes them back."""
        values = {spec.name: getattr(self, spec.name) for spec in dataclasses.fields(self)}
        values["stems"] = {
            stem: entry.to_dict() if entry else KEEP for stem, entry in self.stems.items()
        }
        return {"schema": values.pop("schema"), **values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Card:
        """Checks every field's presence, name and type. Raises :class:`AudioTransferError` in one
        line.
        """
        label = f"card of style {values.get('name', '?')!r}"
        if values.get("schema", SCHEMA) != SCHEMA:
            raise AudioTransferError(
                f"{label} has schema {values['schema']!r}, this version reads {SCHEMA}:"
                " install the audiotransfer that wrote it"
            )
        plain = _typed(cls, values, label)
        stems: dict[str, StemEntry | None] = {}
        for stem, entry in plain["stems"].items():
            if entry == KEEP:
                stems[stem] = None
            elif isinstance(entry, Mapping):
                filled = {"route": plain.get("route", "spectral"), "stem": stem}
                filled |= present_keys(entry, label)
                stems[stem] = StemEntry(**_typed(StemEntry, filled, f"{label}, stem {stem}"))
            else:
                raise AudioTransferError(
                    f"{label}: stem {stem} is {entry!r}, expected {KEEP!r} or an object"
                )
        if not all(isinstance(digest, str) for digest in plain["weights"].values()):
            raise AudioTransferError(f"{label}: weights must give a sha256 for each file")
        return cls(**{**plain, "stems": stems})


_TYPES: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float)}


def _typed(schema: type, values: Mapping[str, Any], label: str) -> dict[str, Any]:
    """The values that `schema` (a dataclass) knows, each of the type that its annotation begins
    with.
    """
    specs = {spec.name: spec for spec in dataclasses.fields(schema)}
    for name in values:
        if name not in specs:
            raise AudioTransferError(
                f"{label}: unknown field {name!r}; there are {', '.join(specs)}"
            )
    for name, spec in specs.items():
        required = (
            spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING
        )
        if name not in values:
            if required:
                raise AudioTransferError(f"{label}: field {name!r} is missing")
            continue
        kind = str(spec.type).partition("[")[0]
        expected = _TYPES.get(kind, (dict,) if kind == "dict" else (list,))
        value = values[name]
        if not isinstance(value, expected) or isinstance(value, bool):
            raise AudioTransferError(f"{label}: field {name!r} is {value!r}, expected {spec.type}")
    return dict(values)


def read_card(folder: str | Path) -> Card:
    """The card in a style's folder. Raises :class:`AudioTransferError` where there is none or it is
    damaged.
    """
    path = Path(folder) / CARD_NAME
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AudioTransferError(f"{folder} is no style: it has no {CARD_NAME}") from None
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
    """Writes ``card.json`` whole or not at all. Raises :class:`AudioTransferError` in one line."""
    # heavy, and reading needs none of it

    path = Path(folder) / CARD_NAME
    text = json.dumps(card.to_dict(), indent=1, ensure_ascii=False) + "\n"
    write_bytes(path, text.encode(), overwrite=True)
    return path


def sha256(path: str | Path) -> str:
    """Digest of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_playable(card: Card) -> None:
    """Raises :class:`AudioTransferError` for a style of spectrograms that cannot become sound."""
    for entry in card.stems.values():
        if entry is not None and (why := entry.options.get(SILENT)):
            raise AudioTransferError(f"style {card.name!r} plays no songs: {why}")


def check_weights(folder: str | Path, card: Card) -> None:
    """Raises :class:`AudioTransferError` unless each weights file is there with the digest that the
    card gives.
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
