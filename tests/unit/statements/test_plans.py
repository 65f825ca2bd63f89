from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rowspace import Distance
from rowspace.statements.catalog import IndexFact
from rowspace.statements.plans import Searched, are_few, read_plan

FACT = IndexFact("public", "articles", "ix", "hnsw", "CREATE ... (embedding)", "vector_cosine_ops", rows=50_000)
SETTINGS = {"hnsw.ef_search": "40", "random_page_cost": "4"}
SEARCHED = Searched("Article", Distance.COSINE, None, 10, False, False, None, "IndexBuilder.create() makes it.")


def explained(node="Index Scan", index="ix", rows=10, removed=0, **more):
    scan = {"Node Type": node, "Actual Rows": rows, "Actual Loops": 1, "Rows Removed by Filter": removed, **more}
    if index:
        scan["Index Name"] = index
    limit = {
        "Node Type": "Limit",
        "Actual Rows": rows,
        "Plans": [scan],
        "Shared Hit Blocks": 7,
        "Shared Read Blocks": 2,
    }
    return [{"Plan": limit, "Planning Time": 0.5, "Execution Time": 1.5}]


def plan(found, facts=(FACT,), settings=SETTINGS, **searched):
    return read_plan(found, replace(SEARCHED, **searched), facts, settings)


def test_a_plan_tells_what_ran():
    found = plan(json.dumps(explained(rows=5, removed=3)), k=5)
    assert (found.index, found.scan, found.milliseconds, found.buffers) == ("ix", "Index Scan", 2.0, 9)
    assert (found.rows_returned, found.rows_scanned, found.rows_filtered) == (5, 8, 3)
    assert (found.settings, found.advice) == (SETTINGS, ())
    assert found.plan["Node Type"] == "Limit"


@pytest.mark.parametrize(("found", "returned", "few"), [(1_000, 10, True), (1_001, 10, False), (0, 0, False)])
def test_few_rows_are_told_from_the_first_of_many(found, returned, few):
    compared = {"Node Type": "Limit", "Subplan Name": "CTE rowspace_few", "Actual Rows": found, "Actual Loops": 1}
    explained = json.dumps([{"Plan": {"Node Type": "Sort", "Actual Rows": returned, "Plans": [compared]}}])
    assert are_few(explained) is few


def test_only_what_reads_the_table_counts():
    tags = {"Node Type": "Seq Scan", "Relation Name": "tags", "Actual Rows": 5_000, "Actual Loops": 1}
    keyed = {"Node Type": "Index Scan", "Relation Name": "articles", "Index Name": "pk", "Actual Rows": 2}
    read = {**keyed, "Actual Loops": 3, "Rows Removed by Filter": 1}
    joined = {"Node Type": "Nested Loop", "Actual Rows": 6, "Plans": [tags, read]}
    found = plan([{"Plan": joined, "Planning Time": 0, "Execution Time": 1}], filtered=True)
    assert (found.index, found.scan, found.rows_scanned, found.rows_filtered) == (None, "Index Scan", 9, 3)
    assert "the conditions match few rows" in found.advice[0]


def test_each_partition_counts():
    facts = [replace(FACT, table=f"articles_{n}", name=f"ix_{n}", root="ix") for n in range(2)]
    scans = [
        {"Node Type": "Index Scan", "Relation Name": fact.table, "Index Name": fact.name, "Actual Rows": 7}
        for fact in facts
    ]
    merged = {"Node Type": "Merge Append", "Actual Rows": 10, "Plans": scans}
    found = plan([{"Plan": merged, "Planning Time": 0, "Execution Time": 1}], facts=[FACT, *facts])
    assert (found.index, found.rows_returned, found.rows_scanned, found.advice) == ("ix_0", 10, 14, ())


SEQ = explained("Seq Scan", None, 50_000)


