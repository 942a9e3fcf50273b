"""Installation of a Demucs model from files, for computers without a network.

Accepted are a copy of the hub's cache from another computer, the files of the hub's page, or the
checkpoints `SIGNATURE-CHECKSUM.th` of the library's earlier releases. A checkpoint is a pickle: its
checksum is compared with the library's list, and unpickling is restricted to tensors, numbers and
the classes of Demucs's networks. The model is loaded once before it is installed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from fractions import Fraction
from importlib import import_module, resources
from pathlib import Path
from typing import Any

from separation.base import Progress, SeparationError
from separation.demucs.hub import (
    REPOSITORIES,
    BagFiles,
    check_name,
    one_line,
    read_bag,
    resolve,
)

_DEPTH = 6
"""Levels of subfolders that are searched; the hub's cache is four deep in the user's."""
_CHECKPOINT = re.compile(r"(?P<signature>[\w-]+)-(?P<checksum>[0-9a-f]{8,64})\.th")
_BLOB = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_POINTER = b"version https://git-lfs"
_BLOCK = 1 << 20


def install(model: str, source: str | Path, progress: Progress | None = None) -> BagFiles:
    """Install `model` from `source`, a file or a folder, into the hub's cache, replacing it there.

    `progress` is called with the share of the networks that were checked. Raises SeparationError,
    with nothing installed, for an unknown name, and for files that are missing, damaged, of another
    model, or hold anything but weights.
    """
    name = check_name(model)
    source = Path(source).expanduser()
    if not os.path.exists(source):
        raise SeparationError(f"{source} does not exist: give the file or folder with '{name}'")
    if source.name == f"{name}.yaml":
        source = source.parent
    found = list(_files_in(source))
    listing, signatures = _listing(name, found)
    networks = {signature: _network(name, signature, source, found) for signature in signatures}
    from huggingface_hub import constants

    place = Path(constants.HF_HUB_CACHE) / _cache_folder(name)
    staged = place / "snapshots" / ".incoming"
    try:
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        (staged / f"{name}.yaml").write_bytes(listing)
        for index, (signature, path) in enumerate(networks.items()):
            _stage(path, staged / f"{signature}.safetensors")
            if progress is not None:
                progress((index + 1) / (len(networks) + 1))
        _check(name, staged, networks)
        _publish(place, staged, _revision(place, staged, networks))
    except OSError as error:
        raise SeparationError(
            f"demucs model '{name}' cannot be installed in {place} ({error.strerror or error}): "
            "make room there, or set $HF_HOME to another folder"
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    if progress is not None:
        progress(1.0)
    return resolve(name, download=False)


def official_checksums() -> dict[str, str]:
    """First digits of each checkpoint's SHA-256 by signature, as the library lists them."""
    lines = _of_library("files.txt").decode().split()
    matches = (_CHECKPOINT.fullmatch(line) for line in lines)
    return {match["signature"]: match["checksum"] for match in matches if match}


def _cache_folder(name: str) -> str:
    """Folder name in the hub's cache; the client's own function for it moves between versions."""
    return "--".join(("models", *REPOSITORIES[name].split("/")))


def _of_library(filename: str) -> bytes:
    """Content of a file that the demucs package carries; empty where it is missing."""
    try:
        return (resources.files("demucs") / "remote" / filename).read_bytes()
    except OSError:
        return b""


def _files_in(source: Path) -> Iterator[Path]:
    """The file itself, or all files in the folder and its subfolders, sorted."""
    if not source.is_dir():
        yield source
        return
    for folder, inner, names in os.walk(source):
        if len(Path(folder).relative_to(source).parts) >= _DEPTH:
            inner.clear()
        inner.sort()
        yield from (Path(folder, name) for name in sorted(names))


def _listing(name: str, found: Iterable[Path]) -> tuple[bytes, list[str]]:
    """Content and signatures of the model's list: the given one, else the library's."""
    with resources.as_file(resources.files("demucs") / "remote" / f"{name}.yaml") as library:
        path = next((path for path in found if path.name == library.name), library)
        _check_link(name, path)
        if not path.is_file():
            raise SeparationError(f"{path.name} is missing: put it beside the networks")
        signatures: list[str] = read_bag(path)["models"]
        return path.read_bytes(), signatures


def _network(name: str, signature: str, source: Path, found: list[Path]) -> Path:
    """The file of one network, its checksum verified where there is one."""
    plain = [path for path in found if path.name == f"{signature}.safetensors"]
    pickled = [
        path
        for path in found
        if (match := _CHECKPOINT.fullmatch(path.name)) and match["signature"] == signature
    ]
    for path in (*plain, *pickled):
        _check_link(name, path)
    if plain:
        _check_blob(plain[0])
        return plain[0]
    if pickled:
        _check_checkpoint(pickled[0], signature)
        return pickled[0]
    if source.is_file():
        return _only_file(name, signature, source)
    raise SeparationError(
        f"{source} lacks {signature}.safetensors (or {signature}-….th), of which '{name}' is made:"
        " copy it there"
    )


