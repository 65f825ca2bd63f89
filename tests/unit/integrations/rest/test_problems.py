"""Which status an error has, and what may be said of it."""

from __future__ import annotations

import json
import logging

import pytest
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError, OperationalError, TimeoutError as PoolTimeout

from rowspace import errors
from rowspace.integrations.rest.errors import RequestFault
from rowspace.integrations.rest.models import DocumentsBody
from rowspace.integrations.rest.problems import (
    Problem,
    log_failure,
    pointer_to,
    problem_of,
    said_of,
    title_of,
    unready,
    validation_problem,
)
from rowspace.services import Readiness

SECRET = "host=db.internal user=admin SELECT * FROM documents"


class Driver(Exception):
    def __init__(self, sqlstate):
        super().__init__(SECRET)
        self.sqlstate = sqlstate


def database(sqlstate):
    error = DBAPIError(SECRET, {}, Driver(sqlstate))
    error.code = sqlstate
    return error


def named(value):
    if not isinstance(value, Exception):
        return str(value)
    return f"{type(value).__name__} {getattr(value, 'code', '')} {type(value.__cause__).__name__}"


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (errors.StoreUnavailable(SECRET), 503, "5"),
        (errors.SchemaNotReady(SECRET), 503, "5"),
        (errors.PermissionDenied(SECRET), 403, None),
        (errors.TransactionConflict(SECRET), 409, "1"),
        (errors.ModelUnavailable(SECRET), 503, "5"),
        (errors.ModelUnavailable(SECRET, retry_after=6.2), 503, "7"),
        (errors.ModelError(SECRET), 502, None),
        (errors.EmbedderFailed(SECRET), 503, "5"),
        (PoolTimeout(SECRET), 429, "1"),
        (caused(errors.StoreUnavailable(SECRET), PoolTimeout(SECRET)), 429, "1"),
        (database("57014"), 503, "5"),
        (Driver("57014"), 503, "5"),
        (caused(errors.ConfigurationError(SECRET), database("26000")), 503, None),
        (caused(errors.ConfigurationError(SECRET), TypeError(SECRET)), 503, None),
        (database("22003"), 422, None),
        (database("54000"), 422, None),
        (database("XX000"), 500, None),
        (OperationalError(SECRET, {}, Driver(None)), 500, None),
        (RuntimeError(SECRET), 500, None),
    ],
    ids=named,
)
def test_faults_of_the_server_are_not_told_in_their_own_words(error, status, retry):
    problem = problem_of(error)
    assert (problem.status, problem.headers.get("Retry-After")) == (status, retry)
    assert not any(word in problem.content("id").decode() for word in ("internal", "admin", "SELECT"))


@pytest.mark.parametrize(
    ("error", "status", "pointer"),
    [
        (errors.CollectionNotFound("There is no collection 'c'."), 404, None),
        (errors.RowNotFound("There is no document."), 404, None),
        (errors.CollectionExists("It is there."), 409, "/name"),
        (errors.DimensionMismatch("2, not 3."), 409, "/vector"),
        (errors.EmbedderMismatch("Another one."), 409, None),
        (errors.InvalidFilter("No such operator."), 422, "/filter"),
        (errors.InvalidCursor("Of another listing."), 404, "/cursor"),
        (errors.InvalidSetting("Too large."), 422, None),
        (errors.InvalidSetting("Not tuned.").at("recall"), 409, "/recall"),
        (errors.ConfigurationError("No embedder."), 409, None),
        (errors.InvalidRow("Bad.").at("documents", 3, "metadata"), 422, "/documents/3/metadata"),
    ],
    ids=named,
)
def test_faults_of_the_caller_are(error, status, pointer):
    body = problem_of(error).body("id")
    assert (body["status"], body["detail"]) == (status, str(error))
    assert body.get("errors") == ([{"pointer": pointer, "detail": str(error)}] if pointer else None)


def test_every_error_has_a_status():
    for name in errors.__all__:
        kind = getattr(errors, name)
        if not isinstance(kind, type) or kind in {errors.RowspaceError, errors.MissingExtra}:
            continue
        assert problem_of(kind("x")).status != 500, name


def test_the_place_of_each_fault():
    with pytest.raises(ValidationError) as raised:
        DocumentsBody.model_validate({"documents": [{"content": 1}, {"id": "a"}], "x": 1})
    problem = problem_of(raised.value)
    assert [fault["pointer"] for fault in problem.errors] == ["/documents/0/content", "/documents/1/content", "/x"]
    assert problem.detail.startswith("/documents/0/content: ")


def test_of_many_faults_the_first_are_told():
    many = {f"k{number}": 1 for number in range(50_000)}
    with pytest.raises(ValidationError) as caught:
        DocumentsBody.model_validate({"documents": [{"content": "x", **many}] * 10, **many})
    # Each that is made costs the server some microseconds, in which nobody else is served.
    assert caught.value.error_count() == 11 * 20
    problem = problem_of(caught.value)
    assert len(problem.errors) == 100
    assert problem.detail == "/documents/0/k0: Extra inputs are not permitted."


@pytest.mark.parametrize("given", [[], {"documents": [1]}], ids=str)
def test_what_is_no_object_is_told_without_names_of_classes(given):
    with pytest.raises(ValidationError) as raised:
        DocumentsBody.model_validate(given)
    assert said_of(raised.value.errors()[0]) == "Input should be an object"


def test_places_as_fastapi_gives_them():
    faults = [
        {"loc": ("body", "search", "k"), "msg": "Value error, too many"},
        {"loc": ("path", "name"), "msg": "no"},
        {"loc": ("body",), "msg": "missing"},
    ]
    problem = validation_problem(faults)
    assert problem.errors == [
        {"pointer": "/k", "detail": "too many"},
        {"parameter": "name", "detail": "no"},
        {"pointer": "", "detail": "missing"},
    ]


def test_a_parameter_at_fault():
    body = problem_of(RequestFault(422, "name: no NUL.", parameter="name")).body("id")
    assert body["errors"] == [{"parameter": "name", "detail": "name: no NUL."}]


def test_pointers_are_escaped():
    assert pointer_to(["a/b", 0, "c~d"]) == "/a~1b/0/c~0d"


def test_what_is_sent():
    sent = json.loads(Problem(503, "Away: 茶 \ud800.", more={"checks": {"database": "Away."}}).content("id"))
    assert sent == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "Away: 茶 ?.",
        "checks": {"database": "Away."},
        "request_id": "id",
    }


def test_titles_are_those_of_every_python():
    assert (title_of(413), title_of(422), title_of(404)) == ("Content Too Large", "Unprocessable Content", "Not Found")


def test_a_server_that_is_not_ready():
    problem = problem_of(unready(Readiness(database="Away.", indexes="INVALID: a.")))
    assert (problem.status, problem.detail) == (503, "Away. INVALID: a.")
    assert problem.more["checks"] == {"database": "Away.", "migrations": None, "indexes": "INVALID: a."}


def test_the_log_has_the_id_and_a_traceback_where_nobody_foresaw_it(caplog):
    caplog.set_level(logging.INFO, "rowspace.http")
    away, denied = errors.StoreUnavailable("away\nSELECT 1"), errors.PermissionDenied("no")
    for error in (errors.CollectionNotFound("c"), away, denied, RuntimeError("bug")):
        log_failure(error, problem_of(error), "id-7")
    assert [(record.getMessage(), bool(record.exc_info)) for record in caplog.records] == [
        ("request id-7: StoreUnavailable: away", False),
        ("request id-7: PermissionDenied: no", False),
        ("request id-7: RuntimeError: bug", True),
    ]
