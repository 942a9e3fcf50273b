"""Export of trained networks as styles: weights and card."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from audiotransfer.recipes.base import VALIDATION, Fit, Run
from audiotransfer.spectral.models.base import STEMS, SpectrogramModel, fold
from audiotransfer.spectral.transfer import save_generator
from audiotransfer.styles.card import SILENT, Card, StemEntry, sha256, write_card
from audiotransfer.training.checkpoints import load_facts
from audiotransfer.training.devices import resolve_device


class Described(Protocol):
    """Name, description and corpora of a style, for its card."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def corpora(self) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class About:
    """Name, description and corpora of one style of a recipe of several."""

    name: str
    description: str
    corpora: list[dict[str, Any]]


class Shaped(Protocol):
    """A network that can be built again from its kind and shape."""

    @property
    def kind(self) -> str: ...

    def shape(self) -> dict[str, Any]: ...

    def parameters(self) -> Iterable[Tensor]: ...


def write_style(
    about: Described,
    run: Run,
    fit: Fit,
    generator: SpectrogramModel,
    spectrogram: Mapping[str, Any],
    trained: Collection[str],
    silent: str = "",
    options: Mapping[str, str] | None = None,
) -> Path:
    """Writes a style of one generator, its weights in half precision, beside its checkpoint.

    Stems that are not ``trained`` are kept as they are. ``spectrogram`` are the settings of its
    spectrograms; where these cannot be inverted to sound, ``silent`` says why. ``options`` are of
    every stem's entry.
    """
    fold(generator.eval())
    checkpoint = fit.best_by_h
    place = style_folder(checkpoint.parent, about.name)
    weights = f"{about.name}.safetensors"
    save_generator(place / weights, generator)
    chosen = {**(options or {}), **({SILENT: silent} if silent else {})}
    stems = {s: StemEntry("spectral", weights, s, dict(spectrogram), chosen) for s in trained}
    networks = {"generator": sizes(generator)}
    found = validated(checkpoint)
    figures = {"validation": found} if found else {}
    write_spectral_card(about, run, fit, place, stems, networks, figures)
    return place


def style_folder(folder: Path, name: str) -> Path:
    """The folder of a style, made where it is not there yet."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    return place


def validated(checkpoint: Path) -> dict[str, Any]:
    """The figures of the last validation up to a checkpoint, as a card has them, with its step."""
    facts = load_facts(checkpoint)
    found = {
        name.removeprefix(VALIDATION): round(value, 4)
        for name, value in facts["figures"].items()
        if name.startswith(VALIDATION) and value is not None
    }
    return {**found, "step": facts["step"]} if found else {}


def validated_alone(checkpoint: Path, style: str, styles: Iterable[str]) -> dict[str, Any]:
    """`validated`, without the figures of other styles."""
    others = {one for one in styles if one != style}
    return {n: v for n, v in validated(checkpoint).items() if others.isdisjoint(n.split("/"))}


def write_spectral_card(
    about: Described,
    run: Run,
    fit: Fit,
    place: Path,
    stems: Mapping[str, StemEntry],
    networks: dict[str, Any],
    figures: dict[str, Any] | None = None,
    effects: Mapping[str, Any] | None = None,
) -> None:
    """Writes the card of a spectral style whose weights lie in ``place``.

    Stems without an entry are kept as they are, without ``effects``.
    """
    files = {entry.weights for entry in stems.values()}
    kept = dict.fromkeys((*STEMS, "vocals"))
    applied = {stem: chain for stem, chain in (effects or {}).items() if stem in stems}
    write_style_card(
        about, run, fit, place, {**kept, **stems}, files, networks, figures, effects=applied
    )


def write_style_card(
    about: Described,
    run: Run,
    fit: Fit,
    place: Path,
    stems: dict[str, StemEntry | None],
    files: Collection[str],
    networks: dict[str, Any],
    figures: dict[str, Any] | None = None,
    route: str = "spectral",
    effects: dict[str, Any] | None = None,
) -> None:
    """Writes the card of a trained style, whose weights are ``files`` in ``place``."""
    unfinished = f"Unfinished, step {fit.steps} of {run.trainer.steps}: " if run.unfinished else ""
    card = Card(
        name=about.name,
        description=unfinished + about.description,
        stems=stems,
        weights={file: sha256(place / file) for file in sorted(files)},
        route=route,
        effects=plain(effects or {}),
        networks=networks,
        corpora=about.corpora,
        seed=run.seed,
        steps=fit.steps,
        hardware="CPU" if resolve_device(run.trainer.device).type == "cpu" else "GPU",
        hours=round(fit.hours, 2),
        figures=figures or {},
        config=plain(dict(run.config or {})),
        package_version=package_version(),
    )
    write_card(place, card)


def sizes(network: Shaped) -> dict[str, Any]:
    """The kind, shape and parameter count of a network, as a card has them."""
    count = sum(p.numel() for p in network.parameters())
    return {"kind": network.kind, **network.shape(), "parameters": count}


def plain(value: Any) -> Any:
    """The value after a round trip through JSON: tuples are lists, paths are text."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def package_version() -> str:
    """The version of the installed package; empty in a checkout that is not installed."""
    try:
        return version("audiotransfer")
    except PackageNotFoundError:
        return ""
