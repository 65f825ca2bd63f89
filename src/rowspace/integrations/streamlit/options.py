"""The options of the application, from `rowspace ui`, which runs it in its own process, or from the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["UiOptions", "current", "given"]


@dataclass(frozen=True, slots=True)
class UiOptions:
    """The options of the application.

    Args:
        url: the database; None means `ROWSPACE_DATABASE_URL`, otherwise the embedded server.
        schema: the schema of Rowspace's tables.
        embedder: `local`, `none` or `module:attribute`; None means `ROWSPACE_EMBEDDER`, otherwise `local`.
        model: a chat model by its LangChain name; None means extractive answers.
        database: an open `Database` to use instead of `url`; the application does not close it.
    """

    url: str | None = field(default=None, repr=False)
    schema: str | None = None
    embedder: str | None = None
    model: str | None = None
    database: Any = field(default=None, repr=False)

    @classmethod
    def from_environment(cls) -> UiOptions:
        """Return the options that environment variables set."""
        return cls(
            schema=os.environ.get("ROWSPACE_SCHEMA") or None,
            model=os.environ.get("ROWSPACE_CHAT_MODEL") or None,
        )


# Not in the environment: the browser that Streamlit opens would inherit it, including the password.
_given: list[UiOptions] = []


def current() -> UiOptions:
    """Return the options of the running application."""
    return _given[-1] if _given else UiOptions.from_environment()


@contextmanager
def given(options: UiOptions) -> Iterator[None]:
    """Run the application with these options until the block ends."""
    _given.append(options)
    try:
        yield
    finally:
        _given.remove(options)
