"""Names are the field's terms: no name of the project contains one of the words below.

Whole words count, with snake_case and CamelCase taken apart. Looked at are the names that the
project gives: definitions, parameters, variables, keys of configs, entry points, files, headings.
Prose and what other packages call their things are not. Words with a right technical use are not
in the lists: `band` (of frequencies), `score` (a metric's value, one piece of notated music),
`field` (of a dataclass), `setting`, `hidden` (layer), `hand` (computed by hand), `pack` (tensors),
`kind`.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("audiotransfer", "separation", "vocoder", "tests", "docs", "configs")

# Words and what to say instead; a phrase is words in a row.
TERMS = {
    "picture, pictures": "spectrogram; figure or plot; cover art of a tagged file",
    "repainter, repaint, repaints, repainted, repainting": "SpectrogramModel, predict",
    "painter, painters, paint, paints, painted, painting": "spectrogram network, predicted",
    "player, players": "template model; instrument, part",
    "swift": "an optimiser group with its own learning rate",
    "weave, weaves, weaving, woven": "overlap-add",
    "headline, headlines": "checkpoint metric",
    "audition, auditions": "validation samples",
    "ground, grounds": "unpaired data; accompaniment",
    "trial, trials": "benchmark",
    "jury, juries, juror, jurors": "classifiers",
    "judge, judges, judging": "classifier",
    "listener, listeners": "AudioClassifier, classifier",
    "ear, ears": "classifier",
    "packs": "MIDI archives",
    "orderless": "masked voice model",
    "studio, studios": "rendering, synthesis",
    "critic, critics": "discriminator; critic only of a Wasserstein GAN",
    "note generator": "NoteTemplateModel",
    "hit generator": "DrumTemplateModel",
    "log spectra": "templates",
    "source inverter": "SpectralGainInverter",
    "band objective, band recipe": "paired templates",
    "score field, score trial": "symbolic benchmark",
    "transfer scores, prepare scores, gather scores, split scores": "midi",
}
# Ordinary words in sentences, and the names of tests are sentences.
IN_CODE = {
    "hands": "activations",
    "heard, hear, hears, hearing": "decoded, note logits, features",
    "stays": "passthrough",
    "foreign": "imported spectrograms",
    "take, takes": "stem file, stem files",
    "kinds": "base class, formats",
    "hiding": "masking",
    "leading": "voice leading",
}
# Beside those, in the names of files and folders and in headings.
IN_TITLES = {
    "scores": "midi, symbolic",
    "band, bands": "paired templates, rendered ensembles",
    "field": "benchmark",
    "setting": "harmonization",
}
VERBS = {"take", "takes"}  # may begin the name of a function
BEFORE = {"leading": "voice"}  # words that make a term right
WASSERSTEIN = {"wgan", "wasserstein"}  # in the name, a name around it, or the file's: a true critic
FREQUENCY_BANDS = {"separation/embedded/bands.py"}
# Files about the musicians that play a cover.
ENSEMBLES = {"band.py", "band.yaml", "bands.md", "test_bands.py"}


def words(name: str) -> list[str]:
    """The words of a name in lower case: `ParsedHTTP_name2` has parsed, http, name and 2."""
    parts = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+", name)
    return [part.lower() for part in parts]


def table(*lists: dict[str, str]) -> dict[tuple[str, ...], str]:
    """The terms of some lists, each as its words, with what to say instead."""
    return {
        tuple(term.split()): instead
        for terms in lists
        for row, instead in terms.items()
        for term in row.split(", ")
    }


EVERYWHERE, CODE, TITLES = table(TERMS), table(TERMS, IN_CODE), table(TERMS, IN_CODE, IN_TITLES)


def found(name: str, terms: dict[tuple[str, ...], str], around: str = "") -> set[str]:
    """The terms that a name contains; ``around`` are names that it stands in."""
    parts = words(name)
    terms_found = set()
    for i, word in enumerate(parts):
        for term in terms.keys() & {(word,), tuple(parts[i : i + 2])}:
            right = i and parts[i - 1] == BEFORE.get(word)
            true_critic = word in ("critic", "critics") and WASSERSTEIN & {*parts, *words(around)}
            if not right and not true_critic:
                terms_found.add(" ".join(term))
    return terms_found


def identifiers(tree: ast.AST, around: str) -> Iterator[tuple[str, str, bool]]:
    """Each name that a file gives, the names that it stands in, and whether it is a function's."""
    for node in ast.iter_child_nodes(tree):
        inside = around
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.name, around, True
                inside = f"{around} {node.name}"
            case ast.ClassDef():
                yield node.name, around, False
                inside = f"{around} {node.name}"
            case ast.arg():
                yield node.arg, around, False
            case ast.Name(ctx=ast.Store()):
                yield node.id, around, False
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr, around, False
            case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
                yield name, around, False
            case _:
                pass
        yield from identifiers(node, inside)


