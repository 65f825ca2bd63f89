"""The reference of the Python API has every public name."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

import rowspace

PAGES = Path(__file__).parents[2] / "docs" / "reference" / "api"
DIRECTIVE = re.compile(r"^\.\. auto(class|function|module):: (\S+)\n(?:   :members:(.*)\n)?", re.MULTILINE)


def names_in(kind: str, path: str, members: str) -> list[str]:
    if kind != "module":
        return [path.rpartition(".")[2]]
    return [name.strip() for name in members.split(",")] if members.strip() else import_module(path).__all__


def written() -> set[str]:
    text = "\n".join(page.read_text("utf-8") for page in sorted(PAGES.glob("*.md")))
    return {name for match in DIRECTIVE.findall(text) for name in names_in(*match)}


def test_the_reference_has_every_public_name():
    # Each async class has the methods of the sync one.
    assert {name for name in rowspace.__all__ if not name.startswith("Async")} - written() == set()


ADAPTERS = ["arrow", "django", "embedding", "fastapi", "flask", "langchain", "local", "pandas", "polars", "streamlit"]


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_the_reference_has_the_names_of_the_adapters(adapter):
    names = import_module(f"rowspace.integrations.{adapter}").__all__
    # Not what is there for annotations.
    assert {name for name in names if name != "Over"} - written() == set()
