"""From a config to something that works: rendered songs, a separator, a style or a judge."""

from audiotransfer.recipes.exporting import write_style
from audiotransfer.recipes.judge import JudgeRecipe
from audiotransfer.recipes.running import TrainingConfig, render, train
from audiotransfer.recipes.separator import SeparatorRecipe, export_separator, separator_takes
from audiotransfer.recipes.style import StyleRecipe, UnpairedRecipe
from audiotransfer.recipes.watching import Show

__all__ = [
    "JudgeRecipe",
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
