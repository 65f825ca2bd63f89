"""Each check on facts that are made up: what it finds, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rowspace import HNSW
from rowspace.errors import PermissionDenied
from rowspace.statements.catalog import IndexFact
from rowspace.statements.checks import check, recall_finding, unreadable_finding
from rowspace.statements.health import Asked, Facts, ServerFact, TableFact
from rowspace.statements.indexing import PlannedIndex, planned_vector

PLAN = PlannedIndex("ix", "docs", planned_vector(HNSW(), 8), "s")
INDEX = IndexFact(
    schema="s",
    table="docs",
    name="ix",
    method="hnsw",
    definition="CREATE INDEX ix ON s.docs USING hnsw (((embedding)::vector(8)) vector_cosine_ops)",
    opclass="vector_cosine_ops",
    size=2**20,
    rows=9_000,
    scans=4,
)
TABLE = TableFact("s", "docs", 9_000, dimensions={"embedding": 8})
ASKED = Asked("the collection 'news'", "docs", [PLAN], {"embedding": 8}, "news", "s")
SERVER = ServerFact(14, "0.8.6", "0.8.6", 2**30, 2**30, 1.1, None)
WELL = Facts(SERVER, [TABLE], [INDEX], [ASKED])


def server(**changes):
    return replace(WELL, server=replace(WELL.server, **changes))


def index(**changes):
    return replace(WELL, indexes=[replace(INDEX, **changes)])


def table(**changes):
    return replace(WELL, tables=[replace(TABLE, **changes)])


def test_nothing_is_found_where_all_is_well():
    assert check(WELL) == []
    assert check(Facts(SERVER)) == []


@pytest.mark.parametrize(
    ("facts", "name", "severity", "what", "fix"),
    [
        (server(extension=None), "extension", "error", "not in this database", "CREATE EXTENSION vector;"),
        (server(postgresql=13), "extension", "error", "PostgreSQL 13", "Move the database to PostgreSQL 14 or newer."),
        (server(postgresql=13, extension=None), "extension", "error", "PostgreSQL 13", "PostgreSQL 14 or newer."),
        (server(extension="0.7.4"), "extension", "error", "pgvector is 0.7.4", "0.8 or newer"),
        (server(extension="0.8.5"), "extension", "info", "the server has 0.8.6", "ALTER EXTENSION vector UPDATE;"),
        (
            server(hidden_in="Ext"),
            "extension",
            "error",
            'in the schema "Ext", which',
            'search_path = ..., "Ext";',
        ),
        (
            replace(WELL, asked=[replace(ASKED, attach="ALTER TABLE documents ATTACH PARTITION docs")]),
            "detached-partition",
            "error",
            "The table docs of the collection 'news' is not a partition",
            "ALTER TABLE documents ATTACH PARTITION docs;",
        ),
        (server(shared_buffers=2**19), "large-indexes", "warning", "have 1 MB, shared_buffers has 512 kB", "halfvec"),
        (server(maintenance_work_mem=2**19), "build-memory", "info", "ix has 1 MB", "reindex news --memory 1MB"),
        (server(random_page_cost=4.0), "random-page-cost", "info", "is 4, which", "random_page_cost = 1.1"),
        (index(is_valid=False), "invalid-index", "error", "ix on docs is INVALID", "rowspace index repair news"),
        (index(is_valid=False, scans=0), "invalid-index", "error", "INVALID", "rowspace index repair news"),
        (index(scans=0), "unused-index", "info", "has used ix (1 MB)", "explain()"),
        (
            index(opclass="vector_l2_ops"),
            "index-mismatch",
            "error",
            "operator class is vector_l2_ops, not vector_cosine_ops",
            "DROP INDEX CONCURRENTLY IF EXISTS s.ix; CREATE INDEX CONCURRENTLY ix ON s.docs USING hnsw",
        ),
        (index(definition="(embedding)::vector(9)"), "index-mismatch", "error", "cast is vector(9), not vector(8)", ""),
        (index(options=["m=8"]), "index-mismatch", "warning", "its m is 8, not 16", "m = 16"),
        (replace(WELL, indexes=[]), "missing-index", "warning", "9000 rows and no index ix", "index build news"),
        (
            Facts(SERVER, [replace(TABLE, rows=2_000)], [], [ASKED]),
            "missing-index",
            "warning",
            "2000 rows and no index ix",
            "index build news",
        ),
        (
            replace(WELL, asked=[replace(ASKED, indexes=[PLAN, PlannedIndex("key", "docs", "btree ((a))", "s")])]),
            "missing-index",
            "warning",
            "9000 rows and no index key",
            "index build news",
        ),
        (
            replace(
                WELL,
                tables=[replace(TABLE, name="documents_7")],
                indexes=[replace(INDEX, name="ix_documents_7_key_a", table="documents_7", method="btree", scans=0)],
                asked=[replace(ASKED, table="documents_7", indexes=[])],
            ),
            "forgotten-index",
            "warning",
            "'news' does not declare ix_documents_7_key_a",
            "rowspace index build news --key KEY",
        ),
        (
            replace(WELL, tables=[]),
            "missing-table",
            "error",
            "table docs of the collection 'news' does not exist",
            "If it was renamed or moved, undo that",
        ),
        (table(analyzed=False), "stale-statistics", "warning", "was never analyzed", "ANALYZE s.docs;"),
        (table(modified=6_000), "stale-statistics", "info", "6000 rows of docs changed", "ANALYZE s.docs;"),
        (
            table(dead=3_600),
            "dead-rows",
            "info",
            "docs has 3600 dead rows, and had 9000 rows",
            "index reindex news first",
        ),
        (
            replace(table(dead=9_000), asked=[]),
            "dead-rows",
            "info",
            "docs has 9000",
            "REINDEX INDEX CONCURRENTLY s.ix; first, then VACUUM s.docs;",
        ),
        (
            table(dimensions={"embedding": 9}),
            "dimension-mismatch",
            "error",
            "has 9 dimensions, the collection",
            "embed",
        ),
        (
            replace(
                WELL, indexes=[INDEX, replace(INDEX, name="ix2", definition=INDEX.definition.replace("ix", "ix2"))]
            ),
            "duplicate-index",
            "warning",
            "ix2 on docs is the same index as ix",
            "DROP INDEX CONCURRENTLY s.ix2;",
        ),
        (
            # Of the two, the one that is asked for stays, whatever their names.
            replace(
                WELL,
                indexes=[INDEX, replace(INDEX, name="a", definition=INDEX.definition.replace("INDEX ix", "INDEX a"))],
            ),
            "duplicate-index",
            "warning",
            "a on docs is the same index as ix",
            "DROP INDEX CONCURRENTLY s.a;",
        ),
        (
            replace(WELL, asked=[replace(ASKED, reembedded_by="new")]),
            "unfinished-reembedding",
            "info",
            "the collection 'news' by 'new' is not finished",
            "run rowspace reembed news with that embedder",
        ),
    ],
)
def test_what_a_check_finds(facts, name, severity, what, fix):
    (finding,) = check(facts)
    assert (finding.check, finding.severity) == (name, severity)
    assert what in finding.what
    assert fix in finding.fix
    assert finding.why
    assert finding.subject


@pytest.mark.parametrize(
    "facts",
    [
        server(extension="0.9.0", available=None),
        # Statistics that began an hour ago say nothing of an index.
        replace(index(scans=0), server=replace(WELL.server, counting_since=3_600)),
        replace(server(random_page_cost=4.0), indexes=[replace(INDEX, rows=10)]),
        index(scans=0, rows=1_999),
        # Of what else a collection has, searches by vector need nothing.
        replace(WELL, asked=[replace(ASKED, indexes=[PLAN, PlannedIndex("text", "docs", "gin (a)", "s")])]),
        table(modified=4_000),
        # What a re-embedding fills is not searched, and is analysed at its end.
        replace(WELL, tables=[TABLE, TableFact("s", "documents_7_next", 9_000, analyzed=False)]),
        table(dead=3_599),
        # An IVFFlat index has no graph.
        replace(table(dead=9_000), indexes=[replace(INDEX, method="ivfflat")], asked=[replace(ASKED, indexes=[])]),
        replace(table(rows=3_000, dead=1_999), indexes=[replace(INDEX, rows=3_000)]),
        replace(WELL, tables=[TABLE, replace(TABLE, schema="other", dead=9_000)]),
        # Small tables are searched quickly as they are.
        Facts(SERVER, [replace(TABLE, rows=1_999)], [], [ASKED]),
        Facts(SERVER, [replace(TABLE, rows=0, analyzed=False)], [], [ASKED]),
        index(is_valid=False, is_building=True),
        # What takes its place in a moment.
        replace(WELL, indexes=[INDEX, replace(INDEX, name="ix_ccnew", is_valid=False, is_building=True)]),
        # A column without a dimension takes any.
        table(dimensions={"embedding": -1}),
        # The same table and index in another schema are somebody else's.
        replace(WELL, tables=[TABLE, replace(TABLE, schema="other", dimensions={"embedding": 3})]),
        replace(WELL, indexes=[INDEX, replace(INDEX, schema="other")]),
        # Without a schema it is the table that the search path finds.
        Facts(
            SERVER,
            [replace(TABLE, schema="other", is_visible=False, dimensions={"embedding": 3}), TABLE],
            [INDEX, replace(INDEX, schema="other", opclass="vector_l2_ops")],
            [replace(ASKED, schema=None)],
        ),
    ],
)
def test_what_is_left_alone(facts):
    assert check(facts) == []


def test_the_worst_comes_first():
    facts = replace(
        index(is_valid=False), server=replace(SERVER, extension="0.8.5"), tables=[replace(TABLE, analyzed=False)]
    )
    assert [finding.severity for finding in check(facts)] == ["error", "warning", "info"]


def test_an_invalid_index_of_nobody_is_rebuilt_or_dropped_by_sql():
    (finding,) = check(Facts(SERVER, tables=[TABLE], indexes=[replace(INDEX, is_valid=False)]))
    assert finding.fix == "REINDEX INDEX CONCURRENTLY s.ix; or DROP INDEX CONCURRENTLY s.ix;"


@pytest.mark.parametrize("name", ["ix_ccnew", "ix_ccold1"])
def test_what_a_reindex_left_behind_is_dropped_by_sql(name):
    """Built anew it would be the same index twice."""
    facts = Facts(SERVER, tables=[TABLE], indexes=[INDEX, replace(INDEX, name=name, is_valid=False)])
    (finding,) = check(facts)
    assert finding.fix == f"DROP INDEX CONCURRENTLY s.{name};"


def test_the_index_of_a_model_is_made_by_sql():
    (finding,) = check(Facts(SERVER, tables=[TABLE], asked=[replace(ASKED, command=None, name="Article")]))
    assert finding.fix.startswith("CREATE INDEX CONCURRENTLY ix ON s.docs USING hnsw")


def test_what_a_missing_index_costs_depends_on_what_it_is_for():
    key = PlannedIndex("key", "docs", "btree ((a))", "s")
    found = check(Facts(SERVER, tables=[TABLE], asked=[replace(ASKED, indexes=[PLAN, key])]))
    assert [finding.why for finding in found] == [
        "Every search compares the query with every row.",
        "Filters expect it, and read every row.",
    ]


def test_a_measured_recall():
    assert recall_finding(ASKED, 0.95, 0.95) is None
    found = recall_finding(ASKED, 0.9, 0.95)
    assert (found.check, found.what) == (
        "recall",
        "Searches in the collection 'news' find 90.0% of the true nearest rows; the target is 95.0%.",
    )
    assert found.fix == "rowspace tune news --recall 0.95"


def test_a_measured_recall_of_a_model():
    model = replace(ASKED, command=None, name="Article")
    found = [
        recall_finding(model, 0.9, 0.95, **searched)
        for searched in ({}, {"column": "title"}, {"column": "title", "distance": "l2"})
    ]
    assert [(one.subject, one.fix) for one in found] == [
        ("Article", "IndexAdvisor.tune()"),
        ("Article.title", "IndexAdvisor(session, Article, column='title').tune()"),
        ("Article.title by l2", "IndexAdvisor(session, Article, column='title', distance='l2').tune()"),
    ]


def test_what_cannot_be_read_is_named_with_the_reason():
    denied = PermissionDenied(
        "permission denied for table docs. Grant the privilege to this role, or connect with another."
    )
    found = unreadable_finding(ASKED, denied)
    assert (found.check, found.severity, found.subject) == ("unreadable", "warning", "the collection 'news'")
    assert found.what == ("The recall of the collection 'news' was not measured: permission denied for table docs.")


def test_the_work_grows_with_the_collections_and_not_with_their_square(monkeypatch):
    count, calls, is_of = 300, [], Asked.is_of
    monkeypatch.setattr(Asked, "is_of", lambda *given: calls.append(given) or is_of(*given))
    names = [f"docs_{number}" for number in range(count)]
    facts = Facts(
        SERVER,
        tables=[replace(TABLE, name=name) for name in names],
        indexes=[replace(INDEX, table=name, name=f"ix_{name}", is_valid=False) for name in names],
        asked=[replace(ASKED, table=name, indexes=[replace(PLAN, name=f"ix_{name}")]) for name in names],
    )
    assert len([one for one in check(facts) if one.check == "invalid-index"]) == count
    assert len(calls) <= 20 * count
