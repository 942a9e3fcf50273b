"""A trained generator as a style that the main command can use: weights and card."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from audiotransfer.spectral.generator import STEMS, fold
from audiotransfer.spectral.repainter import Repainter
from audiotransfer.spectral.weights import save_generator
from audiotransfer.styles.card import Card, StemEntry, sha256, write_card
from audiotransfer.training.settings import resolve_device
from vocoder import Picture

if TYPE_CHECKING:
    from audiotransfer.recipes.training import Training


class Described(Protocol):
    """What a recipe says about its style."""

    name: str
    description: str
    corpora: list[dict[str, Any]]


def write_style(
    about: Described,
    config: Training,
    folder: Path,
    generator: Repainter,
    picture: Picture,
    taught: Collection[str],
    steps: int,
    hours: float,
) -> Path:
    """Writes the style, its card and its half-precision weights, into ``folder/NAME``.

    Stems that are not ``taught`` are kept as they are.
    """
    fold(generator.eval())
    place = folder / about.name
    place.mkdir(parents=True, exist_ok=True)
    weights = f"{about.name}.safetensors"
    save_generator(place / weights, generator)
    entry = picture.to_dict()
    stems = {s: StemEntry("spectral", weights, s, entry) if s in taught else None for s in STEMS}
    count = sum(p.numel() for p in generator.parameters())
    shape = {"kind": generator.kind, **generator.shape()}
    card = Card(
        name=about.name,
        description=about.description,
        stems={**stems, "vocals": None},
        weights={weights: sha256(place / weights)},
        networks={"generator": {**shape, "parameters": count}},
        corpora=about.corpora,
        seed=config.seed,
        steps=steps,
        hardware="CPU" if resolve_device(config.trainer.device).type == "cpu" else "GPU",
        hours=round(hours, 2),
        config=plain(asdict(config)),
        package_version=version_here(),
    )
    write_card(place, card)
    return place


def plain(value: Any) -> Any:
    """Tuples as JSON will give them back."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def version_here() -> str:
    try:
        return version("audiotransfer")
    except PackageNotFoundError:
        return ""
