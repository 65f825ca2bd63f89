"""One session per request: opened on first use, committed or rolled back at the end of the request, then closed."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, has_request_context, request
from sqlalchemy.orm import Session

from rowspace.errors import mapped_errors
from rowspace.integrations.flask.backend import Backend
from rowspace.integrations.flask.problems import answer_to, own_request_id

__all__ = ["add_session_hooks", "current_session"]

_KEY = "_rowspace_session"


def current_session(backend: Backend) -> Session:
    """Return the session of the request, or outside of requests that of the application context."""
    if backend.sqlalchemy is not None:
        shared: Session = backend.sqlalchemy.session()
        return shared
    # Not in the environment, which a nested request copies, nor in `g`, which nested requests can share.
    holder: Any = request if has_request_context() else g
    session: Session | None = getattr(holder, _KEY, None)
    if session is None:
        # Unusable after the request: otherwise a streamed response would check out a connection and never return it.
        session = backend.database.sessions(close_resets_only=False)
        setattr(holder, _KEY, session)
    return session


def add_session_hooks(app: Flask) -> None:
    """Register hooks that end the sessions of an application's requests.

    They commit before the response is sent, so a failed commit is an error of the request.
    """

    # The hook that is registered first runs last, so the application's own hooks can still use the session.
    @app.after_request
    def finish(response: Response) -> Response:
        session: Session | None = getattr(request, _KEY, None)
        if session is None:
            return response
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            session.rollback()
            return response
        try:
            with mapped_errors():
                session.commit()
        except Exception as error:  # noqa: BLE001 -- in debug mode, Flask would show it with its SQL
            return answer_to(error, own_request_id())
        return response

    @app.teardown_request
    def close(_: BaseException | None) -> None:
        _close(vars(request).pop(_KEY, None))

    @app.teardown_appcontext
    def close_outside(_: BaseException | None) -> None:
        _close(g.pop(_KEY, None))


def _close(session: Session | None) -> None:
    if session is not None:
        session.close()
