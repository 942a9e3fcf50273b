"""From a config to something that works: rendered songs, a separator, a style or a judge."""

from audiotransfer.recipes.base import Show
from audiotransfer.recipes.export import write_style
from audiotransfer.recipes.genre_classifier import GenreClassifierRecipe
from audiotransfer.recipes.registry import TrainingConfig, render, train
from audiotransfer.recipes.separator import SeparatorRecipe, export_separator, separator_takes
from audiotransfer.recipes.style import StyleRecipe, UnpairedRecipe

__all__ = [
    "GenreClassifierRecipe",
    "SeparatorRecipe",
    "Show",
    "StyleRecipe",
    "TrainingConfig",
    "UnpairedRecipe",
    "export_separator",
    "render",
    "separator_takes",
    "train",
    "write_style",
]
