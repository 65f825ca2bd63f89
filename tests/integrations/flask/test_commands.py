"""`flask rowspace` is `rowspace` on the application's database and embedder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import create_engine, text

from rowspace import migrations
from rowspace.integrations.flask import Rowspace
from rowspace.testing import HashingEmbedder


@pytest.fixture
def flask(make_app, flask_url, monkeypatch):
    """A function that runs `flask rowspace ...` in this process and returns its result."""
    monkeypatch.setenv("ROWSPACE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    # The commands take care of signals, as the process is theirs.
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    def run(*arguments, app=None):
        return (app or make_app()).test_cli_runner().invoke(args=["rowspace", *arguments])

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def test_load_list_and_search_by_the_embedder_of_the_application(flask, tmp_path):
    lines = [{"id": "a", "content": "a vector index"}, {"id": "b", "content": "bread from an oven"}]
    path = tmp_path / "notes.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    loaded = flask("ingest", str(path), "--collection", "by_command")
    assert (loaded.exit_code, "2" in loaded.output) == (0, True), loaded.output
    assert "by_command" in flask("collections").output
    found = flask("search", "bread", "-c", "by_command", "--json", "-k", "1")
    assert [hit["id"] for hit in json.loads(found.stdout)] == ["b"]


def test_migrations_on_the_engine_of_flask_sqlalchemy(flask, new_database):
    url = new_database()
    bare = create_engine(url)
    migrations.downgrade(bare, "base")
    bare.dispose()
    # Nothing that the URL says.
    connect_args = {"options": "-c search_path=of_the_site,public"}
    engine = create_engine(url, connect_args=connect_args)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE rowspace_alembic_version"))
        connection.execute(text("CREATE SCHEMA of_the_site"))
    app, db = Flask("beside"), SQLAlchemy()
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"connect_args": connect_args}
    db.init_app(app)
    Rowspace(app, sqlalchemy=db, embedder=HashingEmbedder(4))
    assert flask("db", "current", app=app).exit_code == 3
    assert flask("db", "upgrade", app=app).exit_code == 0
    assert migrations.current(engine) == migrations.head()
    with app.app_context():
        app.extensions["rowspace"].documents.create_collection("here")
    assert "BEGIN;" in flask("search", "x", "-c", "here", "--sql", app=app).output
    # Nothing of a command stays on the engine.
    with app.app_context():
        assert app.extensions["rowspace"].documents.search("here", "x") == []
    # Unless another place is asked for.
    assert flask("--schema", "public", "db", "current", app=app).exit_code == 3
    engine.dispose()
    with app.app_context():
        db.engine.dispose()


def test_schema_and_directory_are_those_of_the_application(flask, make_app, new_database, monkeypatch):
    app = make_app(ROWSPACE_DATABASE_URL=new_database(), ROWSPACE_SCHEMA="of_the_site")
    assert flask("db", "current", app=app).exit_code == 3
    assert flask("db", "upgrade", app=app).exit_code == 0
    assert flask("collections", "create", "here", app=app).exit_code == 0
    assert [one.name for one in app.extensions["rowspace"].documents.collections()] == ["here"]
    monkeypatch.delenv("ROWSPACE_DATABASE_URL")
    app = make_app(ROWSPACE_DATABASE_URL=None, ROWSPACE_DATA_DIR="/nowhere/a blank")
    assert "The embedded PostgreSQL in /nowhere/a blank does not start" in flask("collections", app=app).output


def test_an_error_is_one_line_without_a_password(flask, make_app):
    app = make_app(ROWSPACE_DATABASE_URL="postgresql://someone:secret@127.0.0.1:1/none")
    result = flask("collections", app=app)
    assert result.exit_code == 3
    assert result.stderr.startswith("Error: ")
    assert "secret" not in result.output


def test_usage(flask):
    helped = flask("--help")
    assert (helped.exit_code, "Usage: flask rowspace" in helped.output) == (0, True)
    assert "  serve" not in helped.output
    assert "Usage: flask rowspace db upgrade" in flask("db", "upgrade", "--help").output
    assert flask("serve").exit_code == 2
    assert flask("search", "--nonsense").exit_code == 2


def test_without_the_command_line_the_extra_is_named(flask, monkeypatch):
    for module in [name for name in sys.modules if name.startswith("rowspace.cli")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "typer", None)
    result = flask("collections")
    assert result.exit_code == 1
    assert "rowspace[cli]" in result.output


def test_threads_of_a_command_have_the_embedder_of_the_application(make_app, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    from rowspace.cli import hosted
    from rowspace.integrations.flask.commands import application_embedder

    embedder = HashingEmbedder(8)

    def run(*_, **settings):
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(application_embedder).result() is embedder
        raise SystemExit(0)

    monkeypatch.setattr(hosted, "run", run)
    app = make_app(Rowspace(embedder=embedder))
    assert app.test_cli_runner().invoke(args=["rowspace", "ui"]).exit_code == 0


def test_other_processes_have_no_embedder_of_the_application():
    from rowspace.errors import ConfigurationError
    from rowspace.integrations.flask.commands import application_embedder

    with pytest.raises(ConfigurationError, match="--processes"):
        application_embedder()


def test_by_the_program_flask(flask_url, tmp_path):
    code = (
        "from flask import Flask\n"
        "from rowspace.integrations.flask import Rowspace\n"
        "def create_app():\n"
        "    app = Flask(__name__)\n"
        f"    app.config['ROWSPACE_DATABASE_URL'] = {flask_url!r}\n"
        "    app.config['ROWSPACE_EMBEDDER'] = 'none'\n"
        "    Rowspace(app)\n"
        "    return app\n"
    )
    (tmp_path / "site_of_mine.py").write_text(code, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "site_of_mine", "rowspace", "db", "current"],
        cwd=tmp_path,
        env={**os.environ, "ROWSPACE_DATABASE_URL": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{migrations.head()} (head)\n"
