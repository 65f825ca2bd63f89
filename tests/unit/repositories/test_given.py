"""One thing where several are meant: what would be taken for something else is refused."""

from __future__ import annotations

import pytest
from sqlalchemy import and_, column, create_engine, true
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.ext.horizontal_shard import ShardedSession
from sqlalchemy.orm import Session, make_transient_to_detached, scoped_session, sessionmaker

from rowspace import AsyncRepository, Database, Repository
from rowspace.errors import ConfigurationError
from rowspace.models import Collection
from rowspace.repositories.given import at_hand, conditions, session_of, several


@pytest.mark.parametrize("one", ["abc", b"bytes", {"a": 1}, 3, None])
def test_one_thing_is_not_several(one):
    with pytest.raises(ConfigurationError, match=r"^Expected ids as a list or another iterable, got \w+ .*\. Write"):
        several(one, "ids")


def test_any_other_iterable_is_several():
    source = (id_ for id_ in "ab")
    assert several(source, "ids") is source
    assert several(("a",), "ids") == ("a",)


ONES = {
    "equal": column("a") == 1,
    "greater": column("a") > 1,
    "both": and_(column("a") == 1, true()),
    "column": column("a"),
    "text": "a = 1",
}


@pytest.mark.parametrize("one", ONES.values(), ids=ONES)
def test_one_condition_is_not_several(one):
    with pytest.raises(ConfigurationError, match="Expected where as a list of conditions or a filter as a dict, got"):
        conditions(one)


@pytest.mark.parametrize("none", [5, [{"a": 1}], ["a = 1"], [None], [[column("a") == 1]]])
def test_what_is_no_condition_is_refused(none):
    with pytest.raises(ConfigurationError, match=r"Expected .*conditions"):
        conditions(none)


def test_conditions_are_a_tuple():
    one = column("a") == 1
    assert conditions(None) == conditions([]) == ()
    assert conditions([one])[0] is one


ENGINE = create_engine("postgresql+psycopg://me:secret@nowhere/db")


@pytest.mark.parametrize("given", [AsyncSession(), async_scoped_session(async_sessionmaker(), str)])
def test_a_session_of_the_other_side_is_refused(given):
    with pytest.raises(ConfigurationError, match=r"Expected a SQLAlchemy Session, got (AsyncS|async_s)"):
        Repository(given, object)
    assert session_of(given, AsyncSession) is given


@pytest.mark.parametrize("given", [Session(), scoped_session(sessionmaker())])
def test_a_session_is_no_async_one(given):
    with pytest.raises(ConfigurationError, match=r"Expected a SQLAlchemy AsyncSession, got (S|s)"):
        AsyncRepository(given, object)
    assert session_of(given, Session) is given


SHARDS = {"shards": {"a": ENGINE}, **dict.fromkeys(("shard_chooser", "identity_chooser", "execute_chooser"), str)}


class AsyncSharded(AsyncSession):
    sync_session_class = ShardedSession


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (ShardedSession(**SHARDS), Session),
        (scoped_session(sessionmaker(class_=ShardedSession, **SHARDS)), Session),
        (AsyncSession(sync_session_class=ShardedSession, **SHARDS), AsyncSession),
        (async_scoped_session(async_sessionmaker(sync_session_class=ShardedSession, **SHARDS), str), AsyncSession),
        (async_scoped_session(async_sessionmaker(class_=AsyncSharded, **SHARDS), str), AsyncSession),
    ],
    ids=["sync", "scoped", "async", "async scoped", "async scoped of a class"],
)
def test_a_session_of_several_databases_is_refused(given, kind):
    """Of each the k nearest came one after the other, and the rows of the first were counted as all."""
    with pytest.raises(ConfigurationError, match="A ShardedSession has several databases"):
        session_of(given, kind)


def test_a_scoped_session_makes_none_to_be_looked_at():
    given = scoped_session(lambda: pytest.fail("it was called"))
    assert session_of(given, Session) is given


@pytest.mark.parametrize(
    "given", [None, ENGINE, sessionmaker(ENGINE), Database(ENGINE), "postgresql://me:secret@there"]
)
def test_what_is_no_session_is_refused_and_not_shown(given):
    with pytest.raises(ConfigurationError, match="Expected a SQLAlchemy Session, got") as refused:
        session_of(given, Session)
    assert "secret" not in str(refused.value)


def test_a_session_reads_a_collection_that_has_expired_by_itself():
    collection = Collection(id=1)
    make_transient_to_detached(collection)
    with Session() as session:
        session.add(collection)
        session.expire(collection)
        assert at_hand(collection) is collection
