"""Generators of the SoundFont specification, 8.1: what each number sets, and in which unit.

Times are in timecents (1200 a factor of 2, 0 is a second), cutoffs and frequencies in cents above
8.176 Hz, attenuations in centibels, offsets in samples.
"""

START, END, LOOP_START, LOOP_END, START_COARSE = 0, 1, 2, 3, 4
MOD_LFO_TO_PITCH, VIBRATO_TO_PITCH, MOD_ENVELOPE_TO_PITCH = 5, 6, 7
CUTOFF, RESONANCE = 8, 9
MOD_LFO_TO_CUTOFF, MOD_ENVELOPE_TO_CUTOFF = 10, 11
END_COARSE = 12
MOD_LFO_TO_VOLUME = 13
PAN = 17
MOD_LFO_DELAY, MOD_LFO_FREQUENCY, VIBRATO_DELAY, VIBRATO_FREQUENCY = 21, 22, 23, 24
#: Delay, attack, hold, decay, sustain, release follow each other, then key to hold and to decay.
MOD_ENVELOPE, VOLUME_ENVELOPE = 25, 33
INSTRUMENT, KEY_RANGE, VELOCITY_RANGE = 41, 43, 44
LOOP_START_COARSE = 45
FIXED_KEY, FIXED_VELOCITY = 46, 47
ATTENUATION = 48
LOOP_END_COARSE = 50
COARSE_TUNE, FINE_TUNE = 51, 52
SAMPLE, SAMPLE_MODES, SCALE_TUNING, EXCLUSIVE_CLASS, ROOT_KEY = 53, 54, 56, 57, 58

#: A time of nothing.
NO_TIME = -12000
#: What holds where a file says nothing.
DEFAULTS = {
    **dict.fromkeys(range(18), 0),
    CUTOFF: 13500,
    **dict.fromkeys((MOD_LFO_DELAY, VIBRATO_DELAY), NO_TIME),
    **dict.fromkeys((MOD_LFO_FREQUENCY, VIBRATO_FREQUENCY), 0),
    **{
        first + place: amount
        for first in (MOD_ENVELOPE, VOLUME_ENVELOPE)
        for place, amount in enumerate((*[NO_TIME] * 4, 0, NO_TIME, 0, 0))
    },
    LOOP_START_COARSE: 0,
    FIXED_KEY: -1,
    FIXED_VELOCITY: -1,
    ATTENUATION: 0,
    LOOP_END_COARSE: 0,
    COARSE_TUNE: 0,
    FINE_TUNE: 0,
    SAMPLE_MODES: 0,
    SCALE_TUNING: 100,
    EXCLUSIVE_CLASS: 0,
    ROOT_KEY: -1,
}
#: What only an instrument may set.
NOT_IN_PRESETS = {
    START,
    END,
    LOOP_START,
    LOOP_END,
    START_COARSE,
    END_COARSE,
    LOOP_START_COARSE,
    LOOP_END_COARSE,
    FIXED_KEY,
    FIXED_VELOCITY,
    SAMPLE_MODES,
    EXCLUSIVE_CLASS,
    ROOT_KEY,
}
