"""The recipe of the pitch network: lead, notes, bass, chords and voice from recordings."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import mir_eval
import numpy as np
import torch

from audiotransfer.atomic import write_bytes
from audiotransfer.recipes.base import Run, restore
from audiotransfer.transcription.activations import LOWEST, PITCHES
from audiotransfer.transcription.notes import lead_notes
from audiotransfer.transcription.pitch_examples import (
    UNKNOWN,
    Augmentation,
    PitchBatches,
    PitchExample,
    crop_features,
    crop_labels,
    read_examples,
)
from audiotransfer.transcription.pitch_features import FRAME_RATE
from audiotransfer.transcription.pitch_network import (
    PitchNetwork,
    load_pitch_network,
    save_pitch_network,
)
from audiotransfer.transcription.pitch_objective import PitchLoss, PitchObjective
from audiotransfer.transcription.pitch_transcriber import frame_activations

if TYPE_CHECKING:
    from audiotransfer.leadsheet import Note
    from audiotransfer.training import Objective

_NETWORK = "pitch"


@dataclass
class PitchTranscriptionRecipe:
    """A pitch network, from the rendered excerpts of ``data/train`` and ``data/validation``.

    ``seconds`` is the length of the crops, ``validation`` the most excerpts validated on. Training
    begins with the weights of ``start``; with ``voice_only`` nothing changes but the answer to
    where somebody sings. Of the crops the share ``voices_share`` are of ``voices/train``, another
    folder, whose figures in ``voices/validation`` are those that begin with ``sung``. What is
    written is the mean of the weights of ``start``, with the share ``kept``, and the trained ones
    (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).
    """

    name: str = "pitch"
    start: str | None = None
    voice_only: bool = False
    kept: float = 0.0
    data: str = "data/excerpts"
    voices: str | None = None
    voices_share: float = 0.4
    batch: int = 8
    seconds: float = 6.0
    validation: int = 40
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    channels: int = 48
    head: int = 32
    side: int = 144
    loss: PitchLoss = field(default_factory=PitchLoss)
    augmentation: Augmentation = field(default_factory=Augmentation)

    def train(self, run: Run) -> dict[str, float]:
        """Trains the network, and writes ``NAME.safetensors`` and ``NAME.json`` with its figures.

        Raises AudioTransferError for a folder without excerpts.
        """
        cache = run.folder / "features"
        examples = read_examples(Path(self.data) / "train", cache / "train")
        held = read_examples(Path(self.data) / "validation", cache / "validation", self.validation)
        voices = voices_held = None
        if self.voices is not None:
            voices = read_examples(Path(self.voices) / "train", cache / "voices-train")
            voices_held = read_examples(
                Path(self.voices) / "validation", cache / "voices-validation", self.validation
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            network = PitchNetwork(self.channels, self.head, self.side)
        if self.start is not None:
            network = load_pitch_network(Path(self.start)).train()

        def figures() -> dict[str, float]:
            found = validation_figures(network, held)
            if voices_held is not None:
                sung = validation_figures(network, voices_held)
                found |= {f"sung {name}": value for name, value in sung.items()}
            return found

        def validate(_: Objective) -> dict[str, float]:
            return figures()

        frames = 2 * round(self.seconds * FRAME_RATE / 2)
        fit = run.fit(
            PitchObjective(
                network, self.loss, self.learning_rate, self.weight_decay, self.voice_only
            ),
            PitchBatches(
                examples,
                self.batch,
                frames,
                run.seed,
                self.augmentation,
                voices or [],
                self.voices_share,
            ),
            self,
            validation=validate,
            averaged=(_NETWORK,),
        )
        if not fit.exports:
            return fit.figures
        restore(fit.last, {_NETWORK: network})
        if self.start is not None and self.kept:
            _mix_in(network, load_pitch_network(Path(self.start)), self.kept)
        save_pitch_network(run.folder / f"{self.name}.safetensors", network)
        card = {
            "validation": {name: round(value, 3) for name, value in figures().items()},
            "excerpts": dict(Counter(str(example.about.get("set")) for example in examples)),
            "excerpts of voices": len(voices or []),
            "steps": fit.steps,
            "hours": round(fit.hours, 2),
            "config": run.config,
        }
        text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
        write_bytes(run.folder / f"{self.name}.json", text.encode(), overwrite=True)
        return fit.figures


def _mix_in(network: PitchNetwork, other: PitchNetwork, share: float) -> None:
    """Moves a network's weights by a share of the way to those of another one."""
    with torch.no_grad():
        for own, its in zip(network.parameters(), other.parameters(), strict=True):
            own.lerp_(its.to(own), share)


