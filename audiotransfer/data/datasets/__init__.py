"""Data sets: a reader for each layout of a collection."""
