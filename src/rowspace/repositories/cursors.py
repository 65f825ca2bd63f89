"""Cursors: the end of a page as opaque text.

A cursor is JSON after a checksum, in base64. The checksum detects cursors that a client truncated or changed by
mistake. It is not a signature: a forged cursor selects another page of the same listing, whose conditions it does not
contain.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import DBAPIError

from rowspace.errors import InvalidCursor, sqlstate_of
from rowspace.statements.listing import After, Listing

__all__ = ["read_cursor", "understood", "write_cursor"]

_DIGEST = 6

# The SQLSTATEs for a text that is not a value of a type: another dimension, out of range, not a date, not a time zone,
# invalid syntax, or a character that cannot be stored.
_NO_VALUE = {"22000", "22003", "22007", "22008", "22009", "22023", "22P02", "22P05"}


def write_cursor(listing: Listing[Any], after: After) -> str:
    """Return the cursor that continues a listing after a row."""
    payload = json.dumps([listing.signature, after.value, after.keys], ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(_digest(payload) + payload).rstrip(b"=").decode()


def read_cursor(listing: Listing[Any], cursor: str) -> After:
    """Return the position at which a cursor continues a listing.

    Raises:
        InvalidCursor: it was changed, or comes from a listing of other rows or in another order.
    """
    signature, after = _decoded(cursor)
    if signature != listing.signature:
        message = (
            f"The cursor belongs to a listing of {_shown(signature)}, and this is a listing of "
            f"{_shown(listing.signature)}. Request its first page without a cursor."
        )
        raise InvalidCursor(message)
    if len(after.keys) != len(listing.keys):
        raise _unknown(cursor)
    return after


@contextmanager
def understood(cursor: str | None) -> Iterator[None]:
    """Raise InvalidCursor if the server refuses the values of a cursor for its columns."""
    try:
        yield
    except DBAPIError as error:
        if cursor is None or sqlstate_of(error.orig) not in _NO_VALUE:
            raise
        raise _unknown(cursor) from error


def _decoded(cursor: str) -> tuple[list[Any], After]:
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        digest, payload = data[:_DIGEST], data[_DIGEST:]
        match json.loads(payload) if digest == _digest(payload) else None:
            case [[str(), list(), list(), bool()] as signature, value, [*keys]] if _are_texts(keys, value):
                return signature, After(value, tuple(keys))
    except (binascii.Error, RecursionError, TypeError, ValueError):
        pass
    raise _unknown(cursor)


def _are_texts(keys: list[Any], value: Any) -> bool:
    texts = keys if value is None else [*keys, value]
    # A server cannot have returned a NUL, or a lone surrogate, which cannot be encoded.
    return all(isinstance(text, str) and b"\0" not in text.encode() for text in texts)


def _unknown(cursor: Any) -> InvalidCursor:
    return InvalidCursor(f"Expected the cursor of a page, unchanged, got {cursor!r:.80}.")


def _digest(payload: bytes) -> bytes:
    return hashlib.sha256(payload).digest()[:_DIGEST]


def _shown(signature: Any) -> str:
    table, scope, order, descending = signature
    rows = ":".join(map(str, [table, *scope]))
    return f"{rows} by {'.'.join(map(str, order)) or 'primary key'}{' descending' if descending else ''}"
