"""The text index serves the searches, by EXPLAIN; and PostgreSQL's parser takes whatever a user types."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from rowspace import Database, HybridRepository
from rowspace.repositories import CollectionRepository, DocumentRepository
from rowspace.statements.websearch import web_query


@pytest.fixture(scope="module")
def database(new_module_database) -> Iterator[Database]:
    with Database.open(new_module_database()) as database:
        with database.begin() as session:
            for language in ("simple", "english"):
                collection = CollectionRepository(session).create(language, 4, language=language)
                repository = DocumentRepository(session, collection)
                repository.upsert(documents())
                repository.create_indexes()
        yield database


def documents() -> Iterator[dict]:
    for number, vector in enumerate(np.random.default_rng(1).normal(size=(2000, 4))):
        content = f"数据库 number{number}" if number % 100 else f"天气 rare number{number}"
        yield {"id": str(number), "content": content, "meta": {"n": number}, "embedding": vector}


@pytest.fixture
def session(database) -> Iterator[Session]:
    with database.session() as session:
        yield session


def plan_of(session, search) -> str:
    """Return the plan of the last statement about documents that `search` sends."""
    sent = []

    def keep(_connection, _cursor, statement, parameters, *_):
        if "FROM documents" in statement:
            sent.append((statement, parameters))

    event.listen(session.get_bind(), "before_cursor_execute", keep)
    search()
    event.remove(session.get_bind(), "before_cursor_execute", keep)
    statement, parameters = sent[-1]
    with session.connection().connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}", parameters)
        return "\n".join(line for (line,) in cursor.fetchall())


@pytest.mark.parametrize("language", ["simple", "english"])
@pytest.mark.parametrize("query", ["天气", "rare", '"天气 rare"', "天气 or number7", "rare -天气"])
@pytest.mark.parametrize("where", [None, {"n": {"$lt": 1000}}])
def test_the_text_index_finds_the_rows(session, language, query, where):
    collection = CollectionRepository(session).get(language)
    repository = HybridRepository(session, collection)
    plan = plan_of(session, lambda: repository.text(query, where=where))
    assert f"Bitmap Index Scan on ix_{collection.partition}_text" in plan
    assert "Seq Scan" not in plan


def test_a_hybrid_search_uses_both_indexes(session):
    collection = CollectionRepository(session).get("simple")
    repository = HybridRepository(session, collection)
    plan = plan_of(session, lambda: repository.hybrid("天气", [1, 0, 0, 0]))
    assert f"Bitmap Index Scan on ix_{collection.partition}_text" in plan
    assert f"Index Scan using ix_{collection.partition}_embedding" in plan
    assert "Seq Scan" not in plan


SEARCHES = {
    "nearest": lambda documents, _, turn: documents.nearest([1, turn, 0, 0]),
    "text": lambda _, both, turn: both.text(f"number{turn}"),
    "hybrid": lambda _, both, turn: both.hybrid(f"number{turn}", [1, turn, 0, 0]),
}


@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_without_conditions_is_planned_once(database, search):
    # On a connection of its own: what another test prepared would be counted too.
    with database.engine.connect() as connection, Session(connection) as session:
        collection = CollectionRepository(session).get("simple")
        repositories = DocumentRepository(session, collection), HybridRepository(session, collection)
        session.execute(text("DEALLOCATE ALL"))
        connection.connection.driver_connection.prepare_threshold = 0
        for turn in range(12):
            SEARCHES[search](*repositories, turn)
        plans = "SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE statement LIKE '%documents%'"
        # PostgreSQL's manual, PREPARE: five times for the values, then once for any.
        assert (5, 7) in session.execute(text(plans)).all()
        connection.detach()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.sampled_from("ab \"-'!&|()<>:*\\数据検ー한，。「」“”－\0\ud800or ") | st.characters(), max_size=80),
    st.sampled_from(["simple", "english"]),
)
@example('"' * 100, "simple")
@example("- " * 100 + "a", "english")
@example("-" * 999 + "数", "simple")
@example("数" * 1_000, "simple")
@example("数 " * 500, "simple")
@example("a " * 500, "english")
@example("-数 or " * 160, "simple")
def test_whatever_is_typed_is_a_query(session, typed, language):
    repository = HybridRepository(session, CollectionRepository(session).get(language))
    repository.text(typed, 1, highlight=True, max_ranked=10)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["a", "b", "-a", '"a b"', '-"a b"', "or", "a-b", "数", "数据", "-数据", '"a 数"'])))
def test_words_keep_their_operators(session, words):
    """A CJK character in a query does what a Latin word in its place does."""
    typed = " ".join(words)
    latin = typed.replace('"a 数"', '"a x"').replace("-数据", '-"x y"').replace("数据", '"x y"').replace("数", "x")
    read = text("SELECT replace(replace(CAST(websearch_to_tsquery('simple', :query) AS text), '数', 'x'), '据', 'y')")
    assert session.scalar(read, {"query": web_query(typed)}) == session.scalar(read, {"query": latin})
