"""COPY out of psycopg, on a connection whose libpq is played by a list of what it answers."""

from __future__ import annotations

from types import SimpleNamespace

import psycopg
import pytest
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.waiting import Wait

from rowspace.wire import messages

COPY, DONE = SimpleNamespace(status=ExecStatus.COPY_OUT), SimpleNamespace(status=ExecStatus.COMMAND_OK)


class Failure:
    status = ExecStatus.FATAL_ERROR

    def __init__(self, sqlstate):
        self.sqlstate = sqlstate

    def error_field(self, _field):
        return self.sqlstate

    def get_error_message(self, _encoding):
        return "it failed"


class Libpq:
    """Rows, a None where the next one has still to come, and at the end the results."""

    def __init__(self, rows, *results, first=COPY):
        self.rows, self.results, self.waits, self.sent = list(rows), [first, *results], 0, None
        self.transaction_status = TransactionStatus.INTRANS

    def send_query(self, query):
        self.sent, self.transaction_status = query, TransactionStatus.ACTIVE

    def is_busy(self):
        return False

    def get_result(self):
        if self.results:
            return self.results.pop(0)
        self.transaction_status = TransactionStatus.INTRANS
        return None

    def get_copy_data(self, _later):
        if not self.rows:
            return -1, memoryview(b"")
        row = self.rows.pop(0)
        return (0, memoryview(b"")) if row is None else (len(row), memoryview(row))

    def consume_input(self):
        self.waits += 1


class Connection:
    """Runs the generators; with `cancelled`, what the server says to a cancelled statement."""

    info = SimpleNamespace(encoding="utf-8")

    def __init__(self, pgconn, cancelled=()):
        self.pgconn, self.cancelled, self.cancels = pgconn, list(cancelled), 0

    def wait(self, generator):
        try:
            while True:
                assert next(generator) == Wait.R
        except StopIteration as end:
            return end.value

    def cancel_safe(self):
        self.pgconn.rows, self.pgconn.results = [], self.cancelled
        self.cancels += 1


def test_rows_are_joined_to_blocks(monkeypatch):
    monkeypatch.setattr(messages, "_BLOCK", 4)
    libpq = Libpq([b"ab", b"cd", None, b"e", None, b"f", b"gh"], DONE)
    assert list(messages.blocks(Connection(libpq), "COPY ä")) == [b"abcd", b"efgh"]
    assert (libpq.sent, libpq.waits) == ("COPY ä".encode(), 2)
    assert libpq.transaction_status == TransactionStatus.INTRANS


def test_no_row_is_no_block():
    assert list(messages.blocks(Connection(Libpq([], DONE)), "COPY")) == []


def test_a_statement_that_cannot_be_run_is_psycopgs_error():
    libpq = Libpq([], first=Failure(b"42P01"))
    with pytest.raises(psycopg.errors.UndefinedTable, match="it failed"):
        list(messages.blocks(Connection(libpq), "COPY"))
    assert libpq.transaction_status == TransactionStatus.INTRANS


@pytest.mark.parametrize(
    ("sqlstate", "kind"), [(b"22012", psycopg.errors.DivisionByZero), (None, psycopg.OperationalError)]
)
def test_an_error_on_the_way_comes_after_the_rows_before_it(monkeypatch, sqlstate, kind):
    monkeypatch.setattr(messages, "_BLOCK", 2)
    blocks = messages.blocks(Connection(Libpq([b"ab"], Failure(sqlstate))), "COPY")
    assert next(blocks) == b"ab"
    with pytest.raises(kind, match="it failed"):
        next(blocks)


@pytest.mark.parametrize("result", [Failure(b"57014"), DONE])
def test_a_reader_that_stops_cancels(monkeypatch, result):
    monkeypatch.setattr(messages, "_BLOCK", 2)
    libpq = Libpq([b"ab", b"cd"], DONE)
    connection = Connection(libpq, cancelled=[result])
    blocks = messages.blocks(connection, "COPY")
    assert next(blocks) == b"ab"
    blocks.close()
    assert (libpq.transaction_status, connection.cancels) == (TransactionStatus.INTRANS, 1)
