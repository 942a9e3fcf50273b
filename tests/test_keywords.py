"""The Python interface's types name what there is: styles, stems, options."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path
from typing import get_args

import audiotransfer
import separation
from audiotransfer.pipeline import CoverOptions, TransferOptions, keywords
from audiotransfer.pipeline.cover_options import RECORDING_MODES
from audiotransfer.pipeline.options import _PATHS, _WORDS, from_fields
from audiotransfer.styles import installed
from audiotransfer.styles.find import SHIPPED


def test_names_are_those_that_ship() -> None:
    shipped = [style.card for style in installed() if SHIPPED in style.folder.parents]
    recordings = {card.name for card in shipped if card.route != "symbolic" or card.band}
    assert set(get_args(keywords.StyleName)) == recordings
    words, styles = get_args(keywords.Choice)
    assert get_args(words) == _WORDS and styles == keywords.StyleName
    assert get_args(keywords.Mode) == RECORDING_MODES
    stems = separation.create("embedded").stems
    assert (
        set(get_args(keywords.StemName)) == set(stems) == set(keywords.StemChoices.__annotations__)
    )


def test_options_are_the_fields_of_what_they_become() -> None:
    options = {field.name for field in (*fields(TransferOptions), *fields(CoverOptions))}
    assert {*keywords.TransferKeywords.__annotations__, "style", "stems"} == options
    parameters = set(inspect.signature(audiotransfer.transfer).parameters)
    assert not parameters & set(keywords.TransferKeywords.__annotations__)


def test_help_names_the_options() -> None:
    text = inspect.getdoc(audiotransfer.transfer)
    assert text is not None
    rare = {"block", "keep_parts", "leadsheet_of_part", "tempo", "intro", "outro", "cover"}
    for name in set(keywords.TransferKeywords.__annotations__) - rare - {"encoding"}:
        assert f"``{name}``" in text, name


def test_paths_may_be_text() -> None:
    options = from_fields(style="jazz", **dict.fromkeys(_PATHS, "a/b.json"))
    assert options.cover.leadsheet == options.midi_out == Path("a/b.json")
    assert options.stems_out == options.sheet_out == Path("a/b.json")
    paths = {field.name for field in fields(TransferOptions) if "Path" in str(field.type)}
    assert paths - {"style"} == set(_PATHS) - {"leadsheet"}
