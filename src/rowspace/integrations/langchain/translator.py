"""Translate a condition in LangChain's structured query language, written by a language model, to a metadata filter."""

from __future__ import annotations

import re
from typing import Any

from langchain_core.structured_query import Comparator, Comparison, Operation, StructuredQuery, Visitor

from rowspace.filters import Filter

__all__ = ["RowspaceTranslator"]


class RowspaceTranslator(Visitor):
    """The `structured_query_translator` of LangChain's `SelfQueryRetriever`.

    It supports all operators and comparators. `contain` finds an element of an array, or a part of a text.

    Args:
        filter: a filter to combine with that of the model for every query, such as what a user may see. A filter in the
            retriever's `search_kwargs` would be replaced by the model's.
    """

    def __init__(self, filter: Filter | None = None) -> None:
        self._filter = filter

    def visit_operation(self, operation: Operation) -> dict[str, Any]:
        """Return the conditions, combined by the operator."""
        return {f"${operation.operator.value}": [argument.accept(self) for argument in operation.arguments]}

    def visit_comparison(self, comparison: Comparison) -> dict[str, Any]:
        """Return the condition on one key."""
        value = _plain(comparison.value)
        if comparison.comparator is not Comparator.CONTAIN:
            return {comparison.attribute: {f"${comparison.comparator.value}": value}}
        condition: dict[str, Any] = {"$contains": value}
        if isinstance(value, str):
            condition = {"$or": [condition, {"$like": "%" + re.sub(r"([\\%_])", r"\\\1", value) + "%"}]}
        return {comparison.attribute: condition}

    def visit_structured_query(self, structured_query: StructuredQuery) -> tuple[str, dict[str, Any]]:
        """Return the text to search for, and the keyword arguments of the search."""
        asked = None if structured_query.filter is None else structured_query.filter.accept(self)
        filters = [one for one in (self._filter, asked) if one]
        return structured_query.query, {"filter": {"$and": filters}} if filters else {}


def _plain(value: Any) -> Any:
    """Return a value without the type that LangChain's parser adds to a date."""
    return value[value["type"]] if isinstance(value, dict) else value
