from __future__ import annotations

from uuid import uuid4

import pytest
from flask import Flask, Response, abort, request, stream_with_context
from sqlalchemy import create_engine, event, func, select, text
from sqlalchemy.exc import InvalidRequestError

from rowspace import Database, Document
from rowspace.errors import CollectionNotFound, ConfigurationError, MissingExtra
from rowspace.integrations.flask import Rowspace, add_problem_handlers, create_app, make_blueprint
from rowspace.integrations.rest.settings import ServerSettings
from rowspace.testing import HashingEmbedder


@pytest.fixture
def name():
    return f"c_{uuid4().hex[:12]}"


@pytest.fixture
def rowspace():
    return Rowspace(embedder=HashingEmbedder(16))


@pytest.fixture
def app(make_app, rowspace, name):
    """An application that writes through the session of the request, in several ways."""
    app = make_app(rowspace)
    add_problem_handlers(app)

    @app.post("/write/<int:status>")
    def write(status):
        rowspace.documents.create_collection(name)
        rowspace.documents.add(name, [{"id": "a", "content": "first"}])
        assert rowspace.session.scalar(select(func.count()).select_from(Document)) >= 1
        if status == 599:
            raise CollectionNotFound(name)
        if status >= 400:
            abort(status)
        return "written", status

    @app.get("/nothing")
    def nothing():
        return "nothing"

    return app


def exists(url, name):
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.scalar(text("SELECT count(*) FROM collections WHERE name = :name"), {"name": name})
    engine.dispose()
    return bool(found)


@pytest.mark.parametrize(
    ("status", "answered", "kept"), [(201, 201, True), (302, 302, True), (418, 418, False), (599, 404, False)]
)
def test_a_request_is_one_transaction(app, flask_url, name, status, answered, kept):
    assert app.test_client().post(f"/write/{status}").status_code == answered
    assert exists(flask_url, name) is kept


def test_an_exception_that_nobody_handles_rolls_back(app, rowspace, flask_url, name):
    @app.get("/fail")
    def fail():
        rowspace.documents.create_collection(name)
        raise ZeroDivisionError

    assert app.test_client().get("/fail").status_code == 500
    app.testing = True
    with pytest.raises(ZeroDivisionError):
        app.test_client().get("/fail")
    assert not exists(flask_url, name)


def test_a_session_is_opened_by_the_first_who_asks_and_closed_once(app, rowspace):
    with app.app_context():
        engine = rowspace.database.engine
    seen = []
    for happening in ("checkout", "checkin"):
        event.listen(engine, happening, lambda *_, happening=happening: seen.append(happening))
    client = app.test_client()
    client.get("/nothing")
    assert seen == []
    client.post("/write/201")
    assert seen == ["checkout", "checkin"]


@pytest.mark.parametrize("debug", [False, True])
def test_a_commit_that_fails_is_an_error_of_the_request(app, rowspace, debug):
    app.debug = debug

    @app.post("/deferred")
    def deferred():
        rowspace.session.execute(
            text("CREATE TEMPORARY TABLE once (id int UNIQUE DEFERRABLE INITIALLY DEFERRED) ON COMMIT DROP")
        )
        rowspace.session.execute(text("INSERT INTO once VALUES (1), (1)"))
        return "done"

    answer = app.test_client().post("/deferred")
    assert (answer.status_code, answer.content_type) == (500, "application/problem+json")
    assert "once" not in answer.text


def test_a_request_within_a_request_has_a_transaction_of_its_own(app, rowspace, flask_url, name):
    @app.get("/outer")
    def outer():
        rowspace.documents.create_collection(name)
        Response.from_app(app, {**request.environ, "PATH_INFO": "/inner"})
        raise CollectionNotFound(name)

    @app.get("/inner")
    def inner():
        return str(rowspace.session.scalar(text("SELECT 1")))

    assert app.test_client().get("/outer").status_code == 404
    assert not exists(flask_url, name)


def test_hooks_of_the_application_still_use_the_session(make_app, rowspace, flask_url, name):
    app = make_app(rowspace)

    @app.after_request
    def note(response):
        rowspace.documents.create_collection(name)
        return response

    app.add_url_rule("/", view_func=lambda: "")
    app.test_client().get("/")
    assert exists(flask_url, name)


def test_a_session_that_a_streamed_answer_kept_takes_no_connection(app, rowspace):
    @app.get("/stream")
    def stream():
        session = rowspace.session

        def parts():
            yield str(session.scalar(select(1)))

        return Response(parts())

    with pytest.raises(InvalidRequestError, match="permanently closed"):
        app.test_client().get("/stream")
    with app.app_context():
        assert rowspace.database.engine.pool.checkedout() == 0


def test_a_streamed_answer_reads_and_does_not_write(app, rowspace, flask_url, name):
    @app.get("/stream")
    def stream():
        def parts():
            yield str(rowspace.session.scalar(text("SELECT 1")))
            rowspace.documents.create_collection(name)

        return Response(stream_with_context(parts()))

    assert app.test_client().get("/stream").text == "1"
    assert not exists(flask_url, name)


