"""Request ids: the caller's if it is safe in a log, otherwise a new one."""

from __future__ import annotations

import re
from uuid import uuid4

__all__ = ["HEADER", "request_id"]

HEADER = "X-Request-ID"

# No character that could end a line of a log, or be special to a terminal or an HTML page.
_FIT = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


def request_id(given: str | None) -> str:
    """Return the caller's id if it is safe in a log, otherwise a new one."""
    return given if given is not None and _FIT.fullmatch(given) else uuid4().hex
