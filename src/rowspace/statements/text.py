"""Statements that find rows by keyword: the expression of the text index, and searches ranked by `ts_rank_cd`.

The index is on an expression, and a query must use the same expression: `text_vector` builds it for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Float,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    column,
    func,
    inspect,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR
from sqlalchemy.orm import defer

from rowspace.errors import InvalidText
from rowspace.settings import check_count
from rowspace.statements.eager import apart
from rowspace.statements.highlight import MARKED, headline
from rowspace.statements.identifiers import DIALECT, constant
from rowspace.statements.search import Target, Where, number, planned_for
from rowspace.statements.websearch import CHARACTERS, web_query
from rowspace.types import stored_type

__all__ = [
    "MAX_RANKED",
    "TEXT_RANK",
    "TextSearch",
    "TextTarget",
    "by_text",
    "text_candidates",
    "text_parameters",
    "text_vector",
    "word_count",
]

M = TypeVar("M")

#: The label of the rank in every statement, and the name of the bound query.
TEXT_RANK, TEXT = "rowspace_text_rank", "rowspace_text"

#: The maximum number of characters in a query. `ts_rank_cd` takes some 0.06 ms per row for each word of the query, and
#: a query a hundred times as long would exhaust the parser's stack.
MAX_QUERY = 1_000

#: The default number of rows that one search ranks.
MAX_RANKED = 10_000


def configuration(language: str) -> Any:
    """Return a text-search configuration as a constant, which makes `to_tsvector` immutable."""
    return _written(f"{constant(language)}::regconfig")


def text_vector(language: str, document: ColumnElement[Any] | Any) -> ColumnElement[Any]:
    """Return the tsvector of a text in which each CJK character is a separate word.

    Use it in an index of your own model, or in a `Computed` column of type TSVECTOR:
    `Index("ix_articles_body", text_vector("english", Article.body), postgresql_using="gin")`. It is immutable. Costs
    about 1 us per word or CJK character. A text may have 1 MB of distinct words; positions, which phrases need, are
    stored for its first 16,383 words (PostgreSQL manual, text search, "Limitations").

    Args:
        language: a text-search configuration, such as `simple` or `english`.
        document: a text column.
    """
    # `\&` is the matching character; without a group, the regular expression is a fifth faster.
    words = func.regexp_replace(document, _constant(CHARACTERS), _constant(r" \& "), _constant("g"))
    return func.to_tsvector(configuration(language), words, type_=TSVECTOR())


def word_count(language: str, document: str) -> Select[Any]:
    """Select the number of words in the tsvector of a text; the server refuses a text that is too long."""
    return select(func.length(text_vector(language, bindparam(None, document, type_=Text()))))


def text_vector_ddl(language: str, name: str = "content") -> str:
    """Return `text_vector` of a column as SQL text, for DDL."""
    return str(text_vector(language, column(name)).compile(dialect=DIALECT))


def text_query(language: str, name: str = TEXT) -> ColumnElement[Any]:
    """Return the tsquery of a parameter, by default `rowspace_text`; see `rowspace.statements.websearch`."""
    return func.websearch_to_tsquery(configuration(language), bindparam(name, type_=Text()), type_=TSQUERY())


@dataclass(frozen=True, slots=True)
class TextTarget(Generic[M]):
    """The text to search, in plain hashable values.

    Args:
        target: the rows, and their vector.
        text: the key of a text attribute, or of one of type TSVECTOR. language: the text-search configuration of the
            index.
    """

    target: Target[M]
    text: str
    language: str = "simple"

    @property
    def document(self) -> Column[Any]:
        """The column of the text."""
        found: Column[Any] = inspect(self.target.model).c[self.text]
        return found

    @property
    def stored(self) -> bool:
        """Whether the column is a tsvector, so that searches need not compute it."""
        return isinstance(stored_type(self.document.type), TSVECTOR)

    @property
    def vector(self) -> ColumnElement[Any]:
        """The expression that the text index is on."""
        return self.document if self.stored else text_vector(self.language, self.document)

    @property
    def keys(self) -> tuple[Column[Any], ...]:
        """The columns of the primary key."""
        return tuple(inspect(self.target.model).primary_key)


@dataclass(frozen=True, slots=True)
class TextSearch:
    """The shape of a keyword search.

    Args:
        k: number of rows, at least 1.
        max_ranked: number of matching rows to rank; None means all.
        highlight: how to mark the matching words, if at all.
    """

    k: int = 10
    max_ranked: int | None = MAX_RANKED
    highlight: bool = False

    def __post_init__(self) -> None:
        check_count("k", self.k)
        if self.max_ranked is not None:
            check_count("max_ranked", self.max_ranked)


def text_candidates(target: TextTarget[Any], shape: TextSearch, where: Where) -> Select[Any]:
    """Select key and rank of the k rows that match best; rows of equal rank are ordered by primary key.

    Costs a scan of the text index, and one tsvector per matching row, unless the model stores them.
    """
    query = select(text_query(target.language)).scalar_subquery()
    loosened = _loosened(text_query(target.language))
    if not where:
        # Hidden from the planner, which would otherwise plan again for every text, at the cost of the search itself,
        # and always choose the text index. With other conditions, there is a choice to make.
        loosened = select(loosened).scalar_subquery()
    # OFFSET 0 keeps the planner from inlining the tsvector, and so from computing it once for every use.
    found = (
        select(*target.keys, target.vector.label("rowspace_vector"))
        .select_from(target.target.model)
        .where(
            *target.target.in_scope(planned_once=not where),
            _match(target.vector, loosened),
            *planned_for(where),
        )
        .offset(literal_column("0"))
        .subquery("rowspace_found")
    )
    vector = found.c.rowspace_vector
    keys = [found.c[key.key] for key in target.keys]
    # 1: divided by the logarithm of the length, so that long texts are not preferred.
    rank = func.ts_rank_cd(vector, query, literal_column("1"), type_=Float()).label(TEXT_RANK)
    most = None if shape.max_ranked is None else number(shape.max_ranked)
    ranked = select(*keys, rank).where(_match(vector, query)).limit(most).subquery("rowspace_ranked")
    keys = [ranked.c[key.key] for key in target.keys]
    return select(*ranked.c).order_by(ranked.c[TEXT_RANK].desc(), *keys).limit(number(shape.k))


def by_text(target: TextTarget[M], shape: TextSearch, where: Where = ()) -> Select[Any]:
    """Select the k rows that match a text best, their rank and, on request, an excerpt with the words marked."""
    best = text_candidates(target, shape, where).subquery("rowspace_best")
    return (
        select(target.target.model, best.c[TEXT_RANK], *excerpt(target, wanted=shape.highlight))
        .join(best, same_key(target.keys, best))
        .where(*target.target.in_scope(planned_once=not where))
        .order_by(best.c[TEXT_RANK].desc(), *target.keys)
        .options(defer(target.target.attribute), *apart(target.target.model))
    )


def excerpt(target: TextTarget[Any], *, wanted: bool) -> list[ColumnElement[Any]]:
    """Return the columns to select for a marked excerpt: one, or none."""
    if not wanted:
        return []
    return [headline(target.document, configuration(target.language), text_query(target.language, MARKED))]


def text_parameters(query: Any) -> dict[str, Any]:
    """Return the value for the parameter of the statements above.

    Raises:
        InvalidText: the query is not a text, or is longer than 1,000 characters.
    """
    if not isinstance(query, str):
        message = f"A keyword query must be a text, got {query!r:.60}."
        raise InvalidText(message)
    if len(query) > MAX_QUERY:
        message = (
            f"A keyword query can have at most {MAX_QUERY:,} characters, got {len(query):,}. Pass only its main words."
        )
        raise InvalidText(message)
    return {TEXT: web_query(query)}


def same_key(keys: Sequence[ColumnElement[Any]], other: Any) -> Any:
    """Return the condition that rows of two selections have the same key."""
    return and_(*(key == other.c[key.key] for key in keys))


def _loosened(query: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a query only for the index: phrases become words in any order, since the rows are checked for them anyway.

    The index does not store positions. To check phrases, it would compute another tsvector of each row.
    """
    written = cast(query, Text)
    words = cast(func.regexp_replace(written, _constant("<(-|[0-9]+)>"), _constant("&"), _constant("g")), TSQUERY)
    # Within a negation, fewer words would match more rows.
    return case((func.strpos(written, _constant("!")) > literal_column("0"), query), else_=words)


def _match(vector: ColumnElement[Any], query: ColumnElement[Any]) -> ColumnElement[bool]:
    return vector.op("@@", is_comparison=True, return_type=Boolean())(query)


def _constant(value: str) -> Any:
    return _written(constant(value))


def _written(sql: str) -> Any:
    # Not literal_column: an Index uses the table of the first column in its expression, and would find this one.
    return text(sql.replace(":", r"\:"))
