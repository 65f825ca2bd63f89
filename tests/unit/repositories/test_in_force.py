from __future__ import annotations

from types import SimpleNamespace

import pytest

from rowspace.errors import ConfigurationError
from rowspace.repositories.in_force import is_autocommit, not_in_force, refuse_autocommit

RELAXED, OFF = "SET LOCAL hnsw.iterative_scan = relaxed_order", "SET LOCAL hnsw.iterative_scan = off"
EF_SEARCH = "SET LOCAL hnsw.ef_search = 80"


class FakeSession:
    def __init__(self):
        self.info = {}
        self.root, self.nested = object(), None

    def get_transaction(self):
        return self.root

    def get_nested_transaction(self):
        return self.nested


def test_what_rowspace_decides_is_set_once_a_transaction():
    session = FakeSession()
    assert not_in_force(session, int, [RELAXED]) == [RELAXED]
    assert not_in_force(session, int, [RELAXED]) == []
    session.root = object()
    assert not_in_force(session, int, [RELAXED]) == [RELAXED]


def test_what_somebody_asks_for_is_set_each_time():
    session = FakeSession()
    for _ in range(2):
        assert not_in_force(session, int, [EF_SEARCH, OFF]) == [EF_SEARCH, OFF]
    not_in_force(session, int, [RELAXED, EF_SEARCH])
    assert not_in_force(session, int, [RELAXED, EF_SEARCH]) == [EF_SEARCH]


def test_another_value_in_between_makes_it_necessary_again():
    session = FakeSession()
    not_in_force(session, int, [RELAXED])
    not_in_force(session, int, [OFF])
    assert not_in_force(session, int, [RELAXED]) == [RELAXED]


def test_a_savepoint_is_a_transaction_of_its_own():
    session = FakeSession()
    not_in_force(session, int, [RELAXED])
    session.nested = object()
    assert not_in_force(session, int, [RELAXED]) == [RELAXED]
    session.nested = None
    assert not_in_force(session, int, [RELAXED]) == [RELAXED]


def test_another_model_may_live_on_another_connection():
    session = FakeSession()
    not_in_force(session, int, [RELAXED])
    assert not_in_force(session, str, [RELAXED]) == [RELAXED]


def test_before_the_transaction_and_on_what_is_no_session_everything_is_sent():
    session = FakeSession()
    not_in_force(session, int, [RELAXED])
    session.root = None
    for unknown in (session, SimpleNamespace(info={})):
        for _ in range(2):
            assert not_in_force(unknown, int, [RELAXED]) == [RELAXED]


def test_an_async_session_is_looked_into():
    session = FakeSession()
    assert not_in_force(SimpleNamespace(sync_session=session), int, [RELAXED]) == [RELAXED]
    assert not_in_force(session, int, [RELAXED]) == []


def connection(*, autocommit):
    return SimpleNamespace(connection=SimpleNamespace(dbapi_connection=SimpleNamespace(autocommit=autocommit)))


def test_in_autocommit_only_what_somebody_asks_for_is_refused():
    alone = connection(autocommit=True)
    assert is_autocommit(SimpleNamespace(sync_connection=alone))
    with pytest.raises(ConfigurationError, match=f"In AUTOCOMMIT mode, {EF_SEARCH} would have no effect"):
        refuse_autocommit(alone, [RELAXED, EF_SEARCH])
    refuse_autocommit(alone, [RELAXED])
    refuse_autocommit(connection(autocommit=False), [RELAXED, EF_SEARCH])