def validation_figures(network: PitchNetwork, examples: list[PitchExample]) -> dict[str, float]:
    """Figures of whole excerpts.

    ``score`` is the F-measure of the lead's notes by onset (±50 ms) and pitch, ``lead``, ``chords``
    and ``bass`` shares of frames that are right, ``rest`` the share of frames without a lead that
    were found to be, and ``voice`` the share of frames where a voice was told right. ``pitch`` is
    the share of frames with a lead whose pitch the decoded notes have.
    """
    network.eval()
    shares: dict[str, list[float]] = {}
    for example in examples:
        count = len(example.features)
        found = frame_activations(network, crop_features(example, 0, count))
        labels = crop_labels(example, 0, count)
        if example.known["lead"]:
            truth = example.lead[:, :2] / FRAME_RATE, example.lead[:, 2]
            notes = lead_notes(found)
            shares.setdefault("score", []).append(note_figures(truth, notes)[2])
            rest = labels["lead"] == PITCHES
            best = found.lead.argmax(1)
            if rest.any():
                shares.setdefault("rest", []).append(float((best == PITCHES)[rest].mean()))
            if not rest.all():
                right = (best == labels["lead"])[~rest]
                shares.setdefault("lead", []).append(float(right.mean()))
                told = _frames_of(notes, count) == labels["lead"]
                shares.setdefault("pitch", []).append(float(told[~rest].mean()))
        for name in ("chords", "bass"):
            known = labels[name] != UNKNOWN
            if example.known[name] and known.any():
                right = getattr(found, name).argmax(1) == labels[name]
                shares.setdefault(name, []).append(float(right[known].mean()))
        right = (found.voice > 0.5) == (labels["voice"] > 0.5)
        shares.setdefault("voice", []).append(float(right.mean()))
    return {name: float(np.mean(values)) for name, values in shares.items()}


def _frames_of(notes: list[Note], frames: int) -> np.ndarray:
    """The class of each frame of notes that do not overlap: the lead's, or none."""
    classes = np.full(frames, PITCHES)
    for note in notes:
        first = round(note.start * FRAME_RATE)
        classes[first : round((note.start + note.duration) * FRAME_RATE)] = note.pitch - LOWEST
    return classes


def note_figures(
    truth: tuple[np.ndarray, np.ndarray], notes: list[Note]
) -> tuple[float, float, float]:
    """Precision, recall and F-measure of notes by onset (±50 ms) and pitch (±50 cents).

    ``truth``: beginnings and ends in seconds ``[N, 2]``, and MIDI pitches ``[N]``.
    """
    if len(notes) == 0 or len(truth[1]) == 0:
        return (0.0, 0.0, 0.0)
    spans = np.array([(note.start, note.start + note.duration) for note in notes])
    pitches = np.array([note.pitch for note in notes])
    precision, recall, measure, _ = mir_eval.transcription.precision_recall_f1_overlap(
        truth[0].astype(float),
        440.0 * 2.0 ** ((np.round(truth[1].astype(float)) - 69) / 12),
        spans,
        440.0 * 2.0 ** ((pitches - 69.0) / 12),
        offset_ratio=None,
    )
    return float(precision), float(recall), float(measure)
