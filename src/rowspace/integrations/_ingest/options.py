"""The options of a load from a file, for all command lines. This module imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["FILE", "OPTIONS", "Option"]

FILE = "A .jsonl, .ndjson, .csv, .tsv, .parquet or .npy file; - for a pipe."


@dataclass(frozen=True, slots=True)
class Option:
    """The help and the default of an option.

    Args:
        help: its description.
        metavar: the placeholder for its value; None for a flag.
        default: its default value.
    """

    help: str
    metavar: str | None = None
    default: Any = None


#: By name. On the command line, underscores become dashes.
OPTIONS: Mapping[str, Option] = {
    "format": Option("jsonl, csv, tsv, parquet or npy; by default, from the suffix.", "FORMAT"),
    "content": Option("The field with the text.", "FIELD", "content"),
    "id": Option("The field with the id; by default, id if it exists.", "FIELD"),
    "embedding": Option("The field with the vector; by default, the text is embedded.", "FIELD"),
    "ids": Option(
        "For .npy: a .jsonl file with the documents, or one id per line; by default, the .ids.jsonl file next to it.",
        "FILE",
    ),
    "delimiter": Option("CSV: the delimiter, such as ';' or tab; by default, a comma.", "CHARACTER"),
    "detect_types": Option("CSV: convert numbers, true and false; skip empty cells."),
    "strip_nul": Option("Remove NUL bytes."),
    "commit_batches": Option("Commit each batch, so that an interruption loses little."),
    "resume": Option("Commit each batch, and continue an interrupted load."),
    "no_indexes": Option("Do not build the indexes of a new collection; use `rowspace index build`."),
    "rejects": Option("Write invalid rows here, with the reason, and continue.", "REJECTS"),
    "processes": Option("Number of embedding processes.", "N", 1),
}
