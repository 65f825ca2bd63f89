"""Responses for systems that run and monitor a server."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

__all__ = ["Alive", "Ready"]


class Alive(BaseModel):
    """The process is running."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """The process can serve requests."""

    status: Literal["ready"] = "ready"
