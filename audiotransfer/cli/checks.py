"""What ``doctor`` looks at. Nothing is assumed to work, least of all an import."""

from __future__ import annotations

import importlib
import importlib.util
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import audiotransfer
from audiotransfer.errors import AudioTransferError

#: Import name -> distribution, of what the main job cannot do without.
_NEEDED = {
    "demucs": "demucs",
    "librosa": "librosa",
    "soundfile": "soundfile",
    "sphn": "sphn",
    "soxr": "soxr",
    "pyloudnorm": "pyloudnorm",
    "safetensors": "safetensors",
    "nnAudio": "nnAudio",
    "tinytag": "tinytag",
    "symusic": "symusic",
    "matplotlib": "matplotlib",
    "omegaconf": "omegaconf",
    "tqdm": "tqdm",
}
_REINSTALL = "pip install --force-reinstall audiotransfer"
_TORCH_PAIR = 'pip install "torch>=2.8,<2.12" "torchaudio>=2.8,<2.12"'
_MODEL = "htdemucs"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``broken`` stops the main job, ``missing`` does not."""

    topic: str
    state: Literal["ok", "missing", "broken"]
    text: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Everything, in the order in which it is needed."""
    yield Finding(
        "audiotransfer",
        "ok",
        f"{audiotransfer.__version__} in {Path(audiotransfer.__file__).parent}, "
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}",
    )
    torch_pair = _torch_pair()
    yield torch_pair
    yield _libraries()
    shadows = [_package(name) for name in ("separation", "vocoder")]
    yield from shadows
    usable = all(finding.state == "ok" for finding in (torch_pair, *shadows))
    if usable:
        yield _device()
        yield from _separators()
        yield from _styles()
    yield _rendering()
    yield from _training()
    yield _clusters()


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _torch_pair() -> Finding:
    """torch and torchaudio come in pairs: another torch's torchaudio does not load."""
    versions = {name: _version(name) for name in ("torch", "torchaudio")}
    lacking = [name for name, version in versions.items() if version is None]
    if lacking:
        return Finding("torch", "broken", f"{lacking[0]} is not installed", _TORCH_PAIR)
    text = f"torch {versions['torch']}, torchaudio {versions['torchaudio']}"
    series = {".".join(str(version).split(".")[:2]) for version in versions.values()}
    if len(series) > 1:
        return Finding("torch", "broken", f"{text}: they do not belong together", _TORCH_PAIR)
    try:
        importlib.import_module("torchaudio")
    except Exception as error:
        # A compiled part that does not fit fails in many ways.
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        return Finding("torch", "broken", f"{text}: does not load ({reason})", _TORCH_PAIR)
    return Finding("torch", "ok", text)


def _libraries() -> Finding:
    lacking = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if lacking:
        wanted = " ".join(_NEEDED[name] for name in lacking)
        return Finding(
            "libraries", "broken", f"not installed: {', '.join(lacking)}", f"pip install {wanted}"
        )
    versions = (f"{name} {_version(name) or '?'}" for name in _NEEDED.values())
    return Finding("libraries", "ok", ", ".join(versions))


def _package(name: str) -> Finding:
    """Whether our package of a common name is the one that loads."""
    spec = importlib.util.find_spec(name)
    ours = Path(audiotransfer.__file__).parent.parent / name
    if spec is None or spec.origin is None:
        return Finding(name, "broken", "our package of this name is not installed", _REINSTALL)
    found = Path(spec.origin).parent
    if found.resolve() == ours.resolve():
        return Finding(name, "ok", str(found))
    owners = set(metadata.packages_distributions().get(name, [])) - {"audiotransfer"}
    remedy = f"pip uninstall {' '.join(sorted(owners))}" if owners else f"move {found} away"
    return Finding(
        name, "broken", f"another package of this name loads instead of ours: {found}", remedy
    )


