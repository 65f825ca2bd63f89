"""The formats of files of documents."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Format"]


class Format(StrEnum):
    """How documents are written down."""

    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"
    #: A matrix of vectors; the documents of its rows are in a file beside it.
    NPY = "npy"
