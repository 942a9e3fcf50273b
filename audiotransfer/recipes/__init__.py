"""Recipes: each trains a style, separator or classifier from a section of a config."""

from audiotransfer.recipes.base import Recipe, Run, Show
from audiotransfer.recipes.registry import (
    RECIPES,
    TrainingConfig,
    finish,
    load_training,
    render,
    train,
)

__all__ = [
    "RECIPES",
    "Recipe",
    "Run",
    "Show",
    "TrainingConfig",
    "finish",
    "load_training",
    "render",
    "train",
]
