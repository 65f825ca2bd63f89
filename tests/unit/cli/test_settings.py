from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rowspace.cli.app import app
from rowspace.cli.session import place_of
from rowspace.cli.settings import Settings


def test_defaults(monkeypatch):
    for name in ("DATABASE_URL", "SCHEMA", "DATA_DIR", "COLLECTION", "EMBEDDER"):
        monkeypatch.delenv(f"ROWSPACE_{name}", raising=False)
    assert Settings().model_dump() == {
        "database_url": None,
        "database_schema": None,
        "data_dir": None,
        "collection": "documents",
        "embedder": "local",
    }


def test_variables_then_options(monkeypatch):
    monkeypatch.setenv("ROWSPACE_SCHEMA", "rag")
    monkeypatch.setenv("ROWSPACE_COLLECTION", "notes")
    monkeypatch.setenv("ROWSPACE_DATA_DIR", "~/data")
    settings = Settings()
    assert (settings.database_schema, settings.collection, settings.data_dir) == ("rag", "notes", Path("~/data"))
    assert settings.overridden(database_schema="other", database_url=None).database_schema == "other"


def test_an_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv("ROWSPACE_DATABASE_URL", "")
    assert Settings().database_url is None


@pytest.mark.parametrize("show", [repr, str])
def test_the_password_is_not_shown(monkeypatch, show):
    monkeypatch.setenv("ROWSPACE_DATABASE_URL", "postgresql://me:secret@db/app")
    assert "secret" not in show(Settings())


def test_a_place_is_named_without_a_password():
    url = "postgresql+asyncpg://me:secret@h/db?password=secret&application_name=x"
    place = place_of(Settings(database_url=url))
    assert place == "postgresql+psycopg://me:***@h/db?application_name=x"


def test_a_variable_that_was_mistyped_is_named_by_every_command(monkeypatch):
    monkeypatch.setenv("ROWSPACE_DATABSE_URL", "postgresql://me:secret@db/app")
    run = CliRunner().invoke(app, ["--url", "postgresql://me@127.0.0.1:1/app", "collections"])
    assert run.stderr.startswith(
        "Warning: ROWSPACE_DATABSE_URL is not a setting and has no effect. Did you mean ROWSPACE_DATABASE_URL?\n"
    )
    assert "secret" not in run.stderr
