"""The cover route: arranges a lead sheet for the band of a style.

- The way of a song: `arranger`, `planning` (`retiming`, `form`, `melody`, `harmony`,
  `reharmonisation`, `endings`), `plan`, `instrumentation`, `timing`. `own_notes` plays the song's
  own notes at low strengths.
- What a style says: `band` (its ``band.yaml``), `counts` (tables beside it), `writers` (the
  functions that a band may name).
- Writers of all bands: `lead`. Of the jazz band, by counts: `comping` (`rhythms`, `voicings`),
  `bass` (`walking`), `second_voice`, `drums` (`tablature`).
- Writers by patterns of a band's file: `pattern_chords`, `strings`, `pattern_bass`,
  `pattern_drums`, with `patterns`, `pattern_parts`, `voice_leading` and `riffs`.
- Small networks beside the counts: `features`, `examples`, `networks`, `learned_comping`.
"""
