"""``audiotransfer prepare``: prepares a collection of songs for training."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotransfer.cli.arguments import (
    Arguments,
    Parser,
    add_jobs,
    add_messages,
    any_name,
    any_path,
    name_value,
    names_with_spectrograms,
    seed,
)
from audiotransfer.cli.console import Console
from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from audiotransfer.data.manifest import Manifest

_SHOWN = 3  # names that are listed of songs left out for one reason


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.usage = "audiotransfer prepare [KIND] FOLDER... [-o OUT] [options]"
    parser.about(
        "Prepares a collection of songs for training: separates each song once, computes the "
        "spectrograms of its stems, splits the songs by artist, and writes one manifest. The same "
        "command continues a run that was stopped, and songs keep their split when others are "
        "added. Rendered songs without -o get separated stems beside the true ones.",
        """\
kinds:
  auto         recognised by the folder (default)
  folders      your own songs: a folder for each genre, or the folder of these
  gtzan        GTZAN as distributed, with its fault-filtered split
  melon        the Melon Playlist Dataset as distributed (spectrograms only)
  musdb18, musdb18-hq, slakh   with their stems, as distributed
  rendered     songs that `audiotransfer render` made

examples:
  audiotransfer prepare my/rock my/jazz -o ready
  audiotransfer prepare gtzan GTZAN/ -o ready --genres rock,jazz
  audiotransfer prepare melon Melon/ -o ready --genres GN1000,GN1700
  audiotransfer prepare musdb18hq/ -o ready --style-of jazz
  audiotransfer prepare data/ensembles""",
    )
    parser.add_argument(
        "folders",
        nargs="+",
        type=any_name,
        metavar="FOLDER",
        help="folders of the songs; their kind may come first",
    )
    parser.add_argument("-o", "--out", type=any_path, metavar="OUT", help="folder to write to")
    parser.add_argument(
        "--genres",
        type=_listed,
        default=(),
        metavar="NAME,...",
        help="only these genres; Melon's by code or name",
    )
    parser.add_argument(
        "--separator",
        metavar="NAME",
        help="how songs are separated (default: use the stems that they have, else auto)",
    )
    parser.add_argument(
        "--style-of",
        type=any_name,
        metavar="STYLE",
        help=f"spectrograms as this style needs them: {names_with_spectrograms()}, or a folder",
    )
    parser.add_argument(
        "--spectrogram",
        action="append",
        default=[],
        type=name_value,
        metavar="NAME=VALUE",
        help="a setting of spectrograms (bins=192, sample_rate=22050)",
    )
    parser.accept_old_name("--picture", "--spectrogram")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda or mps")
    parser.add_argument(
        "--seed",
        type=seed,
        default=0,
        metavar="N",
        help="seed of the splits; another one splits anew (default 0)",
    )
    add_jobs(parser, "songs at a time (default: as many as cores)")
    add_messages(parser)


def run(args: Arguments, console: Console) -> int:
    """Prepares the songs that are not prepared yet."""
    from audiotransfer.data.datasets.base import AUTO, names, only, recognise

    known = (AUTO, *names())
    kind = args.folders.pop(0) if args.folders[0] in known and len(args.folders) > 1 else AUTO
    folders = [Path(place) for place in args.folders]
    if kind == AUTO and len(folders) == 1:
        kind = recognise(folders[0])
    if args.out is None:
        if kind != "rendered":
            raise AudioTransferError("name a folder for what is made: -o OUT")
        return _prepare_pairs(args, only(folders, "a rendered collection"), console)
    return _prepare_collection(args, kind, folders, console)


def _prepare_pairs(args: Arguments, folder: Path, console: Console) -> int:
    """Separates rendered songs; their separated stems are written beside the true ones."""
    from audiotransfer.preparation.rendered_pairs import prepare_pairs

    with console.progress(folder.name) as line:
        count = prepare_pairs(folder, args.separator or "embedded", args.device, line.show)
    console.result(f"{count} songs separated in {folder}", {"folder": folder, "separated": count})
    return 0


def _prepare_collection(args: Arguments, kind: str, folders: list[Path], console: Console) -> int:
    from audiotransfer.preparation import Settings, prepare_collection, spectrogram_settings

    chosen = args.spectrogram or args.style_of is not None
    settings = Settings(
        kind=kind,
        genres=args.genres,
        separator=args.separator,
        spectrogram=spectrogram_settings(args.spectrogram, args.style_of) if chosen else None,
        device=args.device,
        seed=args.seed,
        jobs=args.jobs,
        backend=args.backend,
    )
    with console.progress(args.out.name) as line:
        manifest = prepare_collection(folders, args.out, settings, line.show)
    for note in manifest.notes:
        console.notice(note)
    for notice in _left_out(manifest):
        console.notice(notice)
    console.result(_text(manifest), _values(manifest))
    return 0


def _left_out(manifest: Manifest) -> list[str]:
    """A line for each reason why songs were left out."""
    reasons: dict[str, list[str]] = {}
    for one in manifest.skipped:
        reasons.setdefault(one.why, []).append(one.id)
    lines = []
    for why, ids in reasons.items():
        more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
        lines.append(f"left out: {', '.join(ids[:_SHOWN])}{more} ({why})")
    return lines


def _counts(manifest: Manifest) -> dict[str, dict[str, int]]:
    """Number of songs of each genre in each split."""
    found: dict[str, Counter[str]] = {}
    for song in manifest.songs:
        found.setdefault(song.genre, Counter())[song.split] += 1
    return {genre: dict(splits) for genre, splits in sorted(found.items())}


def _seconds(manifest: Manifest) -> dict[str, float]:
    """Seconds of each genre that are used."""
    found = dict.fromkeys(manifest.genres, 0.0)
    for song in manifest.songs:
        found[song.genre] += song.seconds
    return {genre: round(seconds, 3) for genre, seconds in found.items()}


def _length(seconds: float) -> str:
    """A duration as text, with two significant digits or more."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min" if minutes >= 10 else f"{seconds / 60:.1f} min"
    return f"{minutes // 60} h {minutes % 60} min"


def _text(manifest: Manifest) -> str:
    lines = []
    for genre, splits in _counts(manifest).items():
        shown = ", ".join(f"{count} {split}" for split, count in sorted(splits.items()))
        used = _length(_seconds(manifest)[genre])
        lines.append(f"{genre}: {sum(splits.values())} songs, {used} ({shown})")
    return "\n".join([*lines, str(manifest.folder / "manifest.json")])


def _values(manifest: Manifest) -> dict[str, Any]:
    return {
        "manifest": manifest.folder / "manifest.json",
        "kind": manifest.kind,
        "separator": manifest.separator,
        "genres": _counts(manifest),
        "seconds": _seconds(manifest),
        "stems": manifest.stems,
        "skipped": {one.id: one.why for one in manifest.skipped},
        "notes": manifest.notes,
    }


def _listed(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
