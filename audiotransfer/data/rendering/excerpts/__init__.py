"""Excerpts of rendered pieces with their truth, to train transcription networks on."""

from audiotransfer.data.rendering.excerpts.arranging import ExcerptSettings
from audiotransfer.data.rendering.excerpts.corpus import render_excerpt, render_excerpts

__all__ = ["ExcerptSettings", "render_excerpt", "render_excerpts"]
