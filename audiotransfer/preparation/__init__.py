"""Collections of songs made ready for training: stems and pictures, worked out once."""

from audiotransfer.preparation.collection import Settings, prepare_collection
from audiotransfer.preparation.spectrograms import picture_settings

__all__ = ["Settings", "picture_settings", "prepare_collection"]