def _device() -> Finding:
    import torch

    from audiotransfer.pipeline import resolve_device

    device = resolve_device("auto")
    if device.startswith("cuda"):
        return Finding("device", "ok", f"auto takes {device}: {torch.cuda.get_device_name(0)}")
    threads = torch.get_num_threads()
    also = ", --device mps is there too" if torch.backends.mps.is_available() else ""
    return Finding(
        "device", "ok", f"auto takes {device}, {threads} threads: no CUDA graphics card{also}"
    )


def _separators() -> Iterator[Finding]:
    """Which separator `auto` takes, and why."""
    import separation

    names = separation.names()
    if "embedded" not in names:
        yield Finding(
            "separator", "broken", "none is registered: the package is not installed", _REINSTALL
        )
        return
    try:
        separation.create("embedded")
        embedded = ""
    except separation.SeparationError as error:
        embedded = str(error)
    fetched = [model for model in separation.MODELS if separation.available(model)]
    if _MODEL in fetched:
        yield Finding("separator", "ok", f"auto takes demucs: {_MODEL} is on this computer")
    elif embedded:
        yield Finding("separator", "broken", embedded, _REINSTALL)
        return
    else:
        yield Finding(
            "separator",
            "missing",
            f"auto takes embedded: the cleaner {_MODEL} is not on this computer",
            f"audiotransfer fetch {_MODEL}",
        )
    others = [name for name in names if name not in ("demucs", "embedded")]
    models = f"; demucs models on disk: {', '.join(fetched)}" if fetched else ""
    yield Finding("", "ok", f"also there: {', '.join(others)}{models}")


def _styles() -> Iterator[Finding]:
    from audiotransfer.styles import check_weights, installed
    from audiotransfer.styles.find import VARIABLE

    found = installed()
    if not found:
        yield Finding(
            "style", "broken", "none is installed", f"{_REINSTALL}, or put one into ${VARIABLE}"
        )
    for style in found:
        try:
            check_weights(style.folder, style.card)
        except AudioTransferError as error:
            yield Finding("style", "broken", str(error), _REINSTALL)
        else:
            yield Finding("style", "ok", f"{style.card.name} ({style.card.route}) {style.folder}")


def _rendering() -> Finding:
    """What `render` needs; songs never do."""
    from audiotransfer.symbolic.studio.synth import default_soundfont, synthesizer_available

    if not synthesizer_available():
        return Finding(
            "rendering",
            "missing",
            "tinysoundfont is not installed; only what renders MIDI needs it",
            "pip install --no-deps tinysoundfont",
        )
    try:
        text = f"tinysoundfont {_version('tinysoundfont')}, soundfont {default_soundfont()}"
        return Finding("rendering", "ok", text)
    except AudioTransferError as error:
        return Finding("rendering", "missing", str(error), "pip install pretty_midi")


def _training() -> Iterator[Finding]:
    """What `train` needs, and what it logs to; songs need neither."""
    for module, name, without in (
        ("lightning_fabric", "lightning-fabric", "`audiotransfer train` does not work"),
        ("tensorboard", "tensorboard", "`audiotransfer train` logs to a file only"),
    ):
        if importlib.util.find_spec(module) is None:
            text = f"{name} is not installed: {without}"
            yield Finding("training", "missing", text, 'pip install "audiotransfer[train]"')
        else:
            yield Finding("training", "ok", f"{name} {_version(name)}")


def _clusters() -> Finding:
    """Where `--backend` could send songs; one computer needs none of it."""
    from audiotransfer.parallel import BACKENDS

    found = {name: importlib.util.find_spec(package) for name, package in BACKENDS.items()}
    there = [f"{name} {_version(BACKENDS[name])}" for name, spec in found.items() if spec]
    lacking = [name for name, spec in found.items() if spec is None]
    text = ", ".join([*there, *(f"{name} is not installed" for name in lacking)])
    if not lacking:
        return Finding("cluster", "ok", f"--backend {text}")
    return Finding(
        "cluster",
        "missing",
        f"--backend {text}; only clusters need it",
        'pip install "audiotransfer[cluster]"',
    )
