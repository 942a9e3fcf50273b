"""A trained generator as a style that the main command can use: weights and card."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from audiotransfer.spectral.models.base import SpectrogramModel
from audiotransfer.spectral.models.unet import STEMS, fold
from audiotransfer.spectral.transfer import save_generator
from audiotransfer.styles.card import SILENT, Card, StemEntry, sha256, write_card
from audiotransfer.training.checkpoints import load_facts
from audiotransfer.training.settings import resolve_device

if TYPE_CHECKING:
    from audiotransfer.recipes.base import Training

_VALIDATION = "validation/"


class Described(Protocol):
    """What a recipe says about its style."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def corpora(self) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class About:
    """What a recipe of several styles says about one of them."""

    name: str
    description: str
    corpora: list[dict[str, Any]]


class Shaped(Protocol):
    """A network that is built again from its kind and shape."""

    @property
    def kind(self) -> str: ...

    def shape(self) -> dict[str, Any]: ...

    def parameters(self) -> Iterable[Tensor]: ...


def write_style(
    about: Described,
    config: Training,
    checkpoint: Path,
    generator: SpectrogramModel,
    spectrogram: Mapping[str, Any],
    taught: Collection[str],
    steps: int,
    hours: float,
    lacks: str = "",
) -> Path:
    """Writes the style, its card and its half-precision weights, beside the checkpoint they are of.

    Stems that are not ``taught`` are kept as they are. ``spectrogram`` are the settings of its
    spectrograms; where these cannot be turned into sound, the card says what the style ``lacks``.
    """
    fold(generator.eval())
    place = checkpoint.parent / about.name
    place.mkdir(parents=True, exist_ok=True)
    weights = f"{about.name}.safetensors"
    save_generator(place / weights, generator)
    options = {SILENT: lacks} if lacks else {}
    stems = {s: StemEntry("spectral", weights, s, dict(spectrogram), options) for s in taught}
    networks = {"generator": sizes(generator)}
    said = validated(checkpoint)
    figures = {"validation": said} if said else {}
    describe(about, config, place, stems, networks, steps, hours, figures)
    return place


def chosen(folder: Path) -> Path:
    """The checkpoint of a run that H found best; the last where nothing was judged."""
    best = folder / "best"
    judged = best.is_dir() and f"{_VALIDATION}H" in load_facts(best)["figures"]
    return best if judged else folder / "checkpoint"


def validated(checkpoint: Path) -> dict[str, Any]:
    """What the last validation up to a checkpoint said, as a card has it; empty without one."""
    facts = load_facts(checkpoint)
    found = {
        name.removeprefix(_VALIDATION): round(value, 4)
        for name, value in facts["figures"].items()
        if name.startswith(_VALIDATION) and value is not None
    }
    return {**found, "step": facts["step"]} if found else {}


def describe(
    about: Described,
    config: Training,
    place: Path,
    stems: Mapping[str, StemEntry],
    networks: dict[str, Any],
    steps: int,
    hours: float,
    figures: dict[str, Any] | None = None,
    effects: Mapping[str, Any] | None = None,
) -> None:
    """Writes the card of a spectral style whose weights lie in ``place``.

    Stems without an entry are kept as they are, without ``effects``.
    """
    files = {entry.weights for entry in stems.values()}
    kept = dict.fromkeys((*STEMS, "vocals"))
    behind = {stem: chain for stem, chain in (effects or {}).items() if stem in stems}
    sign(
        about, config, place, {**kept, **stems}, files, networks, steps, hours, figures or {},
        effects=behind,
    )  # fmt: skip


def sign(
    about: Described,
    config: Training,
    place: Path,
    stems: dict[str, StemEntry | None],
    files: Collection[str],
    networks: dict[str, Any],
    steps: int,
    hours: float,
    figures: dict[str, Any],
    route: str = "spectral",
    effects: dict[str, Any] | None = None,
) -> None:
    """Writes the card of what was trained, whose weights are ``files`` in ``place``."""
    card = Card(
        name=about.name,
        description=about.description,
        stems=stems,
        weights={file: sha256(place / file) for file in sorted(files)},
        route=route,
        effects=plain(effects or {}),
        networks=networks,
        corpora=about.corpora,
        seed=config.seed,
        steps=steps,
        hardware="CPU" if resolve_device(config.trainer.device).type == "cpu" else "GPU",
        hours=round(hours, 2),
        figures=figures,
        config=plain(asdict(config)),
        package_version=version_here(),
    )
    write_card(place, card)


def sizes(network: Shaped) -> dict[str, Any]:
    """What a card says of a network."""
    count = sum(p.numel() for p in network.parameters())
    return {"kind": network.kind, **network.shape(), "parameters": count}


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
