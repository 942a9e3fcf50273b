"""Snippets of the documentation: every command and every Python block of a page runs, in order.

A page runs in a folder of its own with small files of the names that pages use. What cannot run
here stands in `NOT_RUN` with the reason, and is counted.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.writing import write_audio
from audiotransfer.cli import verbs
from audiotransfer.cli.main import main
from audiotransfer.demo.composition import score
from audiotransfer.demo.run import song_path
from audiotransfer.training.config import find_config

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]
SECONDS, SHORT_SECONDS = 10.0, 6.5  # of the song that pages transfer, and of those in folders
#: Commands that do not run here, by a part of them, with the reason. A person who pastes them gets
#: what they say; what they do is tested elsewhere, or takes hours.
NOT_RUN = {
    "python3.11 -m venv": "makes an environment; .ci/run does so by this line",
    ".venv/bin/activate": "activates an environment; .ci/run does so by this line",
    "pip install": "downloads; .ci/run installs by the README's lines",
    "pytest": "runs all tests",
    "fetch htdemucs": "downloads",
    "demucs:htdemucs_ft": "needs weights that are downloaded",
    "serve ": "serves until it is stopped; tests/test_serve.py starts it",
    "base=http": "sets variables of the next lines",
    "curl ": "asks a server that runs; tests/test_serve.py does",
    "train --style mine --from my/songs": "trains for an hour; tests/test_own_style.py trains",
    "runs/mine/mine": "needs the style of such a training",
    "runs/cut/my-jazz": "needs the style of such a training",
    "train cut": "trains for hours; tests/test_recipes.py steps each config",
    "train wavenet": "trains for hours; tests/test_recipes.py steps each config",
    "train waveglow": "trains for hours; tests/test_recipes.py steps each config",
    "train jazz-piano": "trains for an hour; tests/test_translation.py trains",
    "train translation-": "trains for hours; tests/test_recipes.py steps each config",
    "train folded-": "trains for hours; tests/test_recipes.py steps each config",
    "waveform_figures.py": "needs what is rendered",
    "train templates-": "trains for hours; tests/test_recipes.py steps each config",
    "wavenet:runs/wavenet": "needs weights of such a training; tests/test_trained_inverters.py",
    "render ensembles": "renders for hours; tests/test_rendering.py renders a song",
    "prepare data/ensembles": "needs what is rendered; tests/test_preparation.py",
    "--on data/": "needs what is rendered or a collection; tests/test_evaluation.py",
    "--on my/songs": "takes a minute for each song; tests/test_evaluation.py",
    "--votes": "needs votes of people; tests/test_votes.py",
    "--on midi/": "needs two collections; tests/test_midi_benchmark.py",
    "--on jazz/": "needs three collections; tests/test_midi_benchmark.py",
}
#: Of these, the ones that nevertheless run.
RUN = ("--plan",)


#: Pages whose commands take minutes; every option that they show is tested elsewhere.
LONG = ("README.md", "covers-of-recordings.md", "index.md", "style.md", "train.md")


@dataclass(frozen=True)
class Snippet:
    """A Python block or one command of a shell block, with continued lines as one."""

    language: str
    text: str

    @property
    def reason(self) -> str:
        """Why it cannot run here; empty where it can."""
        if self.language == "python" or any(part in self.text for part in RUN):
            return ""
        return next((why for part, why in NOT_RUN.items() if part in f"{self.text} "), "")


def snippets(page: Path) -> Iterator[Snippet]:
    """The snippets of a page in their order."""
    found = re.findall(
        r"^```(sh|python)\n(.*?)^```",
        page.read_text(encoding="utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    for language, block in found:
        if language == "python":
            yield Snippet(language, block)
            continue
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.split(" && "):
                words = shlex.split(part, comments=True)
                if words:
                    yield Snippet(language, shlex.join(words))


RUNNING = [
    pytest.param(page, id=page.name, marks=[pytest.mark.slow] if page.name in LONG else [])
    for page in PAGES
    if not all(snippet.reason for snippet in snippets(page))
]


def arguments(command: str) -> list[str]:
    """What a command of ours is given, without redirections."""
    words = shlex.split(command)
    ends = [place for place, word in enumerate(words) if word in (">", "|", "&", ";")]
    return words[1 : min(ends, default=len(words))]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_are_understood(page: Path) -> None:
    """Also those that do not run here."""
    for snippet in snippets(page):
        if not snippet.text.startswith("audiotransfer "):
            continue
        words = arguments(snippet.text)
        if any(word.startswith("--help") or word == "--version" for word in words):
            continue
        verb = words[0] if words[0] in verbs.VERBS else verbs.DEFAULT
        rest = words[1:] if words[0] in verbs.VERBS else words
        args = verbs.load(verb)[1].read([word for word in rest if word != "…"])
        if verb == "train" and args.config is not None and not args.config.endswith(".yaml"):
            find_config(args.config)


def test_few_snippets_do_not_run_and_each_is_named() -> None:
    every = [snippet for page in PAGES for snippet in snippets(page)]
    kept = [snippet for snippet in every if snippet.reason]
    reasons = Counter(snippet.reason for snippet in kept)
    assert set(reasons) == set(NOT_RUN.values())  # none stands there for nothing
    counts = len(every), len(kept), sum(snippet.language == "python" for snippet in every)
    assert counts == (125, 51, 9)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that pages name, and the cache of their songs."""
    folder = tmp_path_factory.mktemp("files")
    sound, rate = read_audio(song_path())
    sound = sound[:, : round(SECONDS * rate)]
    short = sound[:, : round(SHORT_SECONDS * rate)]
    for name in ("song.wav", "song.mp3", "reference.wav"):
        write_audio(folder / name, sound, rate)
    stems = ("my-stems/piano.wav", "my-stems/vocals.wav")
    for name in ("album/one.mp3", "my/rock/a.wav", "my/jazz/b.wav", *stems):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_audio(folder / name, short, rate)
    for number in range(10):  # `train --plan` wants a minute
        (folder / "my/songs").mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "album" / "one.mp3", folder / "my/songs" / f"{number}.mp3")
    notes = score()
    notes.tracks[-1].name = "Flute"
    notes.dump_midi(folder / "song.mid")
    shutil.copy(folder / "song.mid", folder / "melody.mid")
    style = folder / "mystyle"
    style.mkdir()
    text = (ROOT / "docs" / "guides" / "bands.md").read_text(encoding="utf-8")
    for language, name in (("json", "card.json"), ("yaml", "band.yaml")):
        found = re.search(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        assert found is not None
        (style / name).write_text(found[1], encoding="utf-8")
    return folder


@pytest.mark.parametrize("page", RUNNING)
def test_a_page_runs_as_it_is_pasted(
    page: Path,
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = tmp_path / "place"
    shutil.copytree(files, place)
    if page.name == "transcribing.md":  # which writes it from song.mp3
        (place / "song.mid").unlink()
    monkeypatch.chdir(place)
    monkeypatch.setenv("AUDIOTRANSFER_CACHE", str(files.with_name("cache")))
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict[str, object] = {}
    for snippet in snippets(page):
        if snippet.reason:
            continue
        if snippet.language == "python":
            exec(compile(snippet.text, str(page), "exec"), names)
            continue
        assert snippet.text.startswith("audiotransfer "), f"{snippet.text!r} is not in NOT_RUN"
        try:
            code = main([word for word in arguments(snippet.text) if word != "…"])
        except SystemExit as left:  # of help
            code = left.code if isinstance(left.code, int) else 1
        assert code == 0, f"{snippet.text}: {capsys.readouterr().err}"
