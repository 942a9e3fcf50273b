"""Snippets of the documentation: commands that the parsers take, Python with nothing undefined."""

from __future__ import annotations

import ast
import builtins
import importlib
import re
import shlex
from pathlib import Path

import pytest

from audiotransfer.cli import verbs
from audiotransfer.training.config import find_config

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHELL = (">", "|", "&", "&&", ";")
IDS = [str(page.relative_to(ROOT)) for page in PAGES]


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[list[str]]:
    """The words of every command of ours in shell blocks, continued lines as one."""
    found = []
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            ends = [place for place, word in enumerate(words) if word in SHELL]
            if words and words[0] == "audiotransfer":
                found.append(words[1 : min(ends, default=len(words))])
    return found


def test_the_documentation_shows_commands_and_python() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 50
    assert sum(len(blocks(page, "python")) for page in PAGES) > 5


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_are_understood(page: Path) -> None:
    for words in commands(page):
        if any(word.startswith("--help") or word == "--version" for word in words):
            continue
        verb = words[0] if words[0] in verbs.VERBS else verbs.DEFAULT
        rest = words[1:] if words[0] in verbs.VERBS else words
        args = verbs.load(verb)[1].read([word for word in rest if word != "…"])
        if verb == "train" and args.config is not None and not args.config.endswith(".yaml"):
            find_config(args.config)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_python_has_nothing_undefined(page: Path) -> None:
    """Names are those of the page's earlier blocks; what is imported from our packages exists."""
    known = set(dir(builtins))
    for block in blocks(page, "python"):
        tree = ast.parse(block)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                known |= {alias.asname or alias.name for alias in node.names}
                if node.module.split(".")[0] in ("audiotransfer", "separation", "vocoder"):
                    module = importlib.import_module(node.module)
                    for alias in node.names:
                        assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"
            elif isinstance(node, ast.Import):
                known |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                known.add(node.id)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                known.add(node.name)
            elif isinstance(node, ast.arg):
                known.add(node.arg)
        used = {
            node.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        assert used <= known, f"undefined: {sorted(used - known)}"
