"""Configs: YAML files with a base and a difference, read into a typed dataclass."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from audiotransfer.errors import AudioTransferError
from audiotransfer.renamed import CONFIGS, notice, present_sections, present_settings

Schema = TypeVar("Schema")
SUFFIX = ".yaml"


def load_config(
    name_or_path: str | Path,
    overrides: Sequence[str],
    schema: type[Schema] | Callable[[Sequence[str]], type[Schema]],
) -> Schema:
    """Read a config, what it is based on and `key=value` changes into a dataclass.

    A file may start from another one (`base: NAME`, beside it or among the configs) and then holds
    only what differs. Later wins: base, file, overrides. Keys of nested dataclasses are written
    with dots. Fields may be bool, int, float, str, Path, Literal, X | None, tuples, lists and
    dicts of these, and dataclasses.

    Args:
        name_or_path: a path, or a name that is looked for in ./configs and in the package.
        overrides: such as "trainer.steps=100".
        schema: a dataclass, or what gives one for the first keys that the config has; a field
            without a default must be set.

    Raises:
        AudioTransferError: not found, not readable, an unknown key, a value of the wrong type.
    """
    path = find_config(name_or_path)
    try:
        layers = [_plain(layer) for layer in (*_with_bases(path, ()), _dotlist(overrides))]
        if not isinstance(schema, type):
            schema = schema(list(dict.fromkeys(key for layer in layers for key in layer)))
        merged = OmegaConf.merge(*(present_settings(layer, schema) for layer in layers))
        plain = OmegaConf.to_container(merged, resolve=True)
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise AudioTransferError(f"config {path.name}: {reason}; correct it") from error
    try:
        return cast(Schema, _typed(plain, schema, ""))
    except _Wrong as error:
        raise AudioTransferError(f"config {path.name}: {error}") from None


def _plain(layer: DictConfig) -> dict[str, Any]:
    """A layer of a config as plain values, its sections under their present names."""
    return present_sections(cast(dict[str, Any], OmegaConf.to_container(layer)))


def read_settings(values: Mapping[str, Any], schema: type[Schema], where: str) -> Schema:
    """Read plain values into a dataclass, as `load_config` does with a file's; `where` they stand.

    Raises:
        AudioTransferError: an unknown key (the nearest is named), a value of the wrong type.
    """
    try:
        return cast(Schema, _typed(dict(values), schema, where))
    except _Wrong as error:
        raise AudioTransferError(str(error)) from None


def find_config(name_or_path: str | Path, beside: Path | None = None) -> Path:
    """Return the file of a config: a path as it stands, else a name (without .yaml).

    Raises:
        AudioTransferError: there is none; the nearest names are given.
    """
    asked = Path(name_or_path)
    folders = [*([beside] if beside else []), Path("configs"), *_package_folders()]
    if asked.suffix == SUFFIX:
        candidates = [*([beside / asked] if beside else []), asked, *(f / asked for f in folders)]
    else:
        candidates = [folder / f"{asked}{SUFFIX}" for folder in folders]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    if (present := CONFIGS.get(asked.as_posix().removesuffix(SUFFIX))) is not None:
        notice(f"config {asked}", present)
        return find_config(present)
    known = sorted(
        {
            file.relative_to(folder).with_suffix("").as_posix()
            for folder in folders
            if folder.is_dir()
            for file in folder.rglob(f"*{SUFFIX}")
        }
    )
    hint = _nearest(asked.as_posix().removesuffix(SUFFIX), known)
    raise AudioTransferError(f"config {str(name_or_path)!r} is not there; {hint}")


class _Wrong(Exception):
    """What is wrong with a value, without the file's name."""


def _package_folders() -> list[Path]:
    package = Path(str(resources.files("audiotransfer")))
    return [package / "configs", package.parent / "configs"]  # installed, and in a checkout


