"""The options of a load from a file, as every command line offers them. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["FILE", "OPTIONS", "Option"]

FILE = "A .jsonl, .ndjson, .csv, .tsv, .parquet or .npy file; - for a pipe."


@dataclass(frozen=True, slots=True)
class Option:
    """What a person reads of an option, and what it is without one.

    Args:
        help: what it does.
        metavar: what stands for its value; None for a switch, which has none.
        default: its value where it is not given.
    """

    help: str
    metavar: str | None = None
    default: Any = None


#: By name, with a dash for each underscore on the command line.
OPTIONS: Mapping[str, Option] = {
    "format": Option("jsonl, csv, tsv, parquet or npy; by default the suffix.", "FORMAT"),
    "content": Option("The field with the text.", "FIELD", "content"),
    "id": Option("The field with the id; by default id, if any.", "FIELD"),
    "embedding": Option("The field with the vector; by default the text is embedded.", "FIELD"),
    "ids": Option(
        "For .npy: its documents as .jsonl, or one id a line; by default the .ids.jsonl file beside it.", "FILE"
    ),
    "delimiter": Option("CSV: what is between the cells, such as ';' or tab; by default a comma.", "CHARACTER"),
    "detect_types": Option("CSV: read numbers, true and false; leave empty cells out."),
    "strip_nul": Option("Leave NUL bytes out."),
    "commit_batches": Option("Commit as it goes, so that an interruption loses little."),
    "resume": Option("Commit as it goes, and go on where an interrupted load stopped."),
    "no_indexes": Option("Leave the indexes of a new collection to `rowspace index build`."),
    "rejects": Option("Write bad rows here, with the reason, and go on.", "REJECTS"),
    "processes": Option("Processes that embed.", "N", 1),
}
