"""A style of one's own from a folder of songs: what it costs, its config, and how good it got."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor

from audiotransfer.atomic import write_bytes
from audiotransfer.audio.reading import read_audio
from audiotransfer.data.paired_features import FOLDER
from audiotransfer.data.stem_mixes import mix
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.baselines.audio import MatchedEQ
from audiotransfer.preparation.own_pairs import (
    SECONDS,
    SONG_RMS,
    VERSIONS,
    Show,
    SongLength,
    excerpt,
    make_pairs,
    pair_styles,
    separated,
)
from audiotransfer.spectral.models.base import STEMS, SpectrogramModel
from audiotransfer.spectral.objectives.losses import power_sum
from audiotransfer.spectral.objectives.templates import TEMPLATE_MODELS, TemplateObjective
from audiotransfer.spectral.transfer import load_generator
from audiotransfer.styles.card import Card, read_card, write_card
from audiotransfer.training.checkpoints import load_facts
from audiotransfer.training.distances import frame_distance
from separation import Separator
from vocoder import SpectrogramSettings

SONGS = "songs"
LEAST_SECONDS = 60.0
"""Of music, below which nothing can be learned."""
FEW_SONGS = 5
_USUAL_STEPS, _LEAST_STEPS = 1200, 150
_LONGEST_SECONDS = 2.5 * 3600  # of preparation and training, unless asked for
USUAL_PATIENCE = 8
"""Validations without a better one after which a training ends, unless asked for."""
_FRAMES, _BATCH = 256, 4
_SEED, _LEARNING_RATE = 10, 4e-4
_WEIGHTS = {"audible": 0.3, "frame": 0.3, "deep": 0.1, "together": 2.0}
_VALIDATE_EVERY, _VALIDATIONS = 50, 6  # steps; validations of a short training, at least
_TRAINER = {
    "steps": _USUAL_STEPS,
    "schedule": "constant",  # so that the number of steps can be changed on the way
    "warmup": 20,
    "clip_norm": 1.0,
    "ema_decay": 0.99,
    "precision": "bf16-mixed",
    "log_every": 10,
    "checkpoint_every": 25,
    "validate_every": _VALIDATE_EVERY,
    "patience": USUAL_PATIENCE,
}
_HELD_OUT = 0.1  # of the songs
_MEASURED_SECONDS = 6.0
_CLOSEST_SONGS, _EQUALISER_PAIRS = 2, 20
_ABSENT_DB = -50.0  # level below which songs do not have a stem


@dataclass(frozen=True)
class Outlook:
    """What a training is going to take.

    ``preparation`` and ``training`` are seconds on this machine that are left, ``steps`` is where
    the training ends, ``step_seconds`` how long one takes, ``begin`` the step where it goes on.
    ``in_vain`` are the validations without a better one that ended it, 0 where it goes on.
    """

    preparation: float
    training: float
    steps: int
    step_seconds: float
    begin: int = 0
    in_vain: int = 0


@dataclass(frozen=True)
class Judgement:
    """Distances (nats) to held-out songs of the folder as other instruments played them.

    ``nothing`` is that of the input, ``equaliser`` that of matched equalisers of the stems, fitted
    to the other songs, ``style`` that of the style.
    """

    nothing: float
    equaliser: float
    style: float
    songs: int

    def words(self) -> str:
        """The judgement in a sentence."""
        against = {"doing nothing": self.nothing, "matched equalisers": self.equaliser}
        better = [
            f"{1 - self.style / other:.0%} nearer than {name}"
            for name, other in against.items()
            if self.style < other
        ]
        worse = [f"no nearer than {name}" for name, other in against.items() if self.style >= other]
        count = "1 song" if self.songs == 1 else f"{self.songs} songs"
        were = "was" if self.songs == 1 else "were"
        return (
            f"on {count} of yours that {were} kept out, played by other instruments, it comes "
            f"{' and '.join([*better, *worse])} to how they sound"
        )


def validate_every(steps: int) -> int:
    """After how many steps a training of so many is validated: six times at least, if it can be."""
    return max(1, min(_VALIDATE_EVERY, steps // _VALIDATIONS))


def check_request(name: str, stems: Sequence[str], songs: Sequence[SongLength]) -> list[str]:
    """Remarks on a request; raises AudioTransferError where nothing can be learned."""
    Card(name, "", {}, {})  # refuses a name that no card takes
    for stem in stems:
        if stem not in STEMS:
            raise AudioTransferError(f"no style changes {stem!r}; --stems takes {', '.join(STEMS)}")
    if len(songs) == 1:
        raise AudioTransferError(
            f"{songs[0].path} is one song, and some are kept out to choose the weights: give two "
            "or more, better twenty; the sound of one song is copied by --style ./SONG"
        )
    seconds = sum(song.seconds for song in songs)
    if seconds < LEAST_SECONDS:
        raise AudioTransferError(
            f"{seconds:.0f} s of music in {len(songs)} songs are too little to learn from; give a "
            "minute or more, better twenty songs"
        )
    if len(songs) < FEW_SONGS:
        return [
            f"{len(songs)} songs are little to learn from: the style will know their sound, and "
            "hardly what others of the kind sound like; twenty are better"
        ]
    return []


def outlook(
    songs: Sequence[SongLength],
    stems: Sequence[str],
    separator: Separator,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    patience: int | None = None,
    folder: Path | None = None,
) -> Outlook:
    """What a training takes on this machine, from the time of a few seconds of its work.

    ``steps`` and ``minutes`` are what the user asked for; without, as many steps as are usual, and
    no more than fit into two and a half hours. What the training's ``folder`` has already, pairs
    and steps, is not done again, and nothing where as many validations as ``patience`` were without
    a better one.
    """
    prepared, begin, in_vain = (0.0, 0, 0) if folder is None else _done(folder, len(songs))
    ended = patience is not None and in_vain >= patience
    noise = 0.1 * torch.randn(
        2, round(_MEASURED_SECONDS * 44100), generator=torch.Generator().manual_seed(0)
    )
    began = time.perf_counter()
    with torch.no_grad():
        separator(noise, torch.Generator().manual_seed(0))
    separating = time.perf_counter() - began
    style = next(iter(pair_styles().values()))
    models = {
        stem: load_generator(style.folder / entry.weights)
        for stem in stems
        if (entry := style.card.stems.get(stem)) is not None
    }
    began = time.perf_counter()
    with torch.no_grad():
        for model in models.values():
            features = model.features(noise, SpectrogramSettings())
            model.predict(features[None], torch.zeros(1, dtype=torch.long))
    # The way back to sound and the features of target and source take about three times as long.
    converting = 4 * (time.perf_counter() - began)
    a_second = (separating + VERSIONS * converting) / _MEASURED_SECONDS
    used = sum(min(song.seconds, SECONDS) for song in songs)
    preparation = a_second * used * (1 - prepared)
    step_seconds = _step_seconds(stems, models)
    if steps is None:
        room = 60 * minutes if minutes is not None else _LONGEST_SECONDS - preparation
        most = _USUAL_STEPS if minutes is None else 1_000_000
        steps = int(min(most, max(_LEAST_STEPS, begin + room / step_seconds)))
    training = 0.0 if ended else max(0, steps - begin) * step_seconds
    if minutes is not None:
        training = min(training, 60 * minutes)
    return Outlook(preparation, training, steps, step_seconds, begin, in_vain if ended else 0)


def _done(folder: Path, songs: int) -> tuple[float, int, int]:
    """The share of the pairs that a training's folder has, the steps that were done, and the
    validations since the best one.
    """
    pairs = len(list((folder / SONGS).glob("*/song.json")))
    try:
        facts = load_facts(folder / "checkpoint")
    except AudioTransferError:
        facts = {}
    share = min(1.0, pairs / max(1, songs * VERSIONS))
    return share, int(facts.get("step", 0)), int(facts.get("since_best", 0))


def _step_seconds(stems: Sequence[str], models: Mapping[str, SpectrogramModel]) -> float:
    """Seconds of a training step: forward and backward of one batch of noise."""
    trained = {
        stem: TEMPLATE_MODELS[stem](**{**models[stem].shape(), "styles": ["own"]}).initialise()
        for stem in stems
    }
    objective = TemplateObjective(trained, {"audible": 1.0, "frame": 1.0}, [1.0])
    generator = torch.Generator().manual_seed(0)
    spectrogram = SpectrogramSettings()
    batch = {}
    for stem, model in trained.items():
        rows = len(model.frequencies(spectrogram))
        batch[f"{stem}/source"] = torch.randn(_BATCH, rows, _FRAMES, generator=generator) - 5
        batch[f"{stem}/target"] = (
            torch.randn(_BATCH, 1, spectrogram.bins, _FRAMES, generator=generator) - 5
        )
    began = time.perf_counter()
    (turn,) = objective.turns(batch, 0, generator)
    torch.stack(
        [term for name, term in turn.terms.items() if name in turn.weights]
    ).sum().backward()
    return time.perf_counter() - began


def prepare_training(
    songs: Sequence[Path],
    name: str,
    folder: Path,
    separator: Separator,
    stems: Sequence[str],
    description: str,
    show: Show | None = None,
) -> tuple[Path, dict[str, str]]:
    """Writes the pairs and the config of a training into ``folder``; what is there is kept.

    Returns the config, and the songs that were left out with the reason. Raises AudioTransferError
    where fewer than two songs are left.
    """
    place = folder / SONGS
    refused = make_pairs(songs, name, place, separator, stems, show=show)
    made = len({path.parent.name.split("-")[0] for path in place.glob("*/song.json")})
    if made < 2:
        why = next(iter(refused.values()), "there are no others")
        raise AudioTransferError(f"{made} songs can be learned from, two are the least ({why})")
    config = folder / f"{name}.yaml"
    if not config.is_file():
        starts = closest_styles(songs, separator, stems, show)
        held_out = max(1, round(_HELD_OUT * made)) * VERSIONS
        settings = {
            "seed": _SEED,
            "templates": {
                "stems": list(stems),
                "styles": {name: description},
                "data": str(folder),
                "songs": SONGS,
                "widths": {stem: _width(starts[stem], stem) for stem in stems},
                "start": starts,
                "levels": stem_levels(place, name, stems),
                "weights": dict(_WEIGHTS),
                "learning_rate": _LEARNING_RATE,
                "validation_songs": held_out,
                "checkpoint_metric": {"songs": 0},
                "corpora": [
                    {"name": f"{made} songs of the user's own", "licence": "that of the songs"}
                ],
                "drawing": {
                    "batch": _BATCH,
                    "frames": _FRAMES,
                    "seed": _SEED,
                    "separated_share": 0.0,
                },
            },
            "trainer": dict(_TRAINER),
        }
        write_bytes(config, OmegaConf.to_yaml(OmegaConf.create(settings)).encode(), overwrite=True)
    return config, refused


def stem_levels(pairs: Path, name: str, stems: Sequence[str]) -> dict[str, float]:
    """The median level (dB) of each stem in the songs of ``pairs``, relative to the songs.

    A stem that most songs do not have is left out.
    """
    found = {}
    for stem in stems:
        paths = sorted(pairs.glob(f"*-0/target/{name}/{stem}.wav"))
        powers = [float(read_audio(path)[0].square().mean()) for path in paths]
        level = 10 * math.log10(max(float(np.median(powers)), 1e-12)) - 20 * math.log10(SONG_RMS)
        if level > _ABSENT_DB:
            found[stem] = round(level, 1)
    return found


def closest_styles(
    songs: Sequence[Path],
    separator: Separator,
    stems: Sequence[str],
    show: Show | None = None,
) -> dict[str, str]:
    """By stem, the style that ships which changes the songs' stem least: what training starts from.

    Two songs are looked at; a stem that is silent in them starts from the first style.
    """
    spectrogram = SpectrogramSettings()
    found: dict[str, dict[str, float]] = {stem: {} for stem in stems}
    parts = [separated(excerpt(song, 15.0), separator, stems) for song in songs[:_CLOSEST_SONGS]]
    for title, style in pair_styles().items():
        if show is not None:
            show(f"comparing with {title}", 1.0)
        for stem in stems:
            entry = style.card.stems.get(stem)
            if entry is None:
                continue
            model = load_generator(style.folder / entry.weights).eval()
            distances = [_change(model, part[stem], spectrogram) for part in parts]
            found[stem][title] = float(np.mean(distances))
    return {stem: min(of, key=lambda title: of[title]) for stem, of in found.items()}


@torch.no_grad()
def _change(model: SpectrogramModel, sound: Tensor, spectrogram: SpectrogramSettings) -> float:
    features = model.features(sound, spectrogram)
    made = model.predict(features[None], torch.zeros(1, dtype=torch.long))[0]
    return _distance(made, features[: spectrogram.bins])


def _width(style: str, stem: str) -> int:
    """The width of a style's network of a stem."""
    shape = load_generator(_weights(style, stem)).shape()
    return int(shape.get("width", shape.get("channels", 0)))


