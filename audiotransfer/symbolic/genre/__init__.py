"""Scores from one genre to another: phrases, networks, and back to notes."""
