"""Request ids: the caller's where it is fit for a log, else a new one."""

from __future__ import annotations

import re
from uuid import uuid4

__all__ = ["HEADER", "request_id"]

HEADER = "X-Request-ID"

# Nothing that could end a line of a log, or mean something to a terminal or a page that shows it.
_FIT = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


def request_id(given: str | None) -> str:
    """Return the id that the caller gave, or a new one where it gave none or one that is not fit for a log."""
    return given if given is not None and _FIT.fullmatch(given) else uuid4().hex
