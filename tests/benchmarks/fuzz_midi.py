"""Damaged MIDI files through the command at strength 0: accepted, refused and lost ones.

    python tests/benchmarks/fuzz_midi.py                   1000 files made from those of the tests
    python tests/benchmarks/fuzz_midi.py songs/ more.zip   and from MIDI files in folders and zips

Every file is a whole one with bytes changed, lost or doubled, its end or header damaged, or spliced
with another. All go through one run of the command. A loss is silent where mido or symusic reads
more notes than the output holds, or mido a later end, and no notice is about the file. Below the
table stands whether the bar holds: no traceback, no silent loss, and refused what mido plays 2 % of
the time at most.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import mido
import symusic

from audiotransfer import midi
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation import plain_table
from audiotransfer.midi.archives import contents, list_midi

sys.path.insert(0, str(Path(__file__).parent.parent))
from test_midi import KINDS, decoded, mutated

_UNCHANGED = "no note was changed"
_FROM_EACH = 40  # files of a folder or zip


def main() -> int:
    """Prints the table and whether the bar holds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("places", nargs="*", help="folders and zips of whole MIDI files")
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--style", default="jazz")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    whole = list(KINDS.values())
    for place in args.places:
        names = list_midi(place)
        chosen = rng.sample(names, min(_FROM_EACH, len(names)))
        whole += [data for _, data in contents(place, chosen)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(args.files):
            broken = mutated(rng.choice(whole), rng.choice(whole), rng)
            (folder / f"{number:05d}.mid").write_bytes(broken)
        (folder / "out").mkdir()
        counts = run(folder, args.style)
    names = ("files", "played", "with a notice", "refused")
    names += ("mido plays", "symusic plays", "refused, mido plays", "silent loss", "traceback")
    print(plain_table([{name: str(counts[name]) for name in names}]))
    holds = not counts["traceback"] and not counts["silent loss"]
    holds = holds and counts["refused, mido plays"] <= 0.02 * counts["mido plays"]
    print(f"0 tracebacks, 0 silent losses, played as often as by mido less 2 %: {holds}")
    return 0 if holds else 1


def run(folder: Path, style: str) -> Counter[str]:
    """Transfers every file of a folder in one command, and counts what became of them."""
    files = sorted(folder.glob("*.mid"))
    command = [sys.executable, "-m", "audiotransfer", *map(str, files), "--style", style]
    command += ["--strength", "0", "-o", str(folder / "out"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    counts: Counter[str] = Counter(files=len(files))
    try:
        told = json.loads(done.stdout)
    except json.JSONDecodeError:
        told = {"done": [], "failed": []}
    outcomes = {entry["input"] for entry in [*told["done"], *told["failed"]]}
    counts["traceback"] = len(files) - len(outcomes) + done.stderr.count("Traceback")
    if counts["traceback"]:
        print(done.stderr[-2000:])
    counts["played"], counts["refused"] = len(told["done"]), len(told["failed"])
    for entry in told["failed"]:
        peers = by_peers(Path(entry["input"]).read_bytes())
        counts["mido plays"] += peers["mido"][0] > 0
        counts["symusic plays"] += peers["symusic"][0] > 0
        if peers["mido"][0]:
            counts["refused, mido plays"] += 1
            print(entry["error"])
    for entry in told["done"]:
        data = Path(entry["input"]).read_bytes()
        peers = by_peers(data)
        counts["mido plays"] += peers["mido"][0] > 0
        counts["symusic plays"] += peers["symusic"][0] > 0
        said = [notice for notice in entry["notices"] if _UNCHANGED not in notice]
        counts["with a notice"] += bool(said)
        notes, end = written(Path(entry["output"]).read_bytes())
        lost = any(peer[0] > notes or peer[1] > end for peer in peers.values())
        if lost and not said:
            counts["silent loss"] += 1
            print(f"{entry['input']}: {notes} notes to tick {end}, {peers}: {data[:200].hex()}")
    return counts


def by_peers(data: bytes) -> dict[str, tuple[int, int]]:
    """Notes that begin, and the last tick, as others read a file; (0, 0) where they do not."""
    found = {"mido": (0, 0), "symusic": (0, 0)}
    try:
        file = mido.MidiFile(file=io.BytesIO(data), clip=True)
    except Exception:
        pass
    else:
        messages = [message for track in file.tracks for message in track]
        notes = sum(message.type == "note_on" and message.velocity > 0 for message in messages)
        end = max((sum(message.time for message in track) for track in file.tracks), default=0)
        found["mido"] = (notes, end)
    with contextlib.suppress(Exception):
        found["symusic"] = (symusic.Score.from_midi(data).note_num(), 0)
    return found


def written(data: bytes) -> tuple[int, int]:
    """Notes that begin and the last tick of an output, in which nothing may be wrong."""
    try:
        file = midi.parse(data, "output")
    except AudioTransferError as error:
        raise SystemExit(f"an output cannot be read: {error}") from None
    _, _, tracks = decoded(midi.MidiFile(file.kind, file.division, file.tracks).to_bytes())
    messages = [message for track in tracks for _, message in track]
    notes = sum(message[0] & 0xF0 == 0x90 and message[2] > 0 for message in messages)
    return notes, max(track[-1][0] for track in tracks)


if __name__ == "__main__":
    sys.exit(main())