def _with_bases(path: Path, seen: tuple[Path, ...]) -> list[DictConfig]:
    """The configs that a file is based on, the most basic first, and its own."""
    path = path.resolve()
    if path in seen:
        chain = " → ".join(p.stem for p in (*seen, path))
        raise AudioTransferError(f"config {path.name}: base goes in a circle ({chain}); break it")
    try:
        config = OmegaConf.load(path)
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        reason = " ".join(str(error).split())
        raise AudioTransferError(f"config {path}: not readable as YAML ({reason})") from error
    if not isinstance(config, DictConfig):
        raise AudioTransferError(f"config {path}: holds a list; write key: value lines")
    base = config.pop("base", None)
    if base is None:
        return [config]
    return [*_with_bases(find_config(str(base), path.parent), (*seen, path)), config]


def _dotlist(overrides: Sequence[str]) -> DictConfig:
    for override in overrides:
        key, sign, _ = override.partition("=")
        if not sign or not key.strip():
            raise AudioTransferError(f"setting {override!r} is not understood; write key=value")
    try:
        return OmegaConf.from_dotlist(list(overrides))
    except YAMLError as error:
        given = " ".join(overrides)
        raise AudioTransferError(f"settings {given!r} are not readable as YAML values") from error


def _typed(value: Any, kind: Any, where: str) -> Any:
    """Return `value` as `kind`; a whole number passes as a float, nothing else is converted."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _dataclass(value, cast(type, kind), where)
    if origin in (typing.Union, types.UnionType):
        return _one_of(value, arguments, where)
    if origin is Literal:
        if value not in arguments:
            raise _Wrong(f"{where} is {value!r}; {_nearest(str(value), map(str, arguments))}")
        return value
    if origin is tuple and isinstance(value, list):
        if arguments[-1] is Ellipsis:
            return tuple(_typed(v, arguments[0], f"{where}[{i}]") for i, v in enumerate(value))
        if len(value) == len(arguments):
            pairs = zip(value, arguments, strict=True)
            return tuple(_typed(v, a, f"{where}[{i}]") for i, (v, a) in enumerate(pairs))
    if origin is list and isinstance(value, list):
        return [_typed(v, arguments[0], f"{where}[{i}]") for i, v in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {k: _typed(v, arguments[1], f"{where}.{k}") for k, v in value.items()}
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and type(value) is int:
        return float(value)
    if kind in (bool, int, float, str, types.NoneType) and type(value) is kind:
        return value
    raise _Wrong(f"{where} is {value!r}, but must be {_name(kind)}")


def _dataclass(value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise _Wrong(f"{where or 'the file'} is {value!r}, but must hold key: value lines")
    prefix = f"{where}." if where else ""
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    for key in value:
        if key not in fields:
            raise _Wrong(f"key {prefix}{key} is unknown; {_nearest(str(key), fields, prefix)}")
    for name, field in fields.items():
        empty = dataclasses.MISSING
        if name not in value and field.default is empty and field.default_factory is empty:
            raise _Wrong(f"key {prefix}{name} is missing; set it to {_name(hints[name])}")
    return kind(**{str(k): _typed(v, hints[str(k)], f"{prefix}{k}") for k, v in value.items()})


def _one_of(value: Any, kinds: tuple[Any, ...], where: str) -> Any:
    """Return `value` as the first kind that takes it; a mapping's complaint is the deepest one."""
    complaints = []
    for kind in kinds:
        try:
            return _typed(value, kind, where)
        except _Wrong as error:
            complaints.append(error)
            if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
                raise
    raise _Wrong(f"{where} is {value!r}, but must be {' or '.join(map(_name, kinds))}")


def _nearest(name: str, known: Iterable[str], prefix: str = "") -> str:
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    if near:
        return f"nearest is {prefix}{near[0]}"
    if not known:
        return "nothing is known here"
    return f"there are {', '.join(prefix + name for name in known)}"


def _name(kind: Any) -> str:
    if kind is types.NoneType:
        return "null"
    if typing.get_origin(kind) is not None or not isinstance(kind, type):
        return str(kind).replace("typing.", "")
    return kind.__name__
