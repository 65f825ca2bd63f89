"""Commands in this process, on a database without collections."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from rowspace import Database, DocumentService
from rowspace.cli.app import app


@pytest.fixture(scope="session")
def loading_url(new_shared_database):
    return new_shared_database()


@pytest.fixture
def cli(loading_url, monkeypatch):
    """Run a command with a small embedder, and return what it ended with."""
    monkeypatch.setenv("ROWSPACE_EMBEDDER", "rowspace.testing:HashingEmbedder")

    def run(*arguments, given="", code=0):
        arguments = map(str, arguments)
        done = CliRunner().invoke(app, ["--url", loading_url, *arguments], input=given, prog_name="rowspace")
        assert done.exit_code == code, done.output
        return done

    run.url = loading_url
    yield run
    with Database.open(loading_url) as database:
        service = DocumentService(database)
        for collection in service.collections():
            service.drop_collection(collection.name)
