"""Answers for whatever runs and watches a server."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

__all__ = ["Alive", "Ready"]


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """The process can serve."""

    status: Literal["ready"] = "ready"
