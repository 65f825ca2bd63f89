"""The SQL of a search among the few rows that an index finds."""

from __future__ import annotations

from sqlalchemy.dialects.postgresql import psycopg

from rowspace import Distance, Document
from rowspace.statements.few import nearest_of_few
from rowspace.statements.known import nearest_known_of_few
from rowspace.statements.search import Nearest, Target

DOCUMENTS = Target(Document, "embedding", Distance.L2, 3, (("collection_id", 7),))


def sql(statement):
    return " ".join(str(statement.compile(dialect=psycopg.dialect())).split())


def test_rows_are_found_and_compared_by_one_statement_for_all_values():
    text = sql(nearest_of_few(DOCUMENTS, Nearest(5, columns=True), Document.content == "a"))
    distance = "CAST(documents.embedding AS VECTOR(3)) <-> %(rowspace_query)s::VECTOR(3)"
    assert text.startswith(
        f"WITH rowspace_few AS MATERIALIZED (SELECT documents.ctid AS rowspace_place, {distance} AS rowspace_distance "
        "FROM documents WHERE documents.collection_id = 7 AND documents.content = %(content_1)s::VARCHAR "
        "LIMIT (SELECT 1001)) SELECT (SELECT true AS anon_1 FROM rowspace_few LIMIT ALL OFFSET 1000) AS rowspace_more, "
    )
    assert text.endswith(
        "FROM rowspace_few WHERE rowspace_few.rowspace_distance IS NOT NULL "
        "ORDER BY rowspace_few.rowspace_distance LIMIT 5) AS rowspace_best "
        "ON documents.ctid = rowspace_best.rowspace_place WHERE documents.collection_id = 7 "
        "ORDER BY rowspace_best.rowspace_distance"
    )


def test_what_no_index_serves_is_looked_at_in_the_rows_found_and_so_are_limits():
    shape = Nearest(5, max_distance=True, min_distance=True)
    text = sql(nearest_of_few(DOCUMENTS, shape, Document.content == "a", Document.id > "3"))
    near = "CAST(documents.embedding AS VECTOR(3)) <-> %(rowspace_query)s::VECTOR(3)"
    assert f"CASE WHEN (documents.id > %(id_1)s::VARCHAR) THEN {near} END AS rowspace_distance" in text
    assert (
        "FROM rowspace_few WHERE rowspace_few.rowspace_distance IS NOT NULL AND rowspace_few.rowspace_distance >= "
        "%(rowspace_min_distance)s AND rowspace_few.rowspace_distance <= %(rowspace_max_distance)s ORDER BY"
    ) in text


def test_of_a_known_collection_it_sees_whether_that_was_changed():
    text = sql(nearest_known_of_few(DOCUMENTS, 5, Document.content == "a"))
    assert " AS rowspace_more, documents.id, documents.content, documents.metadata, rowspace_best." in text
    assert text.endswith(
        "WHERE documents.collection_id = 7 AND (EXISTS (SELECT 1 FROM collections WHERE collections.id = 7 "
        "AND collections.name = %(rowspace_name)s::VARCHAR AND %(rowspace_version)s::VARCHAR = "
        "CAST(collections.xmin AS TEXT))) ORDER BY rowspace_best.rowspace_distance"
    )


def test_the_statement_is_built_once():
    condition = Document.content == "a"
    first = nearest_of_few(DOCUMENTS, Nearest(5), condition)
    assert nearest_of_few(DOCUMENTS, Nearest(5), condition) is first
    assert nearest_of_few(DOCUMENTS, Nearest(5), Document.content == "a") is not first
