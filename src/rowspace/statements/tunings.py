"""Where the tuning of a model's index is kept: in the index's comment, which goes with it, and with a dump.

A collection keeps its own in its row. What else the comment says stays.
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

#: Begins the line of the comment that is Rowspace's.
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

# What COMMENT asks: the role of the index's owner, or one that has its rights, and a transaction that writes.
_MAY_COMMENT_ON = """
    SELECT pg_has_role(i.relowner, 'USAGE') AND NOT CAST(current_setting('transaction_read_only') AS boolean) AS may
      FROM pg_class i JOIN pg_namespace n ON n.oid = i.relnamespace
     WHERE i.relname = :name AND n.nspname = :schema
"""


def comments(table: str, schema: str | None) -> TextualSelect:
    """Select the comments of the indexes of a table that hold a tuning; without a schema that of the search path."""
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
    """Return a comment with the tuning for searches by a column and a distance in place of the one that it had."""
    lines = [line for line in (comment or "").splitlines() if not line.startswith(_MARK)]
    kept = {"column": column, "distance": distance, **tuning.to_dict()}
    return "\n".join([*lines, _MARK + json.dumps(kept)])


def tunings_in(comments: Iterable[str]) -> dict[tuple[str, str], Tuning]:
    """Return the tunings that comments hold, by column and distance.

    Raises:
        ConfigurationError: somebody edited one so that it cannot be read.
    """
    marked = (line for comment in comments for line in comment.splitlines() if line.startswith(_MARK))
    return dict(map(_read, marked))


def _read(line: str) -> tuple[tuple[str, str], Tuning]:
    try:
        kept: dict[str, Any] = json.loads(line.removeprefix(_MARK))
        column, distance, tuning = str(kept["column"]), str(kept["distance"]), Tuning.from_dict(kept)
        # What a search will ask it.
        tuning.settings()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        message = (
            f"The comment of a vector index holds a tuning that cannot be read: {line:.80}. Take the line away with "
            "COMMENT ON INDEX, or tune the index again."
        )
        raise ConfigurationError(message) from error
    return (column, distance), tuning
