"""Styles for scores on trial."""
