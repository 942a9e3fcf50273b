"""Recipes: a config becomes rendered songs, a separator, a style or a classifier."""

from audiotransfer.recipes.base import Recipe, Run, Show
from audiotransfer.recipes.registry import RECIPES, TrainingConfig, load_training, render, train

__all__ = ["RECIPES", "Recipe", "Run", "Show", "TrainingConfig", "load_training", "render", "train"]
