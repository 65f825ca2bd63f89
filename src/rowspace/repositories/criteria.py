"""What a session's own rules leave of a model, for statements that SQLAlchemy does not see: COPY and what follows it.

Applications keep one tenant's rows from another's by `with_loader_criteria` in the event `do_orm_execute`, and a class
of single-table inheritance is some rows of its table. Every other statement here selects from the model, so that both
hold by themselves.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import inspect

from rowspace.repositories.transactions import own_session

__all__ = ["may_hide"]


def may_hide(session: Any, model: type[Any]) -> bool:
    """Return whether a session may not show every row of a model's table."""
    return bool(own_session(session).dispatch.do_orm_execute) or bool(inspect(model).single)
