"""What clients of the API send, checked: requests for transfers, edits of lead sheets, mixes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

Format = Literal["wav", "flac", "mp3", "ogg"]
Encoding = Literal["int16", "int24", "float32"]
_Id = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
_Name = Annotated[str, Field(min_length=1, max_length=64, pattern="^[a-z0-9][a-z0-9_-]*$")]
_Choice = Annotated[
    str, Field(max_length=80, pattern="^[a-z0-9][a-z0-9_-]*(@[01]?[.]?[0-9]{0,6})?$")
]
_Gain = Annotated[FiniteFloat, Field(ge=-60, le=60)]
_Seconds = Annotated[FiniteFloat, Field(ge=0, le=86_400)]
_MOST_EDITS, _MOST_TRACKS = 2000, 64
_HIGHEST_GAIN = 1e4  # 80 dB: two faders of the page at 12 dB each, and a quiet song's loudness


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False)


class ChordEdit(_Request):
    """A chord that somebody corrects: from this beat on, ``symbol`` is played."""

    kind: Literal["chord"] = "chord"
    beat: Annotated[FiniteFloat, Field(ge=0, description="beat of the song, 0 is the first")]
    symbol: Annotated[str, Field(min_length=1, max_length=24, description="as Dm7 or G7/B")]


class BarLineEdit(_Request):
    """A bar line that somebody moves to another time of the song."""

    kind: Literal["bar"] = "bar"
    bar: Annotated[int, Field(ge=0, description="the bar that begins there, 0 is the first")]
    seconds: Annotated[_Seconds, Field(description="in the part of the song that was transferred")]


class SectionEdit(_Request):
    """A section that somebody begins at a bar, or names otherwise; without a name it does not
    begin there.
    """

    kind: Literal["section"] = "section"
    bar: Annotated[int, Field(ge=0, description="the bar that it begins with, 0 is the first")]
    name: Annotated[
        str,
        Field(max_length=24, pattern="^([A-Za-z0-9][A-Za-z0-9 _'-]*)?$", description="as A or B"),
    ]


Edit = ChordEdit | BarLineEdit | SectionEdit


class JobRequest(_Request):
    """A transfer of an uploaded song; the fields are options of the command line."""

    song: Annotated[_Id, Field(description="as `POST /api/songs` returned it")]
    style: Annotated[_Name, Field(description="one of `GET /api/styles`")]
    mode: Literal["auto", "cover", "timbre", "network"] = "auto"
    strength: Annotated[FiniteFloat, Field(ge=0, le=1)] = 1.0
    stems: Annotated[
        dict[_Name, _Choice],
        Field(max_length=16, description="stem: keep, mute, cover, timbre, STYLE, STYLE@STRENGTH"),
    ] = {}
    gains: Annotated[dict[_Name, _Gain], Field(max_length=32, description="stem: dB")] = {}
    seed: Annotated[int, Field(ge=0, lt=2**53)] = 0
    start: _Seconds | None = None
    end: _Seconds | None = None
    preview: Annotated[bool, Field(description="15 s, from start or a third of the song")] = False
    lead: Annotated[_Name | None, Field(description="of covers: who plays the melody")] = None
    transpose: Annotated[int, Field(ge=-24, le=24)] = 0
    swing: Annotated[FiniteFloat | None, Field(ge=0, le=1)] = None
    separator: Literal["auto", "embedded", "hpss", "none"] = "auto"
    effects: bool = True
    format: Format = "wav"
    encoding: Encoding = "int16"
    sheet_of: Annotated[
        _Id | None, Field(description="a cover whose lead sheet is used, with the edits")
    ] = None
    edits: Annotated[list[Edit], Field(max_length=_MOST_EDITS)] = []


class MixRequest(_Request):
    """A mix of a job's tracks as it is set on the page."""

    gains: Annotated[
        dict[_Name, Annotated[FiniteFloat, Field(ge=0, le=_HIGHEST_GAIN)]],
        Field(max_length=_MOST_TRACKS, description="track: linear gain; others are silent"),
    ]
    format: Format = "wav"
    encoding: Encoding = "int16"


class SheetEdits(_Request):
    """Corrections of a lead sheet."""

    edits: Annotated[list[Edit], Field(max_length=_MOST_EDITS)]


class Things(_Request):
    """Songs and jobs by their ids."""

    ids: Annotated[list[_Id], Field(max_length=1000)]
