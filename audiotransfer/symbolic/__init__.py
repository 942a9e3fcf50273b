"""Route 2: networks on notes (MIDI): genre transfer, accompaniment, drums."""
