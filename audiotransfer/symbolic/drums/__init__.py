"""Drum patterns of nine drums: a variational autoencoder, its data, and what it is used for."""