def _check_link(name: str, path: Path) -> None:
    """Raise SeparationError for a broken link, since files in the hub's cache are links."""
    if path.is_symlink() and not path.exists():
        raise SeparationError(
            f"{path} is a link to {path.readlink()}, which is not there: copy the whole folder "
            f"{_cache_folder(name)}, or follow links (cp -rL)"
        )


def _only_file(name: str, signature: str, path: Path) -> Path:
    """A file of any name, identified by its checksum."""
    known = official_checksums()
    digest = _sha256(path)
    if signature in known and digest.startswith(known[signature]):
        return path
    owner = next((sig for sig, start in known.items() if digest.startswith(start)), None)
    named = path.stem.partition("-")[0]
    if owner is None and named in known:
        owner = named
    if owner is not None and owner != signature:
        raise SeparationError(
            f"{path} is the network {owner}, and '{name}' wants {signature}: "
            "name the model that it belongs to, or give the folder that holds all of them"
        )
    raise SeparationError(
        f"{path} is not the network {signature} of '{name}' (its SHA-256 begins with {digest[:8]}):"
        f" give {signature}-{known.get(signature, '…')}.th or {signature}.safetensors"
    )


def _check_checkpoint(path: Path, signature: str) -> None:
    match = _CHECKPOINT.fullmatch(path.name)
    assert match is not None
    _compare(path, official_checksums().get(signature, match["checksum"]))


def _check_blob(path: Path) -> None:
    """Compare a file of the hub's cache with its SHA-256, the name that its link points to."""
    named = path.resolve().name
    if _BLOB.fullmatch(named):
        _compare(path, named)


def _compare(path: Path, expected: str) -> None:
    """Raise SeparationError unless the file's SHA-256 begins with `expected`."""
    digest = _sha256(path)
    if not digest.startswith(expected):
        raise SeparationError(
            f"{path} is damaged or another file: its SHA-256 begins with {digest[:8]}, not "
            f"{expected[:8]}; copy or download it again"
        )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SeparationError(f"{path} cannot be read ({error.strerror})") from error


def _stage(path: Path, target: Path) -> None:
    """Copy a network to the staging folder, converted to safetensors where it is a checkpoint."""
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise SeparationError(
                f"{path} only points to the weights (Git LFS): run 'git lfs pull' beside it"
            )
    if path.suffix == ".safetensors":
        shutil.copyfile(path, target)
    else:
        target.write_bytes(_converted(path))


def _converted(path: Path) -> bytes:
    """A checkpoint as a safetensors file; unpickles only what a network is made of."""
    import torch

    from separation.demucs.checkpoints import CLASSES, serialise

    classes = [
        getattr(import_module(module), name)
        for module, _, name in (dotted.rpartition(".") for dotted in CLASSES)
    ]
    try:
        with torch.serialization.safe_globals([*classes, Fraction]):
            package: Any = torch.load(path, map_location="cpu", weights_only=True)
        if package["klass"] not in classes:
            raise TypeError(f"its class is {package['klass']!r}")
        return serialise(package["klass"], package["args"], package["kwargs"], package["state"])
    except OSError:
        raise
    except Exception as error:
        # Unpickling may raise anything.
        raise SeparationError(
            f"{path} is no checkpoint of a demucs network, or holds more than weights "
            f"({one_line(error)}): it is not opened"
        ) from error


def _check(name: str, staged: Path, networks: dict[str, Path]) -> None:
    """Load the staged model once."""
    from separation.demucs.checkpoints import load_bag

    try:
        load_bag(resolve(name, staged))
    except SeparationError as error:
        text = str(error)
        for signature, path in networks.items():
            # Messages name the user's file, not the staged one.
            text = text.replace(str(staged / f"{signature}.safetensors"), str(path))
        raise SeparationError(text) from error


def _revision(place: Path, staged: Path, networks: dict[str, Path]) -> str:
    """Name of the snapshot: the hub's commit where it is known, else a digest of the content."""
    folder = next(iter(networks.values())).parent
    if folder.parent.name == "snapshots" and _COMMIT.fullmatch(folder.name):
        return folder.name
    present = place / "refs" / "main"
    if present.is_file():
        return present.read_text().strip()
    digests = "".join(_sha256(path) for path in sorted(staged.iterdir()))
    return hashlib.sha256(digests.encode()).hexdigest()[:40]


def _publish(place: Path, staged: Path, revision: str) -> None:
    """Move the files to the client's snapshot, which is valid once `refs/main` names it."""
    snapshot, reference = place / "snapshots" / revision, place / "refs" / "main"
    for folder in (snapshot, reference.parent):
        folder.mkdir(parents=True, exist_ok=True)
    for path in staged.iterdir():
        (place / ".no_exist" / revision / path.name).unlink(missing_ok=True)
        os.replace(path, snapshot / path.name)
    part = reference.with_name(f".main.{os.getpid()}")
    part.write_text(revision)
    os.replace(part, reference)
