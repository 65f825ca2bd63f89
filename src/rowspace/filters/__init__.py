"""The metadata filter language: plain dicts in, one predicate over a JSONB column out.

`compile_filter` gives the SQLAlchemy predicate. `parse`, `to_containment` and `to_jsonpath` show what it does
without SQLAlchemy and without a database. The operators and their semantics are in `docs/reference/filters.md`.

A filter's keys and values travel only inside two bound parameters, a JSON document and a jsonpath; the statement's
text never depends on them. Filters over ordinary columns are not here: for those, SQLAlchemy is the language.
"""

from rowspace.filters._compile import (
    DOCUMENT,
    PATH,
    compile_filter,
    filter_predicate,
    filter_values,
    unseen_predicate,
)
from rowspace.filters._conditions import Condition
from rowspace.filters._jsonpath import to_containment, to_jsonpath
from rowspace.filters._parse import Filter, key_path, parse

__all__ = [
    "DOCUMENT",
    "PATH",
    "Condition",
    "Filter",
    "compile_filter",
    "filter_predicate",
    "filter_values",
    "key_path",
    "parse",
    "to_containment",
    "to_jsonpath",
    "unseen_predicate",
]