def of_code(path: str, text: str) -> Iterator[tuple[str, str]]:
    """Name and term of each offender in a Python file."""
    for name, around, function in identifiers(ast.parse(text), path):
        sentence = function and path.startswith("tests/") and name.startswith("test_")
        terms = found(name, EVERYWHERE if sentence else CODE, around)
        if function and words(name)[:1] and words(name)[0] in VERBS:
            terms.discard(words(name)[0])
        yield from ((name, term) for term in terms)


def keys(tree: Any, around: str) -> Iterator[tuple[str, str]]:
    """Each key of a parsed YAML or TOML file, with the keys that it stands under."""
    if isinstance(tree, dict):
        for key, inner in tree.items():
            yield str(key), around
            yield from keys(inner, f"{around} {key}")
    elif isinstance(tree, list):
        for inner in tree:
            yield from keys(inner, around)


def of_keys(path: str, tree: Any) -> Iterator[tuple[str, str]]:
    for key, around in keys(tree, path):
        yield from ((f"key {key}", term) for term in found(key, CODE, around))


def of_headings(text: str) -> Iterator[tuple[str, str]]:
    """Name and term of each offender among the headings of a Markdown file."""
    code = False
    for line in text.splitlines():
        code ^= line.startswith("```")
        if line.startswith("#") and not code:
            yield from ((line, term) for term in found(line, TITLES))


def files() -> Iterator[Path]:
    """The project's files: those at its root, and those of its packages and folders."""
    for place in sorted(ROOT.iterdir()):
        if place.is_file():
            yield place
        elif place.name in PACKAGES:
            yield from sorted(
                path
                for path in place.rglob("*")
                if path.is_file() and "__pycache__" not in path.parts
            )


def newest(changelog: str) -> str:
    """A change log up to its second release."""
    return "\n## ".join(changelog.split("\n## ")[:2])


def offenders() -> dict[str, Counter[tuple[str, str]]]:
    """For each file the names that contain a term, with the term, and how often."""
    by_file: dict[str, Counter[tuple[str, str]]] = {}
    for place in files():
        path = place.relative_to(ROOT).as_posix()
        seen: Counter[tuple[str, str]] = Counter()
        right = path in FREQUENCY_BANDS or place.name in ENSEMBLES
        titles = {} if right else TITLES
        for term in found(path, titles, path):
            seen["the path", term] += 1
        if path != "tests/test_terms.py" and place.suffix == ".py":
            seen.update(of_code(path, place.read_text(encoding="utf-8")))
        elif place.suffix == ".yaml":
            seen.update(of_keys(path, yaml.safe_load(place.read_text(encoding="utf-8"))))
        elif place.suffix == ".toml":
            seen.update(of_keys(path, tomllib.loads(place.read_text(encoding="utf-8"))))
        elif place.suffix == ".md":
            text = place.read_text(encoding="utf-8")
            lines = of_headings(newest(text) if path == "CHANGELOG.md" else text)
            seen.update((line, term) for line, term in lines if not (right and "band" in term))
        if seen:
            by_file[path] = seen
    return by_file


def test_names_are_the_fields_terms() -> None:
    by_file = offenders()
    lines = [
        f"{path}: {name}: {term} ({CODE.get(tuple(term.split()), TITLES[tuple(term.split())])})"
        for path, seen in by_file.items()
        for (name, term), _ in seen.most_common()
    ]
    assert not lines, "\n".join(lines)


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("PictureSettings", {"picture"}),
        ("read_pictures", {"pictures"}),
        ("unheard", set()),
        ("early", set()),
        ("NoteGenerator", {"note generator"}),
        ("voice_leading", set()),
        ("leading_zeros", {"leading"}),
        ("WassersteinCritic", set()),
        ("patch_critic", {"critic"}),
    ],
)
def test_whole_words_are_found(name: str, terms: set[str]) -> None:
    assert found(name, CODE) == terms


def test_a_critic_of_a_wasserstein_gan_is_one() -> None:
    source = "class RollWgan:\n    def step(self, critic): ...\n"
    assert not list(of_code("audiotransfer/a.py", source))
    assert list(of_code("audiotransfer/a.py", source.replace("Wgan", "Gan")))


def test_functions_may_begin_with_a_verb() -> None:
    assert not list(of_code("audiotransfer/a.py", "def take(count): ..."))
    assert list(of_code("audiotransfer/a.py", "take = 1"))
    assert not list(of_code("tests/test_a.py", "def test_what_is_heard_stays(): ..."))
    assert list(of_code("tests/test_a.py", "def test_a_judge(): ..."))
