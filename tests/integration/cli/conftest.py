"""Commands in this process, on a database of the test's own."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from rowspace.cli.app import app


@pytest.fixture
def cli(new_database, monkeypatch):
    """Run a command with a small embedder, and return what it ended with."""
    monkeypatch.setenv("ROWSPACE_EMBEDDER", "rowspace.testing:HashingEmbedder")
    url = new_database()

    def run(*arguments, given="", code=0):
        arguments = map(str, arguments)
        done = CliRunner().invoke(app, ["--url", url, *arguments], input=given, prog_name="rowspace")
        assert done.exit_code == code, done.output
        return done

    run.url = url
    return run
