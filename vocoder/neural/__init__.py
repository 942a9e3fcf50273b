"""Networks that turn mel spectrograms back into spectra, and their training's loss."""
