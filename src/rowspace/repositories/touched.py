"""Values that SQLAlchemy sets automatically, for statements that are written as text.

`default` and `onupdate` of a column, the class of a new row, and the version of each.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

from sqlalchemy import Column, Integer, Table, inspect

from rowspace.errors import ConfigurationError
from rowspace.statements.identifiers import DIALECT, Schemas, quote

__all__ = ["discriminator", "new_by_function", "new_by_sql", "touched", "version"]

#: Converts a value of a column to SQL text.
Literal = Callable[[Column[Any], Any], str]


def discriminator(model: type[Any], loaded: Collection[str], literal: Literal) -> Iterator[tuple[str, str]]:
    """Yield the discriminator column of the model's table, unless it is loaded, and the SQL of the model's value."""
    mapper = inspect(model)
    column = mapper.polymorphic_on
    if isinstance(column, Column) and column.name not in loaded and mapper.polymorphic_identity is not None:
        yield column.name, literal(column, mapper.polymorphic_identity)


def version(model: type[Any], loaded: Collection[str], literal: Literal) -> Iterator[tuple[str, str, str]]:
    """Yield the `version_id_col` of a model, unless it is loaded, and the SQL of a new row's and of an updated one's.

    A number is incremented. Of another generator, all rows of a load get the same new value. A version that the server
    generates is left to the server.

    Raises:
        ConfigurationError: the `version_id_generator` cannot generate a first version.
    """
    mapper = inspect(model)
    column, generator = mapper.version_id_col, mapper.version_id_generator
    if column is None or generator is False or column.name in loaded:
        return
    try:
        first = literal(column, generator(None))
    except Exception as error:
        message = f"The version_id_generator of {model.__name__} fails for None, the version of a new row: {error}."
        raise ConfigurationError(message) from error
    is_number = isinstance(column.type, Integer)
    yield column.name, first, f"{quote(column.table.name)}.{quote(column.name)} + 1" if is_number else first


def touched(table: Table, loaded: Collection[str], literal: Literal, schemas: Schemas) -> Iterator[tuple[str, str]]:
    """Yield the columns of a table that an update sets automatically, unless they are loaded, and the SQL of the value.

    Raises:
        ConfigurationError: the value is a function that needs a statement of SQLAlchemy.
    """
    for column in table.columns:
        if column.onupdate is not None and column.name not in loaded:
            yield column.name, _expression(column, column.onupdate, literal, schemas)


def new_by_sql(table: Table, loaded: Collection[str], literal: Literal, schemas: Schemas) -> Iterator[tuple[str, str]]:
    """Yield the columns with a default that is the same SQL for each new row, and that SQL."""
    for column in table.columns:
        if column.name not in loaded and column.default is not None and not column.default.is_callable:
            yield column.name, _expression(column, column.default, literal, schemas)


def new_by_function(table: Table, loaded: Collection[str]) -> Iterator[tuple[Column[Any], Callable[[], Any]]]:
    """Yield the columns with a default that is a function, and the function to call for each new row.

    It raises ConfigurationError if the default needs a statement of SQLAlchemy.
    """
    for column in table.columns:
        if column.name not in loaded and column.default is not None and column.default.is_callable:
            yield column, partial(_value, column, column.default)


def _expression(column: Column[Any], default: Any, literal: Literal, schemas: Schemas) -> str:
    if default.is_clause_element or default.is_sequence:
        expression = default.next_value() if default.is_sequence else default.arg
        # The schema of a sequence is translated like that of a table.
        made = expression.compile(
            dialect=DIALECT,
            schema_translate_map=dict(schemas) or None,
            render_schema_translate=bool(schemas),
            compile_kwargs={"literal_binds": True},
        )
        return str(made)
    return literal(column, _value(column, default))


def _value(column: Column[Any], default: Any) -> Any:
    if not default.is_callable:
        return default.arg
    try:
        # SQLAlchemy wraps it so that it accepts the context of a statement, which does not exist here.
        return default.arg(None)
    except Exception as error:
        name = "onupdate" if default.for_update else "default"
        message = (
            f"The {name} of {column} needs a statement of SQLAlchemy: {error}. "
            "Add the attribute to the rows of the load, or write them with the session."
        )
        raise ConfigurationError(message) from error
