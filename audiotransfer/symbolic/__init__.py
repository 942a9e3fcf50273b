"""Networks on notes (MIDI): genre transfer, accompaniment, drums."""
