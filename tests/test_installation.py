"""What a plain installation needs: declared packages only, and none that is hard to install."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import soundfile
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PACKAGES = ("audiotransfer", "separation", "vocoder")
#: What the program once needed, and what its dependencies would take if it were there.
BLOCKED = ("torchaudio", "torchcodec", "torchvision", "tinysoundfont", "pyaudio", "fluidsynth")
RATE = 44100


def distributions(requirements: list[str]) -> set[str]:
    """Names of distributions, and of the extras asked for: `dask[distributed]` brings both."""
    names = (re.split(r"[<>=;~! ]", one)[0] for one in requirements)
    found = {word for name in names for word in re.split(r"[\[\],]", name) if word}
    return {name.lower().replace("_", "-") for name in found}


DECLARED = distributions(PROJECT["dependencies"])
EXTRAS = {name: distributions(wanted) for name, wanted in PROJECT["optional-dependencies"].items()}


def imported(path: Path) -> set[str]:
    """Top-level packages that a module imports, wherever in it, but for type checkers."""
    tree = ast.parse(path.read_text("utf-8"))
    hidden = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    names = set()
    for node in set(ast.walk(tree)) - hidden:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)


def test_whatever_is_imported_is_declared() -> None:
    """By the package itself, or by the extra that the part of the program names."""
    owners = metadata.packages_distributions()
    known = DECLARED.union(*EXTRAS.values())
    undeclared = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for name in imported(path) - set(PACKAGES):
                owned = {owner.lower().replace("_", "-") for owner in owners.get(name, [name])}
                if not owned & known:
                    undeclared.add(f"{path.relative_to(ROOT)}: {name}")
    assert not undeclared


def test_every_dependency_is_in_the_constraints() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    wanted = DECLARED.union(*EXTRAS.values()) - {"audiotransfer", "default", *EXTRAS}
    assert wanted <= set(pinned)
    for text in metadata.requires("audiotransfer") or []:
        requirement = Requirement(text)
        name = requirement.name.lower().replace("_", "-")
        if name in pinned:
            assert requirement.specifier.contains(pinned[name]), text


def test_the_readme_installs_what_was_tested() -> None:
    set_up = (ROOT / "README.md").read_text("utf-8").partition("## Set-up")[2].partition("\n## ")[0]
    commands = re.findall(r"```sh\n(.+?)\n```", set_up, re.DOTALL)
    assert len(commands) == 2 and all("\n" not in command for command in commands)
    assert all("pip install -c constraints.txt " in command for command in commands)
    assert commands[0].endswith("audiotransfer demo") and commands[1].endswith("pytest")


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """The environment of a process in which the blocked packages fail to import."""
    place = tmp_path / "blocked"
    place.mkdir()
    for name in BLOCKED:
        (place / f"{name}.py").write_text(f"raise ImportError('{name}: undefined symbol')")
    paths = [str(place), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


#: In one process, since each would load torch anew.
COMMANDS = (
    "song.wav --style rock --stems-out stems",
    "separate song.wav -o parts",
    "remix stems -o again.wav",
    "accompany twinkle -o tune.mid --render",
    "tune.mid --style jazz --render --plot",
    "drums sample -o beat.mid",
    "render beat.mid",
    "demo",
    "train separator separator.data=data separator.mixes.batch=1 separator.mixes.seconds=0.3"
    " trainer.steps=1 trainer.workers=0",
    "evaluate rock --on songs --songs 1 --seconds 1 --separator none",
    "prepare songs -o ready",
)


def test_everything_works_without_what_is_hard_to_install(
    bare: dict[str, str], tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    sounds = [f"data/audio/stems/song/{stem}" for stem in ("drums", "bass", "other", "vocals")]
    sounds += ["data/audio/vocals_solo/voice", "data/audio/drum_loops/loop", "song"]
    sounds += [f"songs/{genre}/{n}" for genre in ("jazz", "rock") for n in range(3)]
    for name in sounds:
        path = tmp_path / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * random.standard_normal((RATE * 3 // 2, 2)), RATE)
    script = (
        "import sys\nfrom audiotransfer.cli import main\n"
        f"for line in {COMMANDS!r}:\n"
        "    code = main([*line.split(), '-q'])\n"
        "    if code: sys.exit(f'{line}: exit code {code}')\n"
        f"for name in {BLOCKED!r}:\n"
        "    try: __import__(name)\n"
        "    except ImportError: continue\n"
        "    sys.exit(f'{name} was there all the time')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=bare, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")}
    assert {"song.rock.wav", "again.wav", "tune.jazz.mid.wav", "beat.wav"} <= made
    assert "runs/separator/separator.safetensors" in made
