"""Preparation of songs for training: their stems and spectrograms, computed once."""

from audiotransfer.preparation.collection import Settings, prepare_collection
from audiotransfer.preparation.spectrograms import spectrogram_settings

__all__ = ["Settings", "prepare_collection", "spectrogram_settings"]
