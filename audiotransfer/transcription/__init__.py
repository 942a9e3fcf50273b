"""Transcription of recordings: from sound to a lead sheet."""

from audiotransfer.transcription.activations import PitchActivations, RhythmActivations
from audiotransfer.transcription.transcriber import Transcriber, Transcription

__all__ = ["PitchActivations", "RhythmActivations", "Transcriber", "Transcription"]