@pytest.mark.parametrize(
    ("found", "facts", "options", "words"),
    [
        (SEQ, (), {}, "No index: Article has no vector index"),
        (SEQ, (FACT,), {"exact": True}, "is exact, as requested"),
        (SEQ, (IndexFact("", "", "ix", "hnsw", "", "vector_l2_ops"),), {}, "ix is on l2 but the query is cosine"),
        (SEQ, (IndexFact("", "", "ix", "hnsw", "", "vector_ip_ops"),), {}, "ix is on inner_product but the query"),
        (SEQ, (IndexFact("", "", "ix", "hnsw", "", "vector_cosine_ops", is_valid=False),), {}, "INVALID"),
        (
            SEQ,
            (IndexFact("", "", "ix", "hnsw", "(embedding)::halfvec(8)", "halfvec_cosine_ops"),),
            {},
            "has halfvec_cosine_ops, but the search expects full numbers",
        ),
        (SEQ, (FACT,), {"quantize": "bit"}, "has vector_cosine_ops, but the search expects bit"),
        (SEQ, (FACT,), {}, "Sequential scan although ix fits: the planner estimates a higher cost"),
        # The index knows of no rows until the table is analysed.
        (explained("Seq Scan", None, 900), (replace(FACT, rows=0),), {}, "table is small (900 rows)"),
        (SEQ, (replace(FACT, rows=0),), {}, "Sequential scan although ix fits"),
        (SEQ, (), {"remedy": "Declare one."}, "every row was compared. Declare one."),
        (
            SEQ,
            (IndexFact("", "", "ix", "hnsw", "", "vector_cosine_ops", partial=True),),
            {},
            "is partial: it only serves",
        ),
        (explained("Bitmap Heap Scan", "gin", 3), (FACT,), {"filtered": True}, "the conditions match few rows"),
        (explained("Bitmap Heap Scan", "pk", 3), (FACT,), {}, "although there are no conditions"),
        (explained(), (FACT,), {"k": 41}, "k is above ef_search (41 > 40)"),
        (explained(removed=990), (FACT,), {"filtered": True}, "removed 99 % of the 1000 rows"),
    ],
)
def test_the_advice(found, facts, options, words):
    (advice,) = plan(found, facts, **options).advice
    assert words in advice


def test_indexes_on_other_columns_are_none():
    other, own = (
        replace(FACT, name=name, definition=f"CREATE ... USING hnsw ({definition}", opclass=opclass)
        for name, definition, opclass in [
            ("other", '"Other" vector_l2_ops) WHERE (embedding > 1)', "vector_l2_ops"),
            ("own", "((embedding)::halfvec(3)) halfvec_cosine_ops)", "halfvec_cosine_ops"),
        ]
    )
    found = SEQ
    (advice,) = plan(found, facts=[other], column="embedding").advice
    assert advice.startswith("No index: Article.embedding has no vector index, every row was compared.")
    (advice,) = plan(found, facts=[other, own], column="embedding", quantize="halfvec").advice
    assert advice.startswith("Sequential scan although own fits")
    assert "on l2" in plan(found, facts=[other, own], column="Other").advice[0]


def test_what_is_set_already_is_not_advised():
    (advice,) = plan(SEQ, settings={"random_page_cost": "1.1"}).advice
    assert advice.endswith("estimates a higher cost. Run ANALYZE.")


def test_a_setting_that_forbids_indexes_is_named():
    (advice,) = plan(SEQ, settings={"enable_indexscan": "off"}).advice
    assert advice.startswith("enable_indexscan is off")


@pytest.mark.parametrize(
    ("opclass", "definition", "options"),
    [
        ("bit_hamming_ops", "(binary_quantize(embedding))::bit(8)", {"quantize": "bit"}),
        ("halfvec_cosine_ops", "(embedding)::halfvec(8)", {"quantize": "halfvec"}),
        # A column that is halfvec itself.
        ("halfvec_cosine_ops", "(embedding)", {}),
    ],
)
def test_an_index_that_serves_is_not_called_a_mismatch(opclass, definition, options):
    fact = IndexFact("", "", "ix", "hnsw", definition, opclass)
    (advice,) = plan(explained("Seq Scan", None, 9), (fact,), **options).advice
    assert "table is small" in advice
