"""The reference of the Python API has every public name."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import rowspace

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "api.md"
DIRECTIVE = re.compile(r"^\.\. auto(class|function|module):: (\S+)\n(?:   :members:(.*)\n)?", re.MULTILINE)


def names_in(kind: str, path: str, members: str) -> list[str]:
    if kind != "module":
        return [path.rpartition(".")[2]]
    return [name.strip() for name in members.split(",")] if members.strip() else import_module(path).__all__


def test_the_reference_has_every_public_name():
    written = {name for match in DIRECTIVE.findall(PAGE.read_text("utf-8")) for name in names_in(*match)}
    # Each async class has the methods of the sync one.
    assert {name for name in rowspace.__all__ if not name.startswith("Async")} - written == set()
