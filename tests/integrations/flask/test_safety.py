"""What a caller never sees, in debug mode neither, and what a body may not do."""

from __future__ import annotations

import io
import socket

import pytest
from flask import Flask, request
from sqlalchemy import text
from werkzeug.exceptions import HTTPException

from rowspace.errors import ConfigurationError
from rowspace.integrations.flask import Rowspace, add_problem_handlers, create_app, make_blueprint
from rowspace.integrations.rest.settings import ServerSettings
from rowspace.testing import HashingEmbedder

SECRETS = ("Traceback", "SELECT", "sqlalchemy", "psycopg", "secret", "someone", "127.0.0.1")


class Failing:
    """An answer service that fails when it is asked, or on the way."""

    def answer(self, question):
        message = "SELECT secret"
        raise ZeroDivisionError(message)

    def stream(self, question):
        from rowspace.integrations.rag.models import AnswerEvent

        yield AnswerEvent(type="sources", sources=())
        self.answer(question)


def problem(answer, status):
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert not [word for word in SECRETS if word in answer.text]
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]
    return answer.json


def away():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"postgresql://someone:secret@127.0.0.1:{unused.getsockname()[1]}/app"


@pytest.mark.parametrize("debug", [False, True])
def test_nothing_of_the_server_is_told(flask_url, debug, caplog):
    app = create_app(ServerSettings(database_url=flask_url, embedder="none"), answers=Failing())
    app.debug = debug
    client = app.test_client()
    body = {"question": "Why?", "collection": "c"}
    failed = problem(client.post("/api/chat", json=body, headers={"X-Request-ID": "abc-1"}), 500)
    assert failed["request_id"] == "abc-1"
    assert any("abc-1" in record.message and record.exc_info for record in caplog.records)
    streamed = client.post("/api/chat", json=body | {"stream": True}).text
    assert streamed.startswith("event: sources\n")
    assert "event: error\ndata: {" in streamed
    assert "secret" not in streamed
    problem(client.get("/nope"), 404)
    app.extensions["rowspace"].close()


def test_somebody_elses_debugger_sees_none_of_the_blueprint(make_app):
    app = make_app(Rowspace(embedder=HashingEmbedder(4), answers=Failing()), PROPAGATE_EXCEPTIONS=True, TESTING=True)
    app.debug = True
    app.register_blueprint(make_blueprint())
    problem(app.test_client().post("/api/chat", json={"question": "Why?", "collection": "c"}), 500)


@pytest.mark.parametrize("debug", [False, True])
def test_a_database_that_is_away_in_an_endpoint_of_ones_own(make_app, debug):
    rowspace = Rowspace(embedder=HashingEmbedder(4))
    app = make_app(rowspace, ROWSPACE_DATABASE_URL=away())
    app.debug = debug
    add_problem_handlers(app)
    app.add_url_rule("/session", view_func=lambda: str(rowspace.session.connection()))
    app.add_url_rule("/service", "service", lambda: {"found": len(rowspace.documents.collections())})
    for path in ("/session", "/service"):
        answer = app.test_client().get(path)
        problem(answer, 503)
        assert answer.headers["retry-after"] == "5"


def test_a_connection_that_is_lost_on_the_way(make_app):
    rowspace = Rowspace(embedder=HashingEmbedder(4))
    app = make_app(rowspace)
    app.debug = True
    add_problem_handlers(app)
    lost = text("SELECT pg_terminate_backend(pg_backend_pid())")
    app.add_url_rule("/lost", view_func=lambda: str(rowspace.session.scalar(lost)))
    app.add_url_rule("/found", "found", lambda: str(rowspace.session.scalar(text("SELECT 1"))))
    problem(app.test_client().get("/lost"), 503)
    assert app.test_client().get("/found").text == "1"


def test_a_name_with_a_nul(make_app):
    app = make_app()
    app.register_blueprint(make_blueprint())
    fault = problem(app.test_client().get("/api/collections/a%00b"), 422)["errors"][0]
    assert fault["parameter"] == "name"


