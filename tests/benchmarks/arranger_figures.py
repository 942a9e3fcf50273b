"""Table of the arranger's figures on songs whose melody, chords and beats are known.

    python tests/benchmarks/arranger_figures.py FOLDER... [--trios data/midi] [--sound] [--network]

A folder holds ``NAME.mid`` and what is known of it, ``NAME.json``, both of the same times:
``beats`` (seconds, with the end of the last bar), ``bars`` ([first beat, numerator, denominator]),
``chords`` ([beat, beats, root, quality, bass]) and ``melody`` ([start, duration (s), pitch,
velocity]).

Each song is arranged from its MIDI file alone, by the command's own steps. Figures stand beside
those of the file itself, with ``--network`` of the network mode's output, and with ``--trios`` of
real trios (the folder holds ``jazz-statistics.json`` and ``jazz_jtd_piano.zip``). Counts of bass
and comping are against the chords as arranged, content against what is known of the song. With
``--sound`` the outputs and the files are rendered and measured, every song with the next of the
leads that the style may choose; with ``--leads all`` with each of them. With ``--transcribed`` the
counts stand beside those of arrangements from ``NAME.flac``, as the command transcribes it, and
from ``NAME.sheet.json``, its true lead sheet; the file may then be missing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import symusic
import torch
from numpy.typing import NDArray

from audiotransfer import midi
from audiotransfer.audio.channels import to_stereo
from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.resampling import STEREO_RATE, resample
from audiotransfer.audio.writing import write_audio
from audiotransfer.benchmark.arrangements import (
    BASS_INTERVALS,
    BASS_TONES,
    COMPING,
    RATIOS,
    SIZES,
    TEMPI,
    Pool,
    Song,
    measure_arrangement,
    measure_file,
    measure_seeds,
    measure_sound,
    read_song,
    share,
    songs_of,
    table_of,
)
from audiotransfer.cover.arranger import Arrangement, arrange
from audiotransfer.cover.band import Band, read_band
from audiotransfer.cover.plan import ArrangeOptions
from audiotransfer.evaluation import plain_table
from audiotransfer.evaluation.metrics import arrangement as counts
from audiotransfer.evaluation.metrics import swing
from audiotransfer.leadsheet import LeadSheet, lead_sheet, read_lead_sheet
from audiotransfer.midi.score import read_score
from audiotransfer.pipeline.midi_output import render_midi
from audiotransfer.styles.find import find_style
from audiotransfer.synthesis.ensemble import TAIL_SECONDS, Ensemble, peak_gain
from audiotransfer.synthesis.room import Room, RoomFilter
from audiotransfer.transcription.transcriber import Transcriber

#: Figure -> what is asked for.
ASKED = {
    "melody kept": ">= 0.95",
    "a semitone off": "<= 0.05",
    "swung, ride and lead": ">= 0.8",
    "semitone clusters": "<= 0.08",
    "bass root on a new chord": ">= 0.6",
    "bass tones, TV": "<= 0.1",
    "bass intervals, TV": "<= 0.1",
    "comping over two bars, TV": "<= 0.12",
    "voicing sizes, TV": "<= 0.1",
    "anticipation": "0.7-0.9",
    "ride patterns, TV": "<= 0.15",
    "arranging (s per 3 min)": "<= 1",
    "rendering (s per 3 min)": "<= 10",
    "chord roots": ">= 0.55",
    "bar chroma": ">= 0.55",
    "lead stands out": ">= 0.9",
    "lead - chords (dB)": "<= 3",
}
_SOURCE, _NETWORK, _KNOWN, _TRANSCRIBED = "source", "network", "true sheet", "transcribed"


def rows(pools: Mapping[str, Pool], trios: Pool, statistics: Path | None) -> list[dict[str, Any]]:
    """The table: a row for each figure."""
    for of, pool in pools.items():
        if of not in (_SOURCE, _NETWORK):
            _add_counts(pool, statistics)
    names = dict.fromkeys([*ASKED, *(k for pool in pools.values() for k in pool.figures)])
    columns = {**pools, "trios": trios}
    return [
        {
            "figure": name,
            "asked": ASKED.get(name, ""),
            **{
                of: round(float(np.mean(pool.figures[name])), 3)
                for of, pool in columns.items()
                if name in pool.figures
            },
        }
        for name in names
        if any(name in pool.figures for pool in columns.values())
    ]


def _add_counts(arranged: Pool, statistics: Path | None) -> None:
    """Adds the distances of an arranger's tables to the counts of real trios."""
    for name, table, to in (
        ("bass tones, TV", "tones", BASS_TONES),
        ("bass intervals, TV", "intervals", BASS_INTERVALS),
    ):
        if table in arranged.tables:
            each = [
                counts.total_variation(a, b)
                for a, b in zip(arranged.tables[table], to, strict=True)
            ]
            arranged.figures[name] = [float(np.mean(each))]
            arranged.figures[f"{name}, largest of the beats"] = [max(each)]
    for name, table, to in (
        ("comping over two bars, TV", "comping", COMPING),
        ("voicing sizes, TV", "sizes", SIZES),
    ):
        if table in arranged.tables:
            arranged.figures[name] = [counts.total_variation(arranged.tables[table], to)]
    if "anticipation" in arranged.tables:
        arranged.figures["anticipation"] = [
            share(arranged.tables["anticipation"][0], arranged.tables["anticipation"].sum())
        ]
    if statistics and arranged.rides:
        real = Counter(json.loads(statistics.read_text())["ride_bars"])
        arranged.figures["ride patterns, TV"] = [swing.pattern_distance(arranged.rides, real)]
        arranged.figures["bars of ride patterns"] = [float(arranged.rides.total())]


