"""The tuning of a model's index, stored in the index's comment, which is dropped and dumped with the index.

A collection stores its tuning in its row. Other lines of the comment are preserved.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Boolean, Text, TextClause, text
from sqlalchemy.sql.selectable import TextualSelect

from rowspace.errors import ConfigurationError
from rowspace.statements.identifiers import constant, qualified
from rowspace.tuning import Tuning

__all__ = ["comment_of", "comment_on", "comments", "may_comment_on", "tunings_in", "with_tuning"]

#: The start of Rowspace's line in the comment.
_MARK = "rowspace tuning: "

_COMMENTS = """
    SELECT obj_description(i.indexrelid, 'pg_class') AS comment FROM pg_index i
      JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
     WHERE t.relname = :table_name AND i.indisvalid
       AND CASE WHEN CAST(:schema AS text) IS NULL THEN pg_table_is_visible(t.oid)
                ELSE n.nspname = CAST(:schema AS text) END
       AND obj_description(i.indexrelid, 'pg_class') LIKE '%rowspace tuning%'
"""

_COMMENT_OF = """
    SELECT obj_description(i.oid, 'pg_class') AS comment FROM pg_class i JOIN pg_namespace n ON n.oid = i.relnamespace
     WHERE i.relname = :name AND n.nspname = :schema
"""

# COMMENT requires the role of the index's owner, or one with its privileges, and a transaction that can write.
_MAY_COMMENT_ON = """
    SELECT pg_has_role(i.relowner, 'USAGE') AND NOT CAST(current_setting('transaction_read_only') AS boolean) AS may
      FROM pg_class i JOIN pg_namespace n ON n.oid = i.relnamespace
     WHERE i.relname = :name AND n.nspname = :schema
"""


def comments(table: str, schema: str | None) -> TextualSelect:
    """Select the comments with a tuning of the indexes of a table; without a schema, of the search path's."""
    return text(_COMMENTS).bindparams(table_name=table, schema=schema).columns(comment=Text)


def comment_of(index: str, schema: str) -> TextualSelect:
    """Select the comment of an index, which may be NULL."""
    return text(_COMMENT_OF).bindparams(name=index, schema=schema).columns(comment=Text)


def may_comment_on(index: str, schema: str) -> TextualSelect:
    """Select whether the role and the transaction may set the comment of an index."""
    return text(_MAY_COMMENT_ON).bindparams(name=index, schema=schema).columns(may=Boolean)


def comment_on(index: str, schema: str, comment: str) -> TextClause:
    """Return the statement that sets the comment of an index; COMMENT takes no parameters."""
    statement = f"COMMENT ON INDEX {qualified(index, schema)} IS {constant(comment)}"
    return text(statement.replace(":", r"\:"))


def with_tuning(comment: str | None, tuning: Tuning, *, column: str, distance: str) -> str:
    """Return a comment with the tuning for searches by a column and a distance replaced."""
    lines = [line for line in (comment or "").splitlines() if not line.startswith(_MARK)]
    kept = {"column": column, "distance": distance, **tuning.to_dict()}
    return "\n".join([*lines, _MARK + json.dumps(kept)])


def tunings_in(comments: Iterable[str]) -> dict[tuple[str, str], Tuning]:
    """Return the tunings in comments, by column and distance.

    Raises:
        ConfigurationError: one was edited so that it cannot be parsed.
    """
    marked = (line for comment in comments for line in comment.splitlines() if line.startswith(_MARK))
    return dict(map(_read, marked))


def _read(line: str) -> tuple[tuple[str, str], Tuning]:
    try:
        kept: dict[str, Any] = json.loads(line.removeprefix(_MARK))
        column, distance, tuning = str(kept["column"]), str(kept["distance"]), Tuning.from_dict(kept)
        # Evaluated here, so that an invalid tuning is reported, because searches do the same.
        tuning.settings()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        message = (
            f"The comment of a vector index contains a tuning that cannot be read: {line:.80}. Remove the line with "
            "COMMENT ON INDEX, or tune the index again."
        )
        raise ConfigurationError(message) from error
    return (column, distance), tuning
