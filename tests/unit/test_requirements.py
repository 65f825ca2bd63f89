"""What an installation asks for: wide ranges, so that Rowspace fits beside others, and both ends tried by nox."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["project"]
DRIVERS = [*PROJECT["optional-dependencies"]["asyncpg"], *PROJECT["optional-dependencies"]["psycopg2"]]
LOWEST = re.compile(r"([a-z0-9-]+)(?:\[\w+\])?>=([\d.]+)")


@pytest.mark.parametrize("requirement", PROJECT["dependencies"])
def test_only_sqlalchemy_has_an_upper_end(requirement):
    assert ("<" in requirement) == requirement.startswith("sqlalchemy")
    assert "==" not in requirement
    assert "~=" not in requirement


@pytest.mark.parametrize("requirement", [*PROJECT["dependencies"], *DRIVERS])
def test_the_oldest_that_is_allowed_is_the_oldest_that_is_tried(requirement):
    name, lowest = LOWEST.match(requirement).groups()
    tried = re.findall(rf'"{name}(?:\[\w+\])?==([\d.]+)"', (TOP / "noxfile.py").read_text("utf-8"))
    assert [version for version in tried if f"{version}.".startswith(f"{lowest}.")]
