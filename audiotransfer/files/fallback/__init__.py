"""AAC without FFmpeg: what a plain installation still reads of m4a and aac files.

PyAV's wheels carry an FFmpeg that is linked with GPL encoders (x264, x265), so it is an extra and
not there by default. libsndfile knows no AAC. sphn, which Demucs brings, decodes AAC-LC, but finds
no channels in MP4 files, and seeks in neither them nor ADTS streams exactly: the frames are found
here, and handed to it as small ADTS streams. Everything else that libsndfile does not read wants
FFmpeg.
"""

from audiotransfer.files.fallback.aac import AacSource

__all__ = ["AacSource"]
