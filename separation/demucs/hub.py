"""Files of a Demucs model: from the hub's cache, from a folder, or by a bounded download.

A model is a *bag*: `NAME.yaml` lists `models` (signatures), `weights` and `segment`, and for each
signature there is one `SIGNATURE.safetensors`. On the hub every bag has its own repository. The
library's own search is not used: it waits half a minute without a network and then falls back to
pickled weights. Nothing here loads torch.
"""

from __future__ import annotations

import difflib
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import yaml
from tqdm.std import tqdm

from separation.base import Progress, SeparationError

REPOSITORIES = {
    "htdemucs": "adefossez/HTDemucs",
    "htdemucs_ft": "adefossez/HTDemucs-ft",
    "htdemucs_6s": "adefossez/HTDemucs-6s",
    "hdemucs_mmi": "adefossez/Demucs-hdemucs_mmi",
    "mdx_extra": "adefossez/Demucs-mdx_extra",
}
MODELS = tuple(REPOSITORIES)
PATIENCE = 4.0
"""Seconds within which the hub has to answer."""


@dataclass(frozen=True)
class BagFiles:
    """Files of a Demucs model: one per network.

    `weights` `[network][stem]` are those of the networks in the average, `segment` is the segment
    in seconds that the model asks for.
    """

    name: str
    networks: tuple[Path, ...]
    weights: list[list[float]] | None
    segment: float | None


def available(model: str = "htdemucs", folder: str | Path | None = None) -> bool:
    """Whether all files of `model` are on disk: in the hub's cache, or in the local folder."""
    try:
        return _on_disk(*_place(model, folder)) is not None
    except SeparationError:
        return False


def fetch(model: str = "htdemucs", progress: Progress | None = None) -> BagFiles:
    """Download `model` into the hub's cache, unless all its files are there.

    `progress` is called with the share of the download. Raises SeparationError for an unknown name,
    and within five seconds where the hub does not answer.
    """
    name = check_name(model)
    return _on_disk(name, None) or _download(name, progress)


def check_name(model: str) -> str:
    """Name of a model that the hub has; raises SeparationError for any other."""
    name, folder = _place(model, None)
    if folder is not None:
        raise SeparationError(f"'{model}' is no name on the hub: there are {', '.join(MODELS)}")
    return name


def resolve(model: str, folder: str | Path | None = None, download: bool = True) -> BagFiles:
    """Files of `model`: from a folder, else from the hub's cache, else from the hub.

    A folder is used where `folder` is given or the model is a path (`FOLDER/NAME`); the hub is
    asked only where `download` allows it.

    Raises SeparationError, one line that says what to do, for an unknown name, for missing files,
    and for a hub that does not answer.
    """
    name, place = _place(model, folder)
    found = _on_disk(name, place)
    if found is not None:
        return found
    if place is not None:
        raise SeparationError(_what_is_missing(name, place))
    if not download:
        raise SeparationError(
            f"the weights of demucs model '{name}' are not on disk: {_way_out(name)}"
        )
    return _download(name, None)


