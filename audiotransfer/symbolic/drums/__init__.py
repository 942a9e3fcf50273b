"""Drum patterns: a variational autoencoder, its data, sampling and style transfer."""