def _weights(style: str, stem: str) -> Path:
    found = pair_styles([style])[style]
    entry = found.card.stems[stem]
    assert entry is not None
    return found.folder / entry.weights


@torch.no_grad()
def compare(
    folder: Path,
    style: Path,
    stems: Sequence[str],
    held_out: int,
    show: Show | None = None,
) -> Judgement:
    """Compares a style with doing nothing and matched equalisers on the songs that were kept out.

    ``folder`` is that of the training, ``style`` that of the exported style, ``held_out`` the
    number of versions of songs that were not trained on: the first ones. ``show`` is called after
    each stem.
    """
    places = sorted(card.parent for card in (folder / SONGS).glob("*/song.json"))
    spectrogram = SpectrogramSettings()
    # A stem of the songs that were trained on is read for the equalisers; a network on a stem that
    # was kept out takes longer than that.
    total = len(stems) * (1 + len(places[:held_out]))
    done = 0

    def advance(stage: str) -> None:
        nonlocal done
        done += 1
        if show is not None:
            show(stage, done / total)

    gains = {}
    for stem in stems:
        gains[stem] = _gains(places[held_out:], stem, style.name)
        advance(f"equaliser of {stem}")
    models = {stem: load_generator(style / f"{stem}.safetensors").eval() for stem in stems}
    totals: dict[str, list[float]] = {"nothing": [], "equaliser": [], "style": []}
    for number, place in enumerate(places[:held_out], start=1):
        made: dict[str, list[Tensor]] = {name: [] for name in (*totals, "truth")}
        for stem in stems:
            features = _features(place, stem, "source")
            source = features[: spectrogram.bins]
            made["nothing"].append(source)
            made["equaliser"].append(source + gains[stem][:, None])
            made["style"].append(
                models[stem].predict(features[None], torch.zeros(1, dtype=torch.long))[0]
            )
            made["truth"].append(_features(place, stem, style.name))
            advance(f"{number} of {len(places[:held_out])} versions")
        truth = power_sum(made.pop("truth"))
        for name, parts in made.items():
            totals[name].append(_distance(power_sum(parts), truth))
    means = {name: float(np.mean(values)) for name, values in totals.items()}
    return Judgement(**means, songs=max(1, held_out // VERSIONS))


def mix_equaliser(folder: Path, name: str, held_out: int) -> MatchedEQ:
    """What brings mixes of the pairs that were trained on to the songs' sound, without a style.

    ``folder`` is that of the training, ``name`` the style's.
    """
    cards = sorted((folder / SONGS).glob("*/song.json"))[held_out:][:_EQUALISER_PAIRS]
    places = [card.parent for card in cards]
    return MatchedEQ.fit(
        (mix(place / "source") for place in places),
        (mix(place / "target" / name) for place in places),
    )


def record(style: Path, judgement: Judgement) -> None:
    """Writes a judgement into the card of a style, as ratios to doing nothing."""
    card = read_card(style)
    figures = {
        "songs": f"{judgement.songs} of the folder's songs that were kept out, as played by other "
        "instruments",
        "doing nothing": {"distance ratio": 1.0},
        "matched EQ": {"distance ratio": round(judgement.equaliser / judgement.nothing, 3)},
        "style": {"distance ratio": round(judgement.style / judgement.nothing, 3)},
    }
    write_card(style, replace(card, figures={**card.figures, **figures}))


def ending(folder: Path, steps: int) -> str:
    """Why a training that ended before its last step did so; empty where it did not."""
    _, step, in_vain = _done(folder, 1)
    if step >= steps:
        return ""
    why = f"the last {in_vain} validations were no better" if in_vain else "its time was over"
    return f"training ended after {step} of {steps} steps: {why}"


def _features(place: Path, stem: str, side: str) -> Tensor:
    return torch.from_numpy(np.load(place / FOLDER / f"{stem}.{side}.npy").astype(np.float32).T)


def _gains(places: Sequence[Path], stem: str, name: str) -> Tensor:
    """The mean difference of a stem's spectra ``[F]`` (nats) from sources to truths."""
    found = []
    for place in places:
        truth = _features(place, stem, name)
        found.append(truth.mean(-1) - _features(place, stem, "source")[: len(truth)].mean(-1))
    return torch.stack(found).mean(0)


def _distance(made: Tensor, truth: Tensor) -> float:
    return float(frame_distance(made[None, None], truth[None, None]).mean())