def _place(model: str, folder: str | Path | None) -> tuple[str, Path | None]:
    """Name of the bag and its local folder; None stands for the hub."""
    if folder is not None:
        return model, Path(folder).expanduser()
    if os.sep in model or "/" in model:
        path = Path(model).expanduser()
        return path.name, path.parent
    if model not in MODELS:
        near = difflib.get_close_matches(model, MODELS, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise SeparationError(
            f"unknown demucs model '{model}': {hint}there are {', '.join(MODELS)}, "
            "and FOLDER/NAME for a local one"
        )
    return model, None


def _on_disk(name: str, folder: Path | None) -> BagFiles | None:
    """The bag, or None unless all of its files are there."""
    listing = _find(name, folder, f"{name}.yaml")
    if listing is None:
        return None
    bag = read_bag(listing)
    networks = [_find(name, folder, f"{signature}.safetensors") for signature in bag["models"]]
    present = tuple(path for path in networks if path is not None)
    return _files(name, bag, present) if len(present) == len(networks) else None


def _find(name: str, folder: Path | None, filename: str) -> Path | None:
    if folder is not None:
        path = folder / filename
        return path if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(REPOSITORIES[name], filename)
    return Path(found) if isinstance(found, str) else None


def _download(name: str, progress: Progress | None) -> BagFiles:
    """Download the bag from the hub; one progress over all its networks."""
    from huggingface_hub import constants, hf_hub_download

    def download(filename: str, first: float, last: float) -> Path:
        def report(share: float) -> None:
            if progress is not None:
                progress(first + (last - first) * share)

        path = hf_hub_download(
            REPOSITORIES[name], filename, etag_timeout=PATIENCE, tqdm_class=progress_bar(report)
        )
        report(1.0)
        return Path(path)

    _ask_hub(name)
    try:
        bag = read_bag(download(f"{name}.yaml", 0.0, 0.0))
        count = len(bag["models"])
        networks = tuple(
            download(f"{signature}.safetensors", index / count, (index + 1) / count)
            for index, signature in enumerate(bag["models"])
        )
    except SeparationError:
        raise
    except Exception as error:
        # The hub's client lets the errors of its network library through, and which library
        # that is depends on its version.
        raise SeparationError(
            f"demucs model '{name}' could not be fetched from {constants.ENDPOINT} "
            f"({one_line(error)}): {_way_out(name)}"
        ) from error
    return _files(name, bag, networks)


def _ask_hub(name: str) -> None:
    """Return once the hub has answered that it has the model.

    Raises SeparationError after PATIENCE seconds.

    The request runs in a thread that can be abandoned, because name resolution has no timeout.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

    outcome: list[Exception | None] = []

    def ask() -> None:
        try:
            url = hf_hub_url(REPOSITORIES[name], f"{name}.yaml")
            get_hf_file_metadata(url, timeout=PATIENCE)
            outcome.append(None)
        except Exception as error:
            outcome.append(error)

    thread = Thread(target=ask, daemon=True, name="demucs-hub")
    thread.start()
    thread.join(PATIENCE)
    if outcome == [None]:
        return
    reason = one_line(outcome[0]) if outcome and outcome[0] else f"no answer in {PATIENCE:g} s"
    raise SeparationError(
        f"the weights of demucs model '{name}' are not on disk and {constants.ENDPOINT} "
        f"does not give them ({reason}): {_way_out(name)}"
    )


def read_bag(path: Path) -> dict[str, Any]:
    """The parsed `NAME.yaml`, signatures as text.

    Raises SeparationError where it lists no networks.
    """
    try:
        bag = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SeparationError(f"{path} cannot be read as yaml ({one_line(error)})") from error
    signatures = bag.get("models") if isinstance(bag, dict) else None
    # A signature becomes a file name, so it must not lead out of the folder. YAML reads an unquoted
    # one of eight digits as a number.
    if (
        not isinstance(signatures, list)
        or not signatures
        or not all(re.fullmatch(r"[\w-]+", str(signature)) for signature in signatures)
    ):
        raise SeparationError(f"{path} lists no demucs networks: its 'models' is {signatures!r}")
    return {**bag, "models": [str(signature) for signature in signatures]}


def _files(name: str, bag: dict[str, Any], networks: tuple[Path, ...]) -> BagFiles:
    return BagFiles(name, networks, bag.get("weights"), bag.get("segment"))


def _what_is_missing(name: str, folder: Path) -> str:
    listing = folder / f"{name}.yaml"
    if not listing.is_file():
        return f"there is no demucs model '{name}' in {folder}: {listing.name} is missing"
    signatures = read_bag(listing)["models"]
    missing = next(s for s in signatures if not (folder / f"{s}.safetensors").is_file())
    pickled = any(folder.glob(f"{missing}*.th"))
    return f"{folder} lacks {missing}.safetensors, which {listing.name} names" + (
        ": pickled .th weights are never opened, take the hub's safetensors" if pickled else ""
    )


def _way_out(name: str) -> str:
    return (
        f"run 'audiotransfer fetch {name}' where there is a network, add '--from FOLDER' for files "
        "from another computer, or take '--separator embedded'"
    )


def one_line(error: Exception) -> str:
    """An error's message in one line of at most 160 characters."""
    text = " ".join(str(error).split())
    return (text[:160] or type(error).__name__).rstrip(".:")


def progress_bar(report: Progress) -> type[tqdm]:
    """A tqdm class that displays nothing and calls `report` with the share of bytes."""

    class Bar(tqdm):  # type: ignore[misc]  # tqdm has no types
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "file": io.StringIO(), "disable": False})

        def display(self, *args: Any, **kwargs: Any) -> None:
            if self.total:
                report(min(1.0, self.n / self.total))

    return Bar
