"""The formats of files of documents."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from rowspace.errors import ConfigurationError

__all__ = ["Format", "format_of"]


class Format(StrEnum):
    """The format of a file of documents."""

    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"
    #: A matrix of vectors. A file next to it has the documents of its rows.
    NPY = "npy"

    @property
    def is_lines(self) -> bool:
        """Whether the format is text lines. Other formats have their own libraries and a known number of rows."""
        return self in {Format.JSONL, Format.CSV, Format.TSV}

    @property
    def is_csv(self) -> bool:
        """Whether the format consists of cells with a delimiter."""
        return self in {Format.CSV, Format.TSV}

    @property
    def unit(self) -> str:
        """The unit that messages count in."""
        return "line" if self.is_lines else "row"


def format_of(file: str, given: str | None) -> Format:
    """Return the given format, or that of the file's suffix.

    Raises:
        ConfigurationError: neither is a supported format.
    """
    suffix = Path(file).suffix.lower().removeprefix(".")
    name = given or {"ndjson": "jsonl", "pq": "parquet"}.get(suffix, suffix)
    if name in list(Format):
        return Format(name)
    message = f"expected one of {', '.join(Format)}, got {given!r}."
    if given is None:
        message = f"The suffix of {file!r} is not that of a format. Pass --format with one of {', '.join(Format)}."
    raise ConfigurationError(message)
