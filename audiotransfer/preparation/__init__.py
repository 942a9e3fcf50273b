"""Collections of songs made ready for training: stems and spectrograms, worked out once."""

from audiotransfer.preparation.collection import Settings, prepare_collection
from audiotransfer.preparation.spectrograms import spectrogram_settings

__all__ = ["Settings", "prepare_collection", "spectrogram_settings"]