def test_outside_of_requests_the_caller_commits(app, rowspace, flask_url, name):
    with app.app_context():
        rowspace.documents.create_collection(name)
    assert not exists(flask_url, name)
    with app.app_context():
        rowspace.documents.create_collection(name)
        rowspace.session.commit()
        # A request within has a session of its own.
        assert app.test_client().get("/nothing").text == "nothing"
        assert rowspace.searches.search(name, [0.0] * 15 + [1.0]) == []
    assert exists(flask_url, name)


def test_one_object_serves_many_applications(make_app, rowspace, new_database, flask_url, name):
    other_url = new_database()
    first, second = make_app(rowspace), make_app(rowspace, ROWSPACE_DATABASE_URL=other_url)
    for app in (first, second):
        app.register_blueprint(make_blueprint())
    second.test_client().post("/api/collections", json={"name": name})
    assert (exists(flask_url, name), exists(other_url, name)) == (False, True)


def test_the_blueprint_lives_beside_other_endpoints(app, name):
    app.register_blueprint(make_blueprint(probes=False, docs=False), url_prefix="/vectors")
    client = app.test_client()
    made = client.post("/vectors/api/collections", json={"name": name})
    assert made.headers["location"] == f"/vectors/api/collections/{name}"
    assert client.get(made.headers["location"]).json["dimension"] == 16
    for path in ("healthz", "docs", "redoc", "openapi.json"):
        assert client.get(f"/vectors/{path}").status_code == 404
    assert client.get("/nothing").text == "nothing"


def test_who_asks_after_the_end_gets_services_on_a_database_that_is_opened_anew(make_app):
    backend = make_app().extensions["rowspace"]
    for name in ("database", "documents", "searches", "quick", "answers"):
        before = getattr(backend, name)
        backend.close()
        assert getattr(backend, name) is not before


def test_a_database_of_the_callers_is_not_closed(flask_url, name):
    with Database.open(flask_url) as database:
        app = create_app(ServerSettings(embedder="none"), database=database)
        app.test_client().post("/api/collections", json={"name": name, "dimension": 2})
        app.extensions["rowspace"].close()
        assert app.test_client().get(f"/api/collections/{name}").json["dimension"] == 2
        assert database.engine.pool.checkedin() == 1


def test_searches_of_a_database_of_the_callers_are_in_sessions_whose_hooks_name_a_tenant(flask_url, name):
    documents = {"documents": [{"id": "a", "content": "a text", "embedding": [1, 0]}]}
    begun = []
    with Database.open(flask_url) as database:
        client = create_app(ServerSettings(embedder="none"), database=database).test_client()
        client.post("/api/collections", json={"name": name, "dimension": 2})
        client.post(f"/api/collections/{name}/documents", json=documents)
        event.listen(database.sessions, "after_begin", lambda *arguments: begun.append(arguments))
        found = client.post("/api/search", json={"collection": name, "vector": [1, 0], "k": 1})
    assert [hit["id"] for hit in found.json["hits"]] == ["a"]
    assert len(begun) == 1


def test_settings_come_from_the_application_and_then_the_environment(make_app, monkeypatch):
    monkeypatch.setenv("ROWSPACE_MAX_K", "7")
    monkeypatch.setenv("ROWSPACE_MAX_QUERIES", "7")
    key = {"sha256": "0" * 64, "collections": ["a"]}
    app = make_app(ROWSPACE_MAX_K=5, ROWSPACE_POOL_SIZE=None, ROWSPACE_SCHEMA="public", ROWSPACE_API_KEYS=[key])
    settings = app.extensions["rowspace"].settings
    assert (settings.max_k, settings.max_queries, settings.pool_size) == (5, 7, 10)
    assert settings.database_schema == "public"
    assert settings.api_keys[0].collections == {"a"}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"ROWSPACE_POOLSIZE": 3}, "ROWSPACE_POOLSIZE"),
        ({"ROWSPACE_POOL_SIZE": "many"}, "ROWSPACE_POOL_SIZE is invalid"),
        ({"ROWSPACE_SCHEMA": 3}, "ROWSPACE_SCHEMA is invalid"),
        ({"ROWSPACE_DATABASE_URL": ["secret"]}, "ROWSPACE_DATABASE_URL is invalid"),
        ({"ROWSPACE_EMBEDDER": "nowhere:at_all"}, "nowhere:at_all"),
    ],
)
def test_a_setting_that_cannot_be_is_named(make_app, config, said):
    with pytest.raises(ConfigurationError, match=said) as failure:
        make_app(Rowspace(), **config)
    assert "secret" not in str(failure.value)


def test_an_application_has_one_or_says_that_it_has_none(app, rowspace):
    with pytest.raises(ConfigurationError, match="already"):
        rowspace.init_app(app)
    bare = Flask("bare")
    with bare.app_context(), pytest.raises(ConfigurationError, match="init_app"):
        _ = rowspace.session


def test_no_connection_is_made_before_it_is_needed(make_app):
    app = make_app(ROWSPACE_DATABASE_URL="postgresql://nobody:secret@127.0.0.1:1/none")
    app.register_blueprint(make_blueprint())
    assert app.test_client().get("/healthz").status_code == 200


def test_the_extra_is_named(monkeypatch):
    import importlib
    import sys

    import rowspace.integrations.flask as package

    monkeypatch.setitem(sys.modules, "flask", None)
    with pytest.raises(MissingExtra, match=r"rowspace\[flask\]"):
        importlib.reload(package)
