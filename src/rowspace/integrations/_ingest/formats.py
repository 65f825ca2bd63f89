"""The formats of files of documents."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from rowspace.errors import ConfigurationError

__all__ = ["Format", "format_of"]


class Format(StrEnum):
    """How documents are written down."""

    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"
    #: A matrix of vectors; the documents of its rows are in a file beside it.
    NPY = "npy"

    @property
    def is_lines(self) -> bool:
        """Whether it is text, line by line; else it is read by a library of its own, and knows how many rows it has."""
        return self in {Format.JSONL, Format.CSV, Format.TSV}

    @property
    def is_csv(self) -> bool:
        """Whether it is cells with something between them."""
        return self in {Format.CSV, Format.TSV}

    @property
    def unit(self) -> str:
        """What is counted in it."""
        return "line" if self.is_lines else "row"


def format_of(file: str, given: str | None) -> Format:
    """Return the format that is given, or else that of the suffix of a file.

    Raises:
        ConfigurationError: neither is one.
    """
    suffix = Path(file).suffix.lower().removeprefix(".")
    name = given or {"ndjson": "jsonl", "pq": "parquet"}.get(suffix, suffix)
    if name in list(Format):
        return Format(name)
    message = f"expected one of {', '.join(Format)}, got {given!r}."
    if given is None:
        message = f"{file!r} does not tell the format: say --format, one of {', '.join(Format)}."
    raise ConfigurationError(message)