def ratio_rows(pool: Pool) -> list[dict[str, Any]]:
    """Median swing ratios by part and felt tempo, beside the counted ones."""
    found = []
    for (part, index), ratios in sorted(pool.ratios.items()):
        if not ratios:
            continue
        median, counted = float(np.median(ratios)), RATIOS[part][index]
        found.append(
            {
                "part": part,
                "bpm": f"{TEMPI[index]}-{TEMPI[index + 1]}",
                "n": len(ratios),
                "median": round(median, 2),
                "counted": counted,
                "off by %": round(100 * (median / counted - 1)),
            }
        )
    return found


def real_trios(folder: Path, pool: Pool, most: int = 150) -> None:
    """Figures of the piano of real trios, which stands for lead and comping."""
    with zipfile.ZipFile(folder / "jazz_jtd_piano.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".mid"))
        for name in names[:: max(1, len(names) // most)]:
            score = symusic.Score.from_midi(archive.read(name))
            notes = table_of(
                [
                    (n.start / score.tpq, n.duration / score.tpq, n.pitch, n.velocity)
                    for track in score.tracks
                    for n in track.notes
                ]
            )
            swung, straight, off = swing.swung_counts(notes)
            pool.add(
                {
                    "semitone clusters": share(*counts.struck_clusters(notes)),
                    "semitone clusters, sounding": share(*counts.semitone_clusters(notes)),
                    "swung, ride and lead": share(swung, off),
                    "straight, ride and lead": share(straight, off),
                }
            )


def main() -> int:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--style", default="jazz")
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--leads", default="each in turn", help="all, or names with commas")
    parser.add_argument("--songs", type=int, help="at most so many of each folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trios", type=Path, help="folder of statistics and MIDI of real trios")
    parser.add_argument("--sound", action="store_true", help="measure rendered sound too")
    parser.add_argument("--seconds", type=float, default=1e9, help="measure so much of the sound")
    parser.add_argument("--network", action="store_true", help="measure network mode too")
    parser.add_argument(
        "--transcribed", action="store_true", help="arrange NAME.flac and NAME.sheet.json too"
    )
    parser.add_argument("--keep", type=Path, help="folder for the rendered outputs and sources")
    parser.add_argument("--each", action="store_true", help="print each song's figures too")
    args = parser.parse_args()
    style = find_style(args.style, route="symbolic")
    band = read_band(style.folder / style.card.band)
    songs = [song for folder in args.folders for song in _songs(folder, args)]
    pools = {"arranger": Pool(), _SOURCE: Pool()} | ({_NETWORK: Pool()} if args.network else {})
    if args.transcribed:
        pools |= {_KNOWN: Pool(), _TRANSCRIBED: Pool()}
    leads = _leads(band, args.leads)
    ensemble = Ensemble()
    with tempfile.TemporaryDirectory() as temporary:
        place = args.keep or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        for index, song in enumerate(songs):
            before = {k: len(v) for k, v in pools["arranger"].figures.items()}
            chosen = leads if args.leads == "all" else [leads[index % len(leads)]]
            if song.path.exists():
                one_song(song, band, chosen, args, pools, ensemble, place)
                measure_file(song.path, song, pools[_SOURCE])
            if args.network:
                measure_file(_network(song, args.style, place), song, pools[_NETWORK])
            if args.transcribed:
                from_sound(song, band, chosen, args, pools)
            if args.each:
                new = {k: v[before.get(k, 0) :] for k, v in pools["arranger"].figures.items()}
                shown = {k: round(float(np.mean(v)), 2) for k, v in new.items() if v}
                print(song.path.stem, json.dumps(shown), flush=True)
    trios = Pool()
    statistics = None
    if args.trios:
        real_trios(args.trios, trios)
        statistics = args.trios / "jazz-statistics.json"
    print(f"{len(songs)} songs, strength {args.strength:g}, leads {', '.join(leads)}\n")
    print(plain_table(rows(pools, trios, statistics)), end="\n\n")
    print(plain_table(ratio_rows(pools["arranger"])))
    return 0


def one_song(
    song: Song,
    band: Band,
    leads: Sequence[str],
    args: argparse.Namespace,
    pools: Mapping[str, Pool],
    ensemble: Ensemble,
    place: Path,
) -> None:
    """Arranges a song with each of the leads, and measures it."""
    pool = pools["arranger"]
    began = time.process_time()
    sheet = lead_sheet(midi.read(song.path), song.path.stem)
    pool.add({"lead sheet (s per 3 min)": _per_song(began, song)})
    for lead in leads:
        began = time.process_time()
        found = _arranged(sheet, band, args.strength, args.seed, lead)
        pool.add({"arranging (s per 3 min)": _per_song(began, song)})
        measure_arrangement(found, song, lead, pool)
        measure_seeds(found, _arranged(sheet, band, args.strength, args.seed + 1, lead), pool)
        if args.sound:
            _sound(
                song,
                found,
                lead,
                pools,
                ensemble,
                band.room,
                place,
            )


def _songs(folder: Path, args: argparse.Namespace) -> list[Song]:
    """The songs of a folder that have a MIDI file, or with ``--transcribed`` sound."""
    if not args.transcribed:
        return songs_of(folder, args.songs)
    paths = sorted(folder.glob("*.flac"))[: args.songs]
    return [read_song(path.with_suffix(".mid")) for path in paths]


def from_sound(
    song: Song,
    band: Band,
    leads: Sequence[str],
    args: argparse.Namespace,
    pools: Mapping[str, Pool],
) -> None:
    """Arranges what is transcribed of a song's sound, and its true lead sheet, and counts both."""
    sheets = {}
    if (path := song.path.with_suffix(".sheet.json")).exists():
        sheets[_KNOWN] = read_lead_sheet(path)
    if (path := song.path.with_suffix(".flac")).exists():
        audio, rate = read_audio(path)
        transcriber = Transcriber()
        transcriber.push(to_stereo(resample(audio, rate, STEREO_RATE)))
        if (found := transcriber.finish().sheet) is not None:
            sheets[_TRANSCRIBED] = found
    for name, sheet in sheets.items():
        for lead in leads:
            arranged = _arranged(sheet, band, args.strength, args.seed, lead)
            measure_arrangement(arranged, song, lead, pools[name])


def _arranged(sheet: LeadSheet, band: Band, strength: float, seed: int, lead: str) -> Arrangement:
    generator = torch.Generator().manual_seed(seed)
    return arrange(sheet, band, strength, generator, ArrangeOptions(lead=lead, swing=1.0))


def _sound(
    song: Song,
    found: Arrangement,
    lead: str,
    pools: Mapping[str, Pool],
    ensemble: Ensemble,
    room: Room,
    place: Path,
) -> None:
    """Renders an arrangement and the song's own file, and measures both."""
    began = time.process_time()
    blocks = ensemble.stem_blocks(found.parts, song.known.seconds + TAIL_SECONDS)
    stems = [np.concatenate(stem, axis=1) for stem in zip(*blocks, strict=True)]
    mix = RoomFilter(room, ensemble.sample_rate)(np.sum(stems, axis=0))
    pools["arranger"].add({"rendering (s per 3 min)": _per_song(began, song)})
    audio = torch.from_numpy(mix * np.float32(peak_gain(float(np.abs(mix).max()))))
    levels = {part.name: _level(stem) for part, stem in zip(found.parts, stems, strict=True)}
    if {"lead", "comping"} <= levels.keys():
        pools["arranger"].add({"lead - chords (dB)": levels["lead"] - levels["comping"]})
    original = place / f"{song.path.stem}.source.flac"
    if not original.exists():
        render_midi(read_score(song.path), original)
    source = read_audio(original)[0][:, : audio.shape[1]]
    starts = [found.sheet.beats[found.sheet.bars[index].beat] for index in found.reharmonised]
    edges = [song.known.beats[bar.beat] for bar in song.known.bars]
    left_out = frozenset((np.searchsorted(edges, np.add(starts, 0.05)) - 1).tolist())
    measure_sound(audio, source, song, left_out, pools["arranger"])
    measure_sound(source, source, song, frozenset(), pools[_SOURCE])
    if place.exists():
        write_audio(place / f"{song.path.stem}.{lead}.flac", audio, 44100, overwrite=True)


def _until(song: Song, seconds: float) -> Song:
    """The song until the last bar that ends before ``seconds``."""
    known = song.known
    edges = [*(bar.beat for bar in known.bars), len(known.beats) - 1]
    last = max((edge for edge in edges if known.beats[edge] <= seconds), default=edges[1])
    bars = tuple(bar for bar in known.bars if bar.beat < last)
    end = known.beats[last]
    melody = tuple(note for note in known.melody if note.start < end - 0.05)
    return Song(song.path, replace(known, beats=known.beats[: last + 1], bars=bars, melody=melody))


def _level(sound: NDArray[np.float32]) -> float:
    """RMS in dB."""
    return float(10 * np.log10(np.mean(np.square(sound, dtype=np.float64)) + 1e-12))


def _network(song: Song, style: str, place: Path) -> Path:
    """The output of the network mode for a song, by the command."""
    output = place / f"{song.path.stem}.network.mid"
    if not output.exists():
        words = [str(song.path), "--style", style, "--mode", "network", "-q", "-o", str(output)]
        subprocess.run(
            [sys.executable, "-m", "audiotransfer", *words], check=True, stdout=subprocess.DEVNULL
        )
    return output


def _leads(band: Band, wanted: str) -> list[str]:
    """Names of the leads that are measured."""
    if wanted in ("all", "each in turn"):
        return [str(name) for name in band.role("lead").instruments]
    return wanted.split(",")


def _per_song(began: float, song: Song) -> float:
    """Processor seconds since ``began``, for three minutes of the song."""
    return (time.process_time() - began) * 180.0 / song.known.seconds


if __name__ == "__main__":
    sys.exit(main())
