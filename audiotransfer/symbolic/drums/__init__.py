"""Drums: beats of nine drums, the network that draws them from points of a space, and its data."""
