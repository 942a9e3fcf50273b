"""``audiotransfer doctor``: shows what is installed, what will be used, and what is missing."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import platform
import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import audiotransfer
from audiotransfer.audio.decoding.opening import find_ffmpeg
from audiotransfer.cli.arguments import Arguments, Parser, add_messages
from audiotransfer.cli.console import Console
from audiotransfer.errors import AudioTransferError
from audiotransfer.timing import clock

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_SOURCE = "in the folder of audiotransfer's source: "
_INSTALL = f"{_SOURCE}pip install -c constraints.txt ."
_REINSTALL = f"{_SOURCE}pip install --force-reinstall --no-deps ."
_MODEL = "htdemucs"
_SONG_SECONDS, _STYLED = 240, 3  # of a usual song: its length, and the stems that styles change
_USUAL_FINDINGS = 29
_MARKS = {"ok": "ok     ", "missing": "missing", "broken": "BROKEN "}


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    topic: str
    state: Literal["ok", "missing", "broken"]
    """``broken``: songs cannot be transferred; ``missing``: something optional cannot be used."""
    text: str
    remedy: str = ""
    """What to do about it."""


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Shows what is installed, which device, separator and styles will be used and why, "
        "and what to do about whatever is missing.",
        "Exit code: 0 when songs can be transferred here, 1 when something is broken.",
    )
    parser.add_argument(
        "--clear-cache",
        action="store_true",
        help="remove the stems and transcriptions of songs that are kept for their next style",
    )
    add_messages(parser)


def run(args: Arguments, console: Console) -> int:
    """Prints a line for each finding; returns 1 if something is broken."""
    if args.clear_cache:
        from audiotransfer.pipeline.cache import Cache, cache_folder

        cache = Cache(cache_folder())
        removed = cache.clear()
        text = f"{_gigabytes(removed)} removed from {cache.folder}"
        console.result(text, {"folder": str(cache.folder), "removed": removed})
        return 0
    findings: list[Finding] = []
    with console.progress("doctor") as line:  # on a busy machine, loading torch takes a while

        def tell(finding: Finding) -> None:
            findings.append(finding)
            line.show(f"checked {finding.topic}", min(0.95, len(findings) / _USUAL_FINDINGS))
            if not console.as_json:
                console.result(_text(finding), None)

        for finding in examine():
            tell(finding)
        tell(_summary(findings))
    if console.as_json:
        console.result("", [dataclasses.asdict(finding) for finding in findings])
    return 1 if any(finding.state == "broken" for finding in findings) else 0


def _text(finding: Finding) -> str:
    """A finding as lines, which are wrapped on a terminal only."""
    topics = len("audiotransfer")  # the longest
    lines = [f"{_MARKS[finding.state]}  {finding.topic:<{topics}}  {finding.text}"]
    if finding.remedy:
        lines.append(f"{'':{9 + topics}}  -> {finding.remedy}")
    if sys.stdout.isatty():
        wrapper = textwrap.TextWrapper(
            width=shutil.get_terminal_size().columns,
            subsequent_indent=" " * (topics + 11),
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines = [wrapper.fill(line) for line in lines]
    return "\n".join(lines)


def examine() -> Iterator[Finding]:
    """Runs all checks, in the order in which a transfer needs their subjects."""
    yield Finding(
        "audiotransfer",
        "ok",
        f"{audiotransfer.__version__} in {Path(audiotransfer.__file__).parent}, "
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}",
    )
    torch = _torch()
    yield torch
    yield _libraries()
    yield from _size()
    packages = [_package(name) for name in ("separation", "vocoder")]
    yield from packages
    importable = all(finding.state == "ok" for finding in (torch, *packages))
    if importable:
        yield _device()
        yield from _separators()
        yield from _styles()
        yield _cache()
    yield _audio_files()
    yield _soundfont()
    yield from _training()
    yield _clusters()


def _summary(findings: list[Finding]) -> Finding:
    """What songs can be transferred to, and how long one of four minutes takes here."""
    if any(finding.state == "broken" for finding in findings):
        return Finding("summary", "broken", "no songs yet", "see the lines marked BROKEN")
    from audiotransfer.pipeline import resolve_device
    from audiotransfer.pipeline.outlook import Work, song_seconds
    from audiotransfer.styles import installed

    names = sorted({style.card.name for style in installed()})
    device = resolve_device("auto")
    separator = f"demucs:{_MODEL}" if _MODEL in _fetched() else "embedded"
    times = [
        clock(song_seconds(work, device, _SONG_SECONDS))
        for work in (Work(separator, styled=_STYLED), Work(separator, cover=True))
    ]
    text = f"recordings and MIDI files to {', '.join(names)}; a song of 4:00 takes about "
    return Finding("summary", "ok", f"{text}{times[0]} here by timbre, {times[1]} as a cover")


def _torch() -> Finding:
    """PyTorch: whether it loads, and which build it is."""
    version = _version("torch")
    if version is None:
        return Finding("torch", "broken", "it is not installed", _INSTALL)
    try:
        torch = importlib.import_module("torch")
        kind = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    except Exception as error:
        # A compiled library that does not fit this computer raises many kinds of errors.
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        return Finding(
            "torch",
            "broken",
            f"{version} does not load: {reason}",
            f"pip uninstall torch; {_INSTALL}",
        )
    return Finding("torch", "ok", f"{version} ({kind})")


def _libraries() -> Finding:
    """Required packages: whether they are installed, in versions that were tested."""
    needed = [one for one in requirements("audiotransfer") if one.name != "torch"]
    lacking = [one for one in needed if _version(one.name) is None]
    if lacking:
        names = ", ".join(sorted(one.name for one in lacking))
        return Finding("libraries", "broken", f"not installed: {names}", _INSTALL)
    odd = [
        f"{one.name} {_version(one.name)} ({one.specifier} was tried)"
        for one in needed
        if not one.specifier.contains(str(_version(one.name)), prereleases=True)
    ]
    if odd:
        return Finding("libraries", "broken", ", ".join(sorted(odd)), _INSTALL)
    versions = sorted(f"{one.name} {_version(one.name)}" for one in needed)
    return Finding("libraries", "ok", ", ".join(versions))


def _size() -> Iterator[Finding]:
    """Space on disk of audiotransfer and all that it requires."""
    sizes = installed_sizes("audiotransfer")
    if not sizes:
        return
    largest = sorted(sizes, key=lambda name: sizes[name], reverse=True)[:3]
    parts = ", ".join(f"{name} {_gigabytes(sizes[name])}" for name in largest)
    text = f"{_gigabytes(sum(sizes.values()))} on disk in {len(sizes)} packages: {parts}, …"
    cuda = sum(size for name, size in sizes.items() if name.startswith(("nvidia-", "cuda-")))
    remedy = ""
    if cuda:
        text += f" ({_gigabytes(cuda)} of it CUDA's libraries)"
        remedy = "no graphics card? The README's Set-up says how to do without them"
    yield Finding("size", "ok", text, remedy)


def _package(name: str) -> Finding:
    """Our package of a common name: whether it is the one that Python imports."""
    spec = importlib.util.find_spec(name)
    expected = Path(audiotransfer.__file__).parent.parent / name
    if spec is None or spec.origin is None:
        return Finding(name, "broken", "our package of this name is not installed", _REINSTALL)
    found = Path(spec.origin).parent
    if found.resolve() == expected.resolve():
        return Finding(name, "ok", str(found))
    owners = set(metadata.packages_distributions().get(name, [])) - {"audiotransfer"}
    remedy = f"pip uninstall {' '.join(sorted(owners))}" if owners else f"move {found} away"
    return Finding(
        name, "broken", f"another package of this name loads instead of ours: {found}", remedy
    )


def _device() -> Finding:
    """The device that `--device auto` chooses."""
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
    """The separator that `--separator auto` chooses, and which others there are."""
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
    fetched = _fetched()
    if _MODEL in fetched:
        yield Finding("separator", "ok", f"auto takes demucs: {_MODEL} is on this computer")
    elif embedded:
        yield Finding("separator", "broken", embedded, _REINSTALL)
        return
    else:
        yield Finding(
            "separator",
            "ok",
            f"auto takes embedded, which came with the package; the cleaner {_MODEL} can be "
            "downloaded",
            f"audiotransfer fetch {_MODEL}",
        )
    others = [name for name in names if name not in ("demucs", "embedded")]
    models = f"; demucs models on disk: {', '.join(fetched)}" if fetched else ""
    yield Finding("", "ok", f"also there: {', '.join(others)}{models}")


def _fetched() -> list[str]:
    """Models of Demucs on this computer."""
    import separation

    return [model for model in separation.MODELS if separation.available(model)]


def _styles() -> Iterator[Finding]:
    """Installed styles: whether their weights are what their cards say."""
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


def _audio_files() -> Finding:
    """Libraries that read and write audio files."""
    import soundfile

    text = f"libsndfile {soundfile.__libsndfile_version__}"
    ffmpeg = find_ffmpeg()
    if ffmpeg is None:
        text += "; without FFmpeg, ALAC, WMA, Matroska and damaged files are not read"
        return Finding("audio files", "missing", text, "pip install 'audiotransfer[ffmpeg]'")
    return Finding("audio files", "ok", f"{text}, FFmpeg by {ffmpeg}")


def _cache() -> Finding:
    """The cache of separated stems and transcriptions."""
    from audiotransfer.pipeline.cache import Cache, cache_folder

    cache = Cache(cache_folder())
    return Finding(
        "cache",
        "ok",
        f"{_gigabytes(cache.size)} of {_gigabytes(cache.limit)} in {cache.folder}"
        " (--clear-cache empties it)",
    )


def _soundfont() -> Finding:
    """The default soundfont of MIDI."""
    from audiotransfer.synthesis.synthesizer import default_soundfont

    try:
        return Finding("soundfont", "ok", str(default_soundfont()))
    except AudioTransferError as error:
        return Finding("soundfont", "missing", str(error), "pip install pretty_midi")


def _training() -> Iterator[Finding]:
    """Optional packages of `audiotransfer train`."""
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
    """Optional packages of `--backend`."""
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


def requirements(distribution: str, extras: frozenset[str] = frozenset()) -> list[Requirement]:
    """The requirements of a distribution that apply on this computer; none if it is missing."""
    from packaging.requirements import Requirement

    try:
        listed = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return []
    wanted = [Requirement(text) for text in listed]
    return [
        one
        for one in wanted
        if one.marker is None
        or any(one.marker.evaluate({"extra": extra}) for extra in {"", *extras})
    ]


def installed_sizes(distribution: str) -> dict[str, int]:
    """Distribution -> bytes on disk, of this one and all that it requires, by their file lists."""
    found: dict[str, int] = {}
    waiting = [(distribution, frozenset[str]())]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        key = (name.lower().replace("_", "-"), extras)
        if key in seen:
            continue
        seen.add(key)
        waiting += [(one.name, frozenset(one.extras)) for one in requirements(name, extras)]
        try:
            record = metadata.distribution(name).read_text("RECORD")
        except metadata.PackageNotFoundError:
            continue
        lines = (record or "").splitlines()
        ends = (line.rpartition(",")[2] for line in lines)
        found[key[0]] = sum(int(end) for end in ends if end.isdigit())
    return found


def _version(distribution: str) -> str | None:
    """The version of an installed distribution."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
