"""Measures, baselines and judges of scores."""
