"""The models that ship in styles, and the interface of all spectrogram models."""
