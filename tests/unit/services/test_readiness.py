"""What a probe says, from plain facts."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout

from rowspace.errors import InvalidSetting, PermissionDenied, StoreUnavailable, TransactionConflict
from rowspace.services.readiness import broken, unmigrated, unreached
from rowspace.statements.catalog import IndexFact


def index(name, **facts):
    return IndexFact("s", "documents_1", name, "hnsw", "CREATE INDEX", **facts)


def test_a_database_at_another_migration():
    older = unmigrated("0001", "0002")
    assert not older.ready
    assert "'0001'" in older.migrations
    assert "'0002'" in older.migrations
    assert "no tables" in unmigrated(None, "0002").migrations


def test_only_what_is_invalid_and_not_being_built_counts():
    assert broken([index("a"), index("b", is_valid=False, is_building=True)]).ready
    found = broken([index("a"), index("b", is_valid=False), index("c", is_valid=False)])
    assert found.indexes.startswith("These indexes are INVALID, so no search uses them: b, c.")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StoreUnavailable("host secret.example"), "cannot be reached"),
        (PermissionDenied("permission denied for table x"), "may not read"),
        (TransactionConflict("deadlock"), "in the way"),
        (InvalidSetting("SELECT 1"), "The database failed."),
    ],
)
def test_errors_are_told_in_other_words(error, said):
    told = unreached(error)
    assert said in told.database
    assert str(error) not in told.database


def test_a_pool_without_a_free_connection_is_told_from_a_server_that_is_away():
    error = StoreUnavailable("timed out")
    error.__cause__ = PoolTimeout()
    assert unreached(error).database == "Every connection to the database is in use."
