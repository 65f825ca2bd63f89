"""The metadata filter language: plain dicts in, one predicate over a JSONB column out.

`compile_filter` gives the SQLAlchemy predicate. `parse`, `to_containment` and `to_jsonpath` show what it does
without SQLAlchemy and without a database. The operators and their semantics are in `docs/reference/filters.md`.

A filter's keys and values are sent only inside two bound parameters, a JSON document and a jsonpath; the text of the
statement never depends on them. For conditions on ordinary columns, use SQLAlchemy.
"""

from rowspace.filters._compile import (
    DOCUMENT,
    PATH,
    Part,
    compile_filter,
    filter_parts,
    filter_predicate,
    filter_values,
    parameter_of,
    parameters_of,
    unseen_predicate,
)
from rowspace.filters._conditions import Condition, Path
from rowspace.filters._jsonpath import to_containment, to_jsonpath
from rowspace.filters._keys import MAX_KEY_TEXT, KeyTest
from rowspace.filters._parse import Filter, key_path, parse

__all__ = [
    "DOCUMENT",
    "MAX_KEY_TEXT",
    "PATH",
    "Condition",
    "Filter",
    "KeyTest",
    "Part",
    "Path",
    "compile_filter",
    "filter_parts",
    "filter_predicate",
    "filter_values",
    "key_path",
    "parameter_of",
    "parameters_of",
    "parse",
    "to_containment",
    "to_jsonpath",
    "unseen_predicate",
]
