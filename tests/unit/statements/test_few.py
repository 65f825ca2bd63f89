"""The SQL of a search among the few rows that an index finds."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.postgresql import JSONB, psycopg
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import Distance, Document, Vector
from rowspace.statements.few import nearest_of_few
from rowspace.statements.search import Nearest, Target


class Base(DeclarativeBase):
    pass


class Cell(Base):
    __tablename__ = "cells"
    x: Mapped[int] = mapped_column("Key", primary_key=True)
    y: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    meta: Mapped[dict[str, Any]] = mapped_column(JSONB, deferred=True)
    place: Mapped[Any] = mapped_column(Vector(2), deferred=True)


DOCUMENTS = Target(Document, "embedding", Distance.L2, 3, (("collection_id", 7),))
CELLS = Target(Cell, "place", Distance.L2)


def sql(statement):
    return " ".join(str(statement.compile(dialect=psycopg.dialect())).split())


def test_rows_are_found_counted_and_compared_by_one_statement_for_all_values():
    text = sql(nearest_of_few(DOCUMENTS, Nearest(5, columns=True), Document.content == "a"))
    distance = "CAST(documents.embedding AS VECTOR(3)) <-> %(rowspace_query)s::VECTOR(3)"
    assert text.startswith(
        f"WITH rowspace_few AS MATERIALIZED (SELECT documents.ctid AS rowspace_key_0, {distance} AS rowspace_distance "
        "FROM documents WHERE documents.collection_id = 7 AND documents.content = %(content_1)s::VARCHAR "
        "LIMIT (SELECT 1001)) SELECT (SELECT count(*) AS count_1 FROM rowspace_few) AS rowspace_found, "
    )
    assert text.endswith(
        "FROM rowspace_few ORDER BY rowspace_few.rowspace_distance LIMIT 5) AS rowspace_best "
        "ON documents.ctid = rowspace_best.rowspace_key_0 WHERE documents.collection_id = 7 "
        "ORDER BY rowspace_best.rowspace_distance"
    )


def test_what_no_index_serves_is_looked_at_in_the_rows_found_and_so_are_limits():
    shape = Nearest(5, max_distance=True, min_distance=True)
    text = sql(nearest_of_few(CELLS, shape, Cell.kind == "a", Cell.y > 3))
    near = "cells.place <-> %(rowspace_query)s::VECTOR(2)"
    assert f"CASE WHEN (cells.y > %(y_1)s::INTEGER) THEN {near} END AS rowspace_distance" in text
    assert (
        "FROM rowspace_few WHERE rowspace_few.rowspace_distance IS NOT NULL AND rowspace_few.rowspace_distance >= "
        "%(rowspace_min_distance)s AND rowspace_few.rowspace_distance <= %(rowspace_max_distance)s ORDER BY"
    ) in text
    assert 'ON cells."Key" = rowspace_best.rowspace_key_0 AND cells.y = rowspace_best.rowspace_key_1' in text


def test_the_statement_is_built_once():
    first = nearest_of_few(CELLS, Nearest(5), Cell.kind == "a")
    assert first is not nearest_of_few(CELLS, Nearest(5), Cell.kind == "a")
    condition = Cell.kind == "a"
    assert nearest_of_few(CELLS, Nearest(5), condition) is nearest_of_few(CELLS, Nearest(5), condition)
