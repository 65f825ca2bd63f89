"""How many statements a search sends, and whether the planner serves them from the vector index."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import NullPool, event, select, text
from sqlalchemy.orm import Session

from rowspace import CollectionRepository, Database, SearchRepository, SearchSettings
from rowspace.repositories._sync import many
from rowspace.repositories.remembered import Remembered
from rowspace.statements.batch import worth_comparing
from rowspace.statements.search import number


@pytest.fixture
def session(world) -> Iterator[Session]:
    with Database.open(world.url, poolclass=NullPool) as database, database.session() as opened:
        yield opened


@pytest.fixture(params=["passages", "documents"])
def repository(request, session, world):
    if request.param == "passages":
        return SearchRepository(session, world.passage)
    return SearchRepository(session, CollectionRepository(session).get(world.collection))


@pytest.fixture
def sent(session, repository, world) -> Iterator[list[tuple[str, object]]]:
    """Collect the statements that are sent, with their parameters."""
    statements: list[tuple[str, object]] = []

    def collect(_connection, _cursor, statement, values, _context, _many):
        statements.append((statement, values))

    # The first search of a model asks for the tuning of its index.
    repository.nearest_many(world.queries[:1])
    engine = session.get_bind()
    event.listen(engine, "before_cursor_execute", collect)
    yield statements
    event.remove(engine, "before_cursor_execute", collect)


def plan_of(session, statement) -> str:
    rows = session.connection().connection.driver_connection.execute("EXPLAIN " + statement[0], statement[1])
    return "\n".join(row[0] for row in rows)


def test_forty_searches_are_one_statement_by_the_index(session, repository, world, sent):
    repository.nearest_many(world.queries)
    assert len(sent) == 1
    plan = plan_of(session, sent[0])
    assert "Order By: " in plan
    assert "Seq Scan" not in plan


def test_what_is_like_a_row_is_one_statement_by_the_index(session, repository, world, sent):
    repository.similar_to(3 if repository._target.model is world.passage else "3")
    assert len(sent) == 1
    plan = plan_of(session, sent[0])
    assert "Order By: " in plan
    assert "Seq Scan" not in plan


def test_the_planner_takes_the_queries_for_ten_however_many_there_are(session, repository, world, sent):
    repository.nearest_many(world.queries)
    scan = next(line for line in plan_of(session, sent[0]).splitlines() if "Function Scan on unnest" in line)
    assert "rows=10 " in scan


def test_only_the_queries_that_came_back_short_are_sent_again(session, world, monkeypatch):
    # As if more rows matched than are found once for all.
    monkeypatch.setattr(many, "worth_comparing", lambda *_: number(0))
    settings = SearchSettings(max_scan_tuples=1, ef_search=10)
    repository = SearchRepository(session, world.passage)
    # Of a table as small as this the planner would rather read all rows, and find them.
    session.connection().exec_driver_sql("SET LOCAL enable_seqscan = off")
    sent = []
    event.listen(session.get_bind(), "before_cursor_execute", lambda *call: sent.append(call[3]))
    found = repository.nearest_many(world.queries, 5, where=[world.passage.year < 1905], settings=settings)
    assert [len(hits) for hits in found] == [5] * len(world.queries)
    sizes = [len(values["rowspace_queries"].data) for values in sent if "rowspace_queries" in values]
    assert len(sizes) == 2
    assert 0 < sizes[1] < sizes[0]


def test_a_range_that_ends_early_is_no_reason_to_scan_again(repository, world, sent):
    assert all(len(hits) < 10 for hits in repository.nearest_many(world.queries[:2], max_distance=0.001))
    searches, counts = (
        [text for text, _ in sent if "rowspace_queries" in text and ("count(" in text) is counting]
        for counting in (False, True)
    )
    assert (len(searches), len(counts)) == (1, 1)


def test_groups_that_are_full_among_the_first_candidates_are_one_search(repository, world, sent):
    repository.grouped(world.queries[1], "at.section", groups=2)
    assert [text.split()[0] for text, _ in sent if not text.startswith("SET LOCAL")] == ["SELECT"]


def conditions(repository, world, number):
    return [world.passage.year < number] if repository._target.model is world.passage else {"year": {"$lt": number}}


def test_rows_that_few_pass_are_found_once_for_many_queries(session, repository, world, sent):
    where = conditions(repository, world, 1905)
    found = repository.nearest_many(world.queries, 5, where=where)
    count, searched = [one for one in sent if not one[0].startswith("SET LOCAL")]
    assert count[0].startswith("SELECT count(*)")
    rows = session.connection().connection.driver_connection.execute(
        "EXPLAIN (ANALYZE, FORMAT JSON) " + searched[0], searched[1]
    )
    nodes, filled = [rows.fetchone()[0][0]["Plan"]], []
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        filled += [node["Actual Loops"]] if node.get("Subplan Name") == "CTE rowspace_rows" else []
    assert filled == [1]
    exact = [repository.nearest_many([query], 5, where=where, exact=True)[0] for query in world.queries]
    assert [[hit.entity.id for hit in hits] for hits in found] == [[hit.entity.id for hit in hits] for hits in exact]


@pytest.mark.parametrize(
    ("rows", "k", "dimension", "most"),
    [
        (-1, 10, 64, 4_472),
        (50_000, 10, 64, 4_472),
        (1_000_000, 10, 64, 20_000),
        (1_000_000, 1, 64, 6_325),
        (1_000_000, 100, 1_536, 21_845),  # 128 MiB of vectors
        (1_000_000, 10, None, 2_097),
        (1_000_000, 10, 10**9, 2_097),  # sparse
    ],
)
def test_how_many_rows_are_found_once_follows_from_those_of_the_table(session, rows, k, dimension, most):
    analysed = text("UPDATE pg_class SET reltuples = :rows WHERE oid = to_regclass('collections')")
    session.execute(analysed, {"rows": rows})
    assert session.scalar(select(worth_comparing("collections", k, dimension))) == most


def test_many_searches_under_a_filter_look_at_the_size_of_their_own_table(repository, world, sent):
    repository.nearest_many(world.queries, 5, where=conditions(repository, world, 1905))
    counted = next(values for statement, values in sent if statement.startswith("SELECT count("))
    scope = repository._target.scope
    assert (f"documents_{scope[0][1]}" if scope else repository._target.model.__table__.name) in counted.values()


def test_a_filter_that_many_pass_is_counted_once_for_few_queries(session, world, monkeypatch):
    monkeypatch.setattr(many, "FEW", 3)
    monkeypatch.setattr(many, "WIDE", Remembered(60.0))
    repository = SearchRepository(session, CollectionRepository(session).get(world.collection))
    counted = []
    event.listen(
        session.get_bind(), "before_cursor_execute", lambda *call: counted.append(call[2].startswith("SELECT count("))
    )
    year = session.get(repository._target.model, (repository._target.scope[0][1], "3")).meta["year"]
    for _ in range(2):
        assert repository.similar_to("3", 5, where={"year": year})
    assert sum(counted) == 1
