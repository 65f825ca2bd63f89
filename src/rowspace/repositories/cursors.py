"""Cursors: where a page ended, as opaque text.

A cursor is JSON with a checksum in front, in base64. The checksum finds what a client cut or changed by mistake; it
is no signature. Whoever forges a cursor gets another page of the same listing, whose conditions are not in it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any

from rowspace.errors import InvalidCursor
from rowspace.statements.browse import After, Listing

__all__ = ["read_cursor", "write_cursor"]

_DIGEST = 6


def write_cursor(listing: Listing[Any], after: After) -> str:
    """Return the cursor that continues a listing after a row."""
    payload = json.dumps([listing.signature, after.value, after.keys], ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(_digest(payload) + payload).rstrip(b"=").decode()


def read_cursor(listing: Listing[Any], cursor: str) -> After:
    """Return where a cursor continues a listing.

    Raises:
        InvalidCursor: it was changed, or comes from a listing of other rows or in another order.
    """
    signature, value, keys = _decoded(cursor)
    if signature != listing.signature:
        message = (
            f"The cursor belongs to a listing of {_shown(signature)}, this one is of {_shown(listing.signature)}: "
            "ask for its first page without a cursor."
        )
        raise InvalidCursor(message)
    return After(value, tuple(keys))


def _decoded(cursor: str) -> Any:
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        digest, payload = data[:_DIGEST], data[_DIGEST:]
        if digest == _digest(payload):
            return json.loads(payload)
    except (binascii.Error, TypeError, ValueError):
        pass
    message = f"Expected a cursor as a page gave it, got {cursor!r:.80}."
    raise InvalidCursor(message)


def _digest(payload: bytes) -> bytes:
    return hashlib.sha256(payload).digest()[:_DIGEST]


def _shown(signature: Any) -> str:
    table, scope, order, descending = signature
    rows = ":".join(map(str, [table, *scope]))
    return f"{rows} by {'.'.join(order) or 'primary key'}{' descending' if descending else ''}"
