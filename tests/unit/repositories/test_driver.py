"""A statement on the driver's cursor: its text, parameters and values are what SQLAlchemy would make of them."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import numpy as np
import pytest
from psycopg import errors
from sqlalchemy import bindparam, column, create_engine, event, exc, select
from sqlalchemy.dialects.postgresql import asyncpg, psycopg
from sqlalchemy.types import Enum, Integer

from rowspace.distance import Distance
from rowspace.errors import DimensionMismatch
from rowspace.models import Document
from rowspace.repositories.driver import Prepared, as_sqlalchemy, is_observed, prepared, run
from rowspace.statements.known import NAME, VERSION, nearest_known
from rowspace.statements.search import QUERY, Target

STATEMENT = nearest_known(Target(Document, "embedding", Distance.COSINE, 2, (("collection_id", 7),)), 3)
VALUES = {QUERY: [1, 2], NAME: "points", VERSION: "9"}


class Cursor:
    """One row, and a count of how often somebody asked what its columns are."""

    described = 0

    def __init__(self, *values, error=None):
        self.values, self.error = values, error

    def execute(self, text, parameters):
        if self.error:
            raise self.error

    def fetchall(self):
        return [self.values]

    @property
    def description(self):
        self.described += 1
        return [("name", 25) for _ in self.values]

    def close(self):
        pass


def test_parameters_by_name():
    statement = Prepared(psycopg.dialect(), STATEMENT)
    assert "%(rowspace_query)s::VECTOR(2)" in statement.text
    assert statement.parameters(VALUES) == {QUERY: "[1,2]", NAME: "points", VERSION: "9"}


def test_a_parameter_with_a_value_of_its_own_need_not_be_given():
    x, least = column("x", Integer), bindparam("least", 7)
    statement = Prepared(psycopg.dialect(), select(x).where(x > least, x < 9))
    assert statement.parameters({}) == {"least": 7, "x_1": 9}
    assert statement.parameters({"least": 8}) == {"least": 8, "x_1": 9}


def test_a_parameter_that_is_missing_is_an_error():
    with pytest.raises(KeyError, match=NAME):
        Prepared(psycopg.dialect(), STATEMENT).parameters({QUERY: [1, 2], VERSION: "9"})


def test_parameters_by_position():
    statement = Prepared(asyncpg.dialect(), STATEMENT)
    values = statement.parameters(VALUES)
    assert values[int(statement.text.partition("::VECTOR")[0].rpartition("$")[2]) - 1] == "[1,2]"
    assert sorted(values) == ["9", "[1,2]", "points"]


def test_a_value_that_the_statement_has():
    assert Prepared(psycopg.dialect(), select(column("a") == 5)).parameters({}) == {"a_1": 5}


def test_it_is_prepared_once():
    dialect = psycopg.dialect()
    assert prepared(dialect, STATEMENT) is prepared(dialect, STATEMENT)


def test_a_list_of_values_has_another_text_each_time():
    assert Prepared(psycopg.dialect(), STATEMENT).is_fixed
    assert not Prepared(psycopg.dialect(), select(column("a", Integer)).where(column("a").in_([1, 2]))).is_fixed


def test_a_vector_is_checked_before_it_is_sent():
    with pytest.raises(DimensionMismatch):
        Prepared(psycopg.dialect(), STATEMENT).parameters({**VALUES, QUERY: np.zeros(3)})


def test_values_are_converted_and_columns_described_once():
    statement = Prepared(psycopg.dialect(), select(column("a", Integer), column("b", Enum("x", "y"))))
    cursor = Cursor(1, "x")
    assert [list(row) for row in statement.rows(cursor)] == [[1, "x"]]
    statement.rows(cursor)
    assert cursor.described == 1


def test_rows_without_conversion_are_the_drivers():
    assert Prepared(psycopg.dialect(), select(column("a", Integer))).rows(Cursor(1)) == [(1,)]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), TypeError()])
def test_who_was_interrupted_leaves_the_connection(error):
    proxied = SimpleNamespace(cursor=lambda: Cursor(error=error))
    given_up = []
    dialect = create_engine("postgresql+psycopg://").dialect
    with pytest.raises(type(error)):
        run(proxied, Prepared(dialect, select(column("a"))), {}, invalidate=given_up.append)
    assert given_up == ([error] if isinstance(error, KeyboardInterrupt) else [])


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.DivisionByZero, exc.DataError),
        (errors.UniqueViolation, exc.IntegrityError),
        (errors.QueryCanceled, exc.OperationalError),
        (errors.InFailedSqlTransaction, exc.InternalError),
        (errors.FeatureNotSupported, exc.NotSupportedError),
        (errors.UndefinedTable, exc.ProgrammingError),
    ],
)
def test_an_error_of_the_drivers_is_sqlalchemys_of_that_name_and_shows_no_parameters(error, kind):
    with pytest.raises(kind) as caught, as_sqlalchemy("SELECT"):
        raise error
    assert type(caught.value) is kind
    assert (caught.value.statement, caught.value.params, type(caught.value.orig)) == ("SELECT", None, error)


def test_what_the_server_does_not_say_is_left_as_it_is():
    with pytest.raises(KeyError), as_sqlalchemy("SELECT"):
        raise KeyError


def test_who_wants_to_see_the_statements():
    engine = create_engine("postgresql+psycopg://")
    assert not is_observed(engine)
    assert is_observed(engine.execution_options(schema_translate_map={None: "other"}))
    assert is_observed(create_engine("postgresql+psycopg://", echo=True))
    event.listen(engine, "before_cursor_execute", lambda *_: None)
    assert is_observed(engine)


@pytest.mark.parametrize(
    "name", ["before_execute", "after_execute", "after_cursor_execute", "handle_error", "do_execute"]
)
def test_who_listens(name):
    engine = create_engine("postgresql+psycopg://")
    event.listen(engine, name, lambda *_: None)
    assert is_observed(engine)


def test_who_logs_by_the_logging_module(caplog):
    caplog.set_level(logging.INFO, "sqlalchemy.engine")
    assert is_observed(create_engine("postgresql+psycopg://"))
