"""A session a request: opened by the first who asks, committed or rolled back at the request's end, closed once."""

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
    """Return the session of the request; outside of requests, that of the application context."""
    if backend.sqlalchemy is not None:
        shared: Session = backend.sqlalchemy.session()
        return shared
    # Not the environment, which a request that is made within a request has a copy of; not `g`, which they may share.
    holder: Any = request if has_request_context() else g
    session: Session | None = getattr(holder, _KEY, None)
    if session is None:
        # Of no use after the request: a response that is streamed on would take a connection that nobody gives back.
        session = backend.database.sessions(close_resets_only=False)
        setattr(holder, _KEY, session)
    return session


def add_session_hooks(app: Flask) -> None:
    """End the sessions of an application's requests.

    The commit comes before the answer is sent, so that a commit that fails is an error of the request.
    """

    # The first hook that is registered runs last: those of the application may still use the session.
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
        except Exception as error:  # noqa: BLE001 -- Flask would show it in debug mode, SQL and all
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
