from __future__ import annotations

from sqlalchemy import Column, Integer, MetaData, Table, Text, func, literal

from rowspace.repositories.touched import new_by_sql, touched


def as_value(column: Column, value: object) -> str:
    message = f"{column} has no value {value!r}"
    raise AssertionError(message)


def test_an_expression_comes_as_it_was_written() -> None:
    default, onupdate = func.concat("a\\b", literal("50%:x")), literal("a\\b%")
    columns = (Column("id", Integer, primary_key=True), Column("path", Text, default=default, onupdate=onupdate))
    table = Table("files", MetaData(), *columns)
    assert [*new_by_sql(table, {"id"}, as_value, {})] == [("path", "concat('a\\b', '50%:x')")]
    assert [*touched(table, {"id"}, as_value, {})] == [("path", "'a\\b%'")]
