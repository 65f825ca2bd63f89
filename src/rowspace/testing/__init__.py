"""Helpers for the tests of applications that use Rowspace: an embedder without a model, and a pytest plugin.

The distribution registers `rowspace.testing.plugin` with pytest, so every run of pytest imports it. This package
therefore imports nothing until a name is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rowspace.testing.embedder import HashingEmbedder

__all__ = ["HashingEmbedder"]


if not TYPE_CHECKING:  # type checkers know the names, and __getattr__ would make them accept any other

    def __getattr__(name: str) -> object:
        if name == "HashingEmbedder":
            from rowspace.testing.embedder import HashingEmbedder

            return HashingEmbedder
        message = f"module 'rowspace.testing' has no attribute {name!r}"
        raise AttributeError(message)
