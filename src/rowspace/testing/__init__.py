"""Helpers for the tests of applications that use Rowspace: an embedder without a model, and a pytest plugin.

`rowspace.testing.plugin` is registered with pytest by the distribution and imported by every run of pytest, so this
package imports nothing until a name is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rowspace.testing.embedder import HashingEmbedder

__all__ = ["HashingEmbedder"]


if not TYPE_CHECKING:  # Which knows the names, and would let any other pass for one.

    def __getattr__(name: str) -> object:
        if name == "HashingEmbedder":
            from rowspace.testing.embedder import HashingEmbedder

            return HashingEmbedder
        message = f"module 'rowspace.testing' has no attribute {name!r}"
        raise AttributeError(message)
