"""Collections of songs to train from and to measure on."""
