"""Help pages and usage errors: lines that fit a screen, hints for misspelt verbs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from audiotransfer.cli.main import VERBS
from audiotransfer.cli.verbs import load

SPECTRAL = "classical, electronic, jazz, jazz-cycle-gan, jazz-melgan-vc, rock"
STYLES = SPECTRAL.replace("rock", "jazz-piano, jazz-piano-cycle, rock")
Run = Callable[..., tuple[int, str, str]]
STYLED = {"transfer": "--style", "demo": "--style", "evaluate": "STYLE", "prepare": "--style-of"}


@pytest.mark.parametrize("words", [("--help",), ("help",), *((verb, "--help") for verb in VERBS)])
def test_a_page_fits_a_screen(run: Run, words: tuple[str, ...]) -> None:
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("usage: audiotransfer")
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 80
    # Lists and sentences end with their last item; SONG... are several.
    assert not re.search(r"…|[a-z ]\.\.\.", "\n".join(lines[2:]))
    assert lines == [line.rstrip() for line in lines]


@pytest.mark.parametrize("verb", VERBS)
def test_help_explains_a_verb(run: Run, verb: str) -> None:
    assert run("help", verb)[1].rstrip() == run(verb, "--help")[1].rstrip()


def test_the_first_page_lists_verbs_and_styles(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0 and run("help")[1].rstrip() == run("-h")[1].rstrip() == out.rstrip()
    for verb, what in VERBS.items():
        assert re.search(rf"^  {verb} +{re.escape(what)}$", out, re.MULTILINE)
    words = " ".join(out.split())
    assert f"styles for recordings: bossa, {STYLES}" in words
    assert "bossa, classical, electronic, jazz, pop" in words
    code, out, err = run()
    assert (code, out) == (2, "") and err.startswith("usage:")
    assert run("--version")[1].startswith("audiotransfer ")


@pytest.mark.parametrize(("verb", "argument"), STYLED.items())
def test_a_page_lists_the_styles_that_its_argument_takes(
    run: Run, verb: str, argument: str
) -> None:
    page = " ".join(run(verb, "--help")[1].split())
    listed = page[page.index(f"{argument} ") :]
    assert (SPECTRAL if verb == "prepare" else STYLES) in listed
    if verb == "transfer":  # covers of recordings are in most styles of MIDI too
        assert f"bossa, {STYLES}; of MIDI also pop;" in listed
    if verb == "evaluate":
        assert "of MIDI bossa, classical, electronic, jazz, pop, rock" in listed


def test_drums_list_the_styles_of_the_drummer(run: Run) -> None:
    from audiotransfer.pipeline.midi_drums import SHIPPED, load_drummer

    page = " ".join(run("drums", "--help")[1].split())
    assert f"of a sample: {', '.join(load_drummer(SHIPPED).styles)} (default: any)" in page


@pytest.mark.parametrize(
    ("word", "near"),
    [("seperate", "separate"), ("separat", "separate"), ("remx", "remix"), ("evalute", "evaluate"),
     ("Styles", "styles"), ("fetsh", "fetch"), ("humanize", None), ("song", None)],
)  # fmt: skip
@pytest.mark.parametrize("rest", [(), ("x.wav",), ("x.wav", "--style", "jazz")])
def test_a_misspelt_verb_names_the_nearest(
    run: Run, word: str, near: str | None, rest: tuple[str, ...]
) -> None:
    code, out, err = run(word, *rest, "-q")
    assert out == "" and "Traceback" not in err
    if near is None:
        assert code in (1, 2) and "did you mean" not in err
    else:
        assert code == 2 and len(err.splitlines()) == 1
        assert f"did you mean {near}?" in err
        assert f"did you mean {near}?" in run("help", word)[2]


@pytest.mark.parametrize("word", ["train.mp3", "demo.wav", "./separat", "remix/song.wav"])
def test_a_file_that_is_missing_is_no_misspelt_verb(run: Run, word: str) -> None:
    code, _, err = run(word, "--style", "jazz")
    assert code == 2 and "does not exist" in err and "did you mean" not in err


@pytest.mark.parametrize(
    "words",
    [("", "--style", "jazz"), ("a\0b.wav", "--style", "jazz"), ("song.wav", "--style", ""),
     ("separate", ""), ("remix", ""), ("resynth", ""), ("accompany", ""), ("accompany", "a\0b"),
     ("render", ""), ("train", ""), ("prepare", "", "-o", "x"), ("drums", "humanise", "a\0b"),
     ("separate", "a.wav", "-o", ""), ("remix", "a", "-o", "a\0"), ("demo", "-o", ""),
     ("evaluate", "jazz", "--on", ""), ("fetch", "htdemucs", "--from", "")],
)  # fmt: skip
def test_names_that_name_nothing_are_refused(run: Run, words: tuple[str, ...]) -> None:
    code, out, err = run(*words)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "empty name" in err or "NUL" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("song.wav", "--strenght", "0"), "--strenght 0; did you mean --strength?"),
        (("song.wav", "--stile=jazz"), "--stile=jazz; did you mean --style?"),
        (("song.wav", "-x.wav", "--style", "jazz"), "names that begin with a dash go behind --"),
        (("separate", "-f.wav", "a.wav"), "names that begin with a dash go behind --"),
        (("song.wav", "--name", "{stem}\0", "--style", "jazz"), "has a NUL in it"),
        (("a\nb\x1b[1m.wav", "--style", "jazz"), r"a\nb\x1b[1m.wav does not exist"),
        (("a\u2028b.wav", "--style", "jazz"), r"a\u2028b.wav does not exist"),
        (("n" * 5000 + ".wav", "--style", "jazz"), "nnn...nnn"),
        (("styles", "n" * 5000), "nnn...nnn"),
    ],
)
def test_requests_are_refused_in_a_line_that_a_terminal_can_show(
    run: Run, words: tuple[str, ...], says: str
) -> None:
    code, out, err = run(*words)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert says in err and len(err) < 600 and err.rstrip("\n").isprintable()


@pytest.mark.parametrize(
    ("verb", "old", "present"),
    [
        ("resynth", "--picture", "--spectrogram"),
        ("prepare", "--picture", "--spectrogram"),
        ("evaluate", "--judge", "--classifier"),
        ("evaluate", "--pictures", "--plots"),
    ],
)
def test_old_names_of_options_are_read_and_not_listed(
    run: Run, verb: str, old: str, present: str
) -> None:
    parser = load(verb)[1]
    value = "mel" if verb == "resynth" else "bins=8"
    needed = ["jazz", "--on", "a"] if verb == "evaluate" else ["a"]
    assert parser.read([*needed, old, value]) == parser.read([*needed, present, value])
    assert parser.read([*needed, f"{old}={value}"]) == parser.read([*needed, f"{present}={value}"])
    page = run(verb, "--help")[1]
    assert present in page and not re.search(rf"{old}\b", page)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device")
def test_results_that_stdout_does_not_take_say_so() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "audiotransfer", "styles", "--json"],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "standard output (No space left on device)" in done.stderr
