"""Configs: YAML files, each based on another or not, read into typed dataclasses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from audiotransfer.errors import AudioTransferError
from audiotransfer.renamed import CONFIGS, notice, present_sections, present_settings
from audiotransfer.suggest import nearest_or_all
from audiotransfer.typed import WrongValue, read_mapping

Schema = TypeVar("Schema")
SUFFIX = ".yaml"


def load_config(
    name_or_path: str | Path,
    overrides: Sequence[str],
    schema: type[Schema] | Callable[[Sequence[str]], type[Schema]],
) -> Schema:
    """Reads a config, its base and `key=value` overrides into a dataclass.

    A file may be based on another one (`base: NAME`, beside it or among the configs) and then holds
    only what differs. Later values win: base, file, overrides. Keys of nested dataclasses are
    written with dots.

    Args:
        name_or_path: a path, or a name that is looked for in ./configs and in the package.
        overrides: such as "trainer.steps=100".
        schema: a dataclass (see :func:`audiotransfer.typed.read_mapping`), or what gives one for
            the first keys that the config has.

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
        return read_mapping(cast(dict[str, Any], plain), schema)
    except WrongValue as error:
        raise AudioTransferError(f"config {path.name}: {error}") from None


def _plain(layer: DictConfig) -> dict[str, Any]:
    """A layer of a config as plain values, its sections under their present names."""
    return present_sections(cast(dict[str, Any], OmegaConf.to_container(layer)))


def find_config(name_or_path: str | Path, beside: Path | None = None) -> Path:
    """Returns the file of a config, given its path or its name without .yaml.

    Raises:
        AudioTransferError: there is none; the message gives the nearest name.
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
    hint = nearest_or_all(asked.as_posix().removesuffix(SUFFIX), known)
    raise AudioTransferError(f"config {str(name_or_path)!r} is not there; {hint}")


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
    """`key=value` overrides as a config."""
    for override in overrides:
        key, sign, _ = override.partition("=")
        if not sign or not key.strip():
            raise AudioTransferError(f"setting {override!r} is not understood; write key=value")
    try:
        return OmegaConf.from_dotlist(list(overrides))
    except YAMLError as error:
        given = " ".join(overrides)
        raise AudioTransferError(f"settings {given!r} are not readable as YAML values") from error
