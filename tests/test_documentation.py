"""The documentation and the files beside the code: examples run, credits are complete."""

from __future__ import annotations

import importlib.resources
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("audiotransfer", "separation", "vocoder")
NOTICE = (ROOT / "NOTICE").read_text("utf-8")


def shipped(pattern: str) -> list[Path]:
    """Files of the packages, relative to the root."""
    found = [path for package in PACKAGES for path in (ROOT / package).rglob(pattern)]
    return sorted(path.relative_to(ROOT) for path in found)


def corpora() -> list[str]:
    """The data sets that cards of shipped weights name."""
    cards = [json.loads((ROOT / path).read_text("utf-8")) for path in shipped("*.json")]
    named = [card["corpora"] for card in cards if isinstance(card, dict) and "corpora" in card]
    return sorted({corpus["name"] for one in named for corpus in one})


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_say_that_they_are_typed(package: str) -> None:
    assert (importlib.resources.files(package) / "py.typed").is_file()


def test_the_notice_names_every_weights_file() -> None:
    weights = [path.as_posix() for path in shipped("*.safetensors")]
    assert len(weights) > 10
    assert [path for path in weights if path not in NOTICE.splitlines()] == []


def test_the_notice_names_no_weights_that_are_gone() -> None:
    named = [line for line in NOTICE.splitlines() if line.endswith(".safetensors")]
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_the_notice_credits_every_data_set_of_a_card() -> None:
    named = corpora()
    assert len(named) > 10
    text = " ".join(NOTICE.split())
    assert [name for name in named if name not in text] == []


def test_the_notice_travels_with_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert {"LICENSE", "NOTICE"} <= set(project["license-files"])


def test_the_architecture_page_shows_the_floors_that_are_held() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layers = next(one["layers"] for one in contracts["contracts"] if one["type"] == "layers")
    held = [{name.strip(" ()") for name in layer.split("|")} for layer in layers]
    held = [{name for name in layer if is_there(name)} for layer in held]
    shown: list[set[str]] = []
    for line in (ROOT / "docs" / "architecture.md").read_text("utf-8").splitlines():
        row = re.match(r"\| (\d*) ?\| `([\w.]+)` \|", line)
        if row:
            shown += [set()] if row[1] else []
            shown[-1].add(row[2])
    assert shown == held


def test_examples_of_the_page_of_covers_write_files_of_their_own() -> None:
    """So that whoever types them one after the other is not told that a file exists."""
    page = (ROOT / "docs" / "guides" / "midi-covers.md").read_text(encoding="utf-8")
    outputs = []
    for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if "--style" not in words:
                continue
            song, style = words[1], words[words.index("--style") + 1]
            named = words[words.index("-o") + 1] if "-o" in words else f"{song}.{style}"
            outputs.append(named)
    assert len(outputs) > 4
    assert len(set(outputs)) == len(outputs)


def is_there(module: str) -> bool:
    place = ROOT.joinpath(*module.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()


def test_the_notebook_runs(tmp_path: Path) -> None:
    """Its code cells, one after the other in a process of their own."""
    notebook = json.loads((ROOT / "docs" / "first-steps.ipynb").read_text("utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert cells and not any(cell["outputs"] for cell in cells)
    code = "\n\n".join("".join(cell["source"]) for cell in cells)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"demo.jazz.wav", "demo.png"}
