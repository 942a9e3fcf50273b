"""Reads plain mappings, as from JSON and YAML, into typed dataclasses."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from audiotransfer.errors import AudioTransferError
from audiotransfer.suggest import nearest_or_all

Schema = TypeVar("Schema")
_PLURALS = {bool: "true or false", int: "whole numbers", float: "numbers", str: "texts"}


class WrongValue(AudioTransferError):
    """A value that does not fit its dataclass; the message names the key, not the file."""


def read_mapping(values: Mapping[str, Any], schema: type[Schema], where: str = "") -> Schema:
    """Builds a dataclass from plain values and checks the type of each.

    Fields may be bool, int, float, str, Path, Literal, X | None, tuples, lists and dicts of these,
    and dataclasses, which are read from mappings. A whole number passes as a float, a list as a
    tuple and a str as a Path; nothing else is converted.

    Args:
        schema: a dataclass; a field without a default must be given.
        where: key under which the values stand in their file, if any; part of messages.

    Raises:
        WrongValue: an unknown key (the nearest is named), a missing one, a value of the wrong type.
    """
    return cast(Schema, _dataclass(values, schema, where))


def _dataclass(value: Any, schema: type, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise WrongValue(f"{where or 'the file'} is {value!r}, but must hold key: value lines")
    prefix = f"{where}." if where else ""
    hints = typing.get_type_hints(schema)
    fields = {field.name: field for field in dataclasses.fields(schema) if field.init}
    for key in value:
        if key not in fields:
            hint = nearest_or_all(str(key), fields, prefix)
            raise WrongValue(f"key {prefix}{key} is unknown; {hint}")
    for name, field in fields.items():
        empty = dataclasses.MISSING
        if name not in value and field.default is empty and field.default_factory is empty:
            raise WrongValue(f"key {prefix}{name} is missing; set it to {_name(hints[name])}")
    return schema(**{str(k): _typed(v, hints[str(k)], f"{prefix}{k}") for k, v in value.items()})


def _typed(value: Any, kind: Any, where: str) -> Any:
    """``value`` as an instance of the annotation ``kind``."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _dataclass(value, cast(type, kind), where)
    if origin in (typing.Union, types.UnionType):
        return _union(value, arguments, where)
    if origin is Literal:
        if value not in arguments:
            hint = nearest_or_all(str(value), map(str, arguments))
            raise WrongValue(f"{where} is {value!r}; {hint}")
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
    raise WrongValue(f"{where} is {value!r}, but must be {_name(kind)}")


def _union(value: Any, alternatives: tuple[Any, ...], where: str) -> Any:
    """``value`` as the first of the types that takes it."""
    for kind in alternatives:
        try:
            return _typed(value, kind, where)
        except WrongValue:
            # A mapping was meant as the dataclass: its own message names the key.
            if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
                raise
    raise WrongValue(f"{where} is {value!r}, but must be {' or '.join(map(_name, alternatives))}")


def _name(kind: Any) -> str:
    """A type as it is written; of lists what they hold."""
    if kind is types.NoneType:
        return "null"
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (tuple, list):
        items = [one for one in arguments if one is not Ellipsis]
        count = f"{len(items)} " if origin is tuple and len(items) == len(arguments) else ""
        names = {_PLURALS.get(one, _keys(one)) for one in items}
        return f"a list of {count}{names.pop() if len(names) == 1 else 'values'}"
    if typing.get_origin(kind) is not None or not isinstance(kind, type):
        return str(kind).replace("typing.", "")
    return kind.__name__


def _keys(kind: Any) -> str:
    """What a list of a type holds: of dataclasses mappings with their keys."""
    if not dataclasses.is_dataclass(kind):
        return "values"
    names = [field.name for field in dataclasses.fields(kind) if field.init]
    return f"mappings with {', '.join(names)}"