@pytest.mark.parametrize("id_", ["/a", "a//b", "a/", "é"])
def test_any_id(make_app, id_):
    app = make_app()
    app.register_blueprint(make_blueprint())
    client = app.test_client()
    client.post("/api/collections", json={"name": "any_id"})
    client.post("/api/collections/any_id/documents", json={"documents": [{"id": id_, "content": "x"}]})
    assert client.get(f"/api/collections/any_id/documents/{id_}").json["id"] == id_


def test_the_limit_of_the_application_holds_too(make_app):
    app = make_app(MAX_CONTENT_LENGTH=100)
    app.register_blueprint(make_blueprint())
    line = b'{"content": "' + b"x" * 100 + b'"}\n'
    for body, kind in ((line, "application/json"), (line, "application/x-ndjson")):
        refused = app.test_client().post("/api/collections/c/documents", data=body, content_type=kind)
        problem(refused, 413)
    client = app.test_client()
    client.post("/api/collections", json={"name": "limited"})
    problem(client.post("/api/collections/limited/documents", data=line, content_type="application/x-ndjson"), 413)


def test_a_body_that_somebody_has_read_before(make_app):
    app = make_app(ROWSPACE_MAX_BODY=1_024)
    app.before_request(lambda: request.get_data() and None)
    app.register_blueprint(make_blueprint())
    client = app.test_client()
    assert client.post("/api/collections", json={"name": "read_before"}).status_code == 201
    problem(client.post("/api/collections", json={"name": "x" * 1_024}), 413)


class Broken(io.RawIOBase):
    """A body that breaks off, as Werkzeug and Gunicorn tell it."""

    def __init__(self):
        self.parts = [b'{"content": "whole"}\n']

    def readable(self):
        return True

    def readinto(self, buffer):
        if not self.parts:
            message = "Invalid chunk header"
            raise OSError(message)
        part = self.parts.pop()
        buffer[: len(part)] = part
        return len(part)


def test_a_stream_that_breaks_off_stores_nothing(make_app):
    app = make_app()
    app.register_blueprint(make_blueprint())
    client = app.test_client()
    client.post("/api/collections", json={"name": "broken"})
    answer = client.post(
        "/api/collections/broken/documents",
        headers={"Transfer-Encoding": "chunked"},
        content_type="application/x-ndjson",
        environ_overrides={"wsgi.input": Broken(), "wsgi.input_terminated": True},
    )
    assert "ended before it was complete" in problem(answer, 400)["detail"]
    assert client.post("/api/collections/broken/count", json={}).json == {"count": 0}


def test_no_header_that_belongs_to_the_server(make_app):
    app = make_app(ROWSPACE_MAX_BODY=1_024)
    app.register_blueprint(make_blueprint())
    answer = app.test_client().post("/api/collections", data=b" " * 2_000, content_type="application/json")
    problem(answer, 413)
    assert "connection" not in answer.headers


def test_an_answer_that_somebody_aborts_with_stays_theirs(make_app):
    from flask import Response, abort

    app: Flask = make_app()
    add_problem_handlers(app)
    app.add_url_rule("/own", view_func=lambda: abort(Response("own", 409)))
    answer = app.test_client().get("/own")
    assert (answer.status_code, answer.text) == (409, "own")


def test_a_status_of_the_applications_own(make_app):

    class Gone(HTTPException):
        code = 499
        description = "The client left."

    def leave():
        raise Gone

    app: Flask = make_app()
    add_problem_handlers(app)
    app.add_url_rule("/", view_func=leave)
    answer = app.test_client().get("/")
    assert (answer.status_code, answer.json["status"], answer.json["title"]) == (499, 499, "Status 499")
    assert answer.json["detail"] == "The client left."


def test_metrics_can_be_turned_off(make_app):
    for metrics, status in ((True, 200), (False, 404)):
        app = make_app(ROWSPACE_METRICS=metrics)
        app.register_blueprint(make_blueprint())
        assert app.test_client().get("/metrics").status_code == status


def test_what_is_no_database_is_refused_before_a_request():
    with pytest.raises(ConfigurationError, match=r"a database from Database.open.*, got str"):
        create_app(ServerSettings(embedder="none"), database="postgresql://localhost/x")
