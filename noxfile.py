"""The matrix of versions: `nox` runs all of it, `nox -s tests-3.13` one cell; missing interpreters are skipped."""

from __future__ import annotations

from pathlib import Path

import nox

nox.needs_version = ">=2025.10"
nox.options.error_on_missing_interpreters = False

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
# The oldest supported release, and the newest 2.1: Select[...] and the default driver differ.
SQLALCHEMY = ["sqlalchemy[asyncio]==2.0.40", "sqlalchemy[asyncio]>=2.1,<2.2"]
# The oldest supported releases of the other dependencies of the core and its drivers; psycopg 3.2.0 has no binary.
OLDEST = [
    *(SQLALCHEMY[0], "alembic==1.18.0", "psycopg[binary]==3.2.1", "pgvector==0.3.6", "numpy==1.26.0"),
    *("pydantic==2.7.0", "asyncpg==0.29.0", "psycopg2-binary==2.9.9"),
]
CONSTRAINED = ["--constraint", "constraints.txt"]


def install(session: nox.Session, group: str, *arguments: str) -> None:
    """Install Rowspace with every extra and one dependency group; `arguments` replace the pinned versions."""
    # --group needs pip 25.1.
    session.install("--upgrade", "pip", *CONSTRAINED)
    session.install("--editable", ".[all]", "--group", group, *(arguments or CONSTRAINED))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on every Python."""
    install(session, "test")
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHONS[0])
@nox.parametrize("sqlalchemy", SQLALCHEMY, ids=["2.0", "2.1"])
def sqlalchemy(session: nox.Session, sqlalchemy: str) -> None:
    """Run the tests on the oldest and the newest SQLAlchemy."""
    install(session, "test", sqlalchemy)
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHONS[0])
def oldest(session: nox.Session) -> None:
    """Run the tests of the core on the oldest release of each dependency."""
    tools = ("hypothesis", "pytest", "pytest-asyncio", "pytest-randomly")
    session.install("--editable", ".[asyncpg,embedded,psycopg2]", *tools, *OLDEST)
    folders = ("_async", "_sync", "migrations", "search/_async", "search/_sync", "indexing/_async", "indexing/_sync")
    session.run("pytest", *(f"tests/integration/{folder}" for folder in folders), *session.posargs)


@nox.session(python="3.12")
def django(session: nox.Session) -> None:
    """Run the tests of the Django integration on Django 6, which Python 3.11 does not have."""
    install(session, "test", "django>=6,<7")
    session.run("pytest", "tests/integrations/django", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format, layers and generated files."""
    install(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", "--no-logo")
    session.run("python", "tools/unasync.py", "--check")
    session.run("python", "tools/cli_help.py", "--check")
    session.run("python", "tools/openapi.py", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types, on SQLAlchemy 2.1."""
    install(session, "dev")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation."""
    install(session, "docs")
    session.run("sphinx-build", "--fail-on-warning", "--keep-going", "--nitpicky", "docs", "docs/_build")


@nox.session(python=PYTHONS)
def wheel(session: nox.Session) -> None:
    """Build the wheel and test it in an empty environment."""
    session.install("build", *CONSTRAINED)
    session.run("python", str(Path("tools", "smoke_wheel.py")))
