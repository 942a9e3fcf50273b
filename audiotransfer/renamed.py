"""Names of version 0.1.0 in configs, cards and manifests, mapped to their present names.

Files that hold an old name are read for one more release, with one line that names the new one.
"""

from __future__ import annotations

import dataclasses
import logging
import typing
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any

#: Name of a config of 0.1.0 -> its present name.
CONFIGS = {
    "band-bass": "templates-bass",
    "band-drums": "templates-drums",
    "band-other": "templates-other",
    "band-together": "templates-together",
    "bands": "ensembles",
    "bands-test": "ensembles-test",
    "genre-classifier": "midi-classifier",
    "genre-counter": "midi-classifier-counts",
    "genre-listener": "midi-classifier-beats",
    "judge": "audio-genre-classifier",
    "judge-songs": "genre-songs",
    "paired-critics": "paired-discriminators",
    "tagger": "instrument-classifier",
}
#: Section of a config of 0.1.0 (a recipe's settings) -> its present name.
SECTIONS = {
    "bach": "accompaniment",
    "bands": "templates",
    "judge": "genre_classifier",
    "score_judge": "midi_classifier",
    "tagger": "instrument_classifier",
}
#: Word in a key -> the word that took its place.
WORDS = {
    "picture": "spectrogram",
    "pictures": "spectrograms",
    "critic": "discriminator",
    "critics": "discriminators",
    "headline": "checkpoint_metric",
    "hearing": "network",
    "judge": "classifier",
    "packs": "archives",
}
#: Key of a config, with those above it -> its present name, where no word of it alone says so.
KEYS = {"accompaniment.game": "wasserstein"}
#: Folder of rendered songs that a config names -> what 0.1.0 called it.
FOLDERS = {"ensembles": "bands", "genre-songs": "judge-songs"}
#: Name of a folder of a shipped style -> its present name.
STYLES = {"classical-score": "classical-midi", "jazz-score": "jazz-midi", "pop-score": "pop-midi"}
_RELEASE = "0.3"
logger = logging.getLogger(__name__)


def present_key(key: str) -> str:
    """The present name of a key, such as ``spectrogram`` for ``picture``."""
    return "_".join(WORDS.get(word, word) for word in key.split("_"))


def present_keys(values: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """The values under present names, at the first level; ``where`` is named in the notice."""
    found = {}
    for key, value in values.items():
        new = present_key(key)
        if new != key:
            notice(f"{where}: {key}".removeprefix(": "), new)
        found[new] = value
    return found


def present_sections(values: Mapping[str, Any]) -> dict[str, Any]:
    """A config with its sections under their present names."""
    found = {}
    for key, value in values.items():
        new = SECTIONS.get(key, key)
        if new != key and isinstance(value, Mapping) and new not in values:
            notice(f"section {key}", new)
            key = new
        found[key] = value
    return found


def present_settings(values: Any, schema: Any, where: str = "") -> Any:
    """A config's values with each old key under its present name.

    A key is old where ``schema``, a type of annotations, does not know it and knows the present
    one. Keys of ``dict[str, Any]``, whose schema is another's, are all renamed; those of other
    dicts are data and stay. ``where`` are the keys above, with dots.
    """
    if not isinstance(values, Mapping):
        return values
    if typing.get_origin(schema) in (typing.Union, UnionType):
        schema = next((one for one in typing.get_args(schema) if _holds_keys(one)), Any)
    prefix = f"{where}." if where else ""
    if typing.get_origin(schema) is dict:
        inner = typing.get_args(schema)[1]
        if inner is Any:
            return _present_words(values, prefix)
        return {
            key: present_settings(value, inner, f"{prefix}{key}") for key, value in values.items()
        }
    if not dataclasses.is_dataclass(schema):
        return values
    fields = typing.get_type_hints(schema)
    found = {}
    for key, value in values.items():
        new = KEYS.get(f"{prefix}{key}") or present_key(str(key))
        if key not in fields and new in fields and new not in values:
            notice(f"key {prefix}{key}", f"{prefix}{new}")
            key = new
        found[key] = present_settings(value, fields.get(key, Any), f"{prefix}{key}")
    return found


def present_folder(folder: Path) -> Path:
    """The folder; that of its old name where only this one is there.

    Folders of runs are named after their configs.
    """
    if folder.exists():
        return folder
    old_names = {present: old for old, present in CONFIGS.items()} | FOLDERS
    old = Path(*(old_names.get(part, part) for part in folder.parts))
    if not old.exists():
        return folder
    notice(f"folder {old}", str(folder))
    return old


@cache
def notice(old: str, new: str) -> None:
    """Logs, once, that something has another name now."""
    logger.warning("%s is now called %s; the old name is read until %s", old, new, _RELEASE)


def _holds_keys(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind) or typing.get_origin(kind) is dict


def _present_words(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Values, at all levels, under present keys; a kind of network is a name, too."""
    found = {}
    for key, value in values.items():
        new = present_key(str(key))
        if new != key:
            notice(f"key {prefix}{key}", f"{prefix}{new}")
        if isinstance(value, Mapping):
            value = _present_words(value, f"{prefix}{new}.")
        elif new == "kind" and isinstance(value, str):
            value = present_key(value)
        found[new] = value
    return found
