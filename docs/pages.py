"""A hook of MkDocs that makes the pages which are not written by hand.

An API page for each package that names its public members in ``__all__``, the notebook as a page,
and the files of the repository's root and of ``configs/`` that belong to the site.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PACKAGES = ("audiotransfer", "separation", "vocoder")
#: Not for import: its interface is the command line.
PROGRAM = "audiotransfer.cli"
#: Pages made from files outside docs/; all of them stand on their own, without links to others.
COPIES = {
    "configs.md": "configs/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
NOTEBOOK = ROOT / "docs" / "first-steps.ipynb"


def on_config(config: Any) -> Any:
    """Adds the API's pages to the navigation, behind the architecture."""
    api = {"API": [{name: page_of(name)} for name, _ in public_packages()]}
    place = next(n for n, item in enumerate(config["nav"]) if "Architecture" in item)
    config["nav"].insert(place + 1, api)
    return config


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages themselves."""
    pages = {page: (ROOT / path).read_text("utf-8") for page, path in COPIES.items()}
    pages["notice.md"] = preformatted("Licences and credits", (ROOT / "NOTICE").read_text("utf-8"))
    pages["first-steps.md"] = notebook_page(json.loads(NOTEBOOK.read_text("utf-8")))
    for name, members in public_packages():
        pages[page_of(name)] = api_page(name, members)
    for page, text in pages.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Shows ``:class:`Name``` and its like as plain code."""
    return re.sub(r":(?:class|func|meth|mod|attr|exc):(?=<code>)", "", html)


def public_packages() -> Iterator[tuple[str, list[str]]]:
    """Each package with a non-empty ``__all__``, by name, and what that holds. Imports nothing."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("__init__.py")):
            name, members = ".".join(path.parent.relative_to(ROOT).parts), exported(path)
            if members and name != PROGRAM:
                yield name, members


def exported(path: Path) -> list[str]:
    """The names in a module's ``__all__``."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def page_of(name: str) -> str:
    return f"api/{name}.md"


def api_page(name: str, members: list[str]) -> str:
    listed = "".join(f"\n        - {member}" for member in members)
    return f"# {name}\n\n::: {name}\n    options:\n      members:{listed}\n"


def notebook_page(notebook: dict[str, Any]) -> str:
    """Text cells as they are, code cells in fences."""
    parts = []
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        parts.append(f"```python\n{text}\n```" if cell["cell_type"] == "code" else text)
    return "\n\n".join(parts) + "\n"


def preformatted(title: str, text: str) -> str:
    return f"# {title}\n\n```text\n{text}\n```\n"
