"""A complete application: `flask --app rowspace.integrations.flask run`, or behind any WSGI server."""

from __future__ import annotations

from flask import Flask, Response, request

from rowspace.engine import Database
from rowspace.integrations.flask.blueprint import make_blueprint
from rowspace.integrations.flask.extension import Rowspace
from rowspace.integrations.flask.problems import answer_to, own_request_id
from rowspace.integrations.rag import AnswerService
from rowspace.integrations.rest.origins import origin_headers
from rowspace.integrations.rest.settings import ServerSettings, read_settings
from rowspace.services import Embedder

__all__ = ["create_app"]


def create_app(
    settings: ServerSettings | None = None,
    *,
    database: Database | None = None,
    embedder: Embedder | None = None,
    answers: AnswerService | None = None,
) -> Flask:
    """Return an application that serves the REST contract.

    Args:
        settings: by default from the environment variables `ROWSPACE_*`.
        database: by default that of the settings, opened by the first request that needs it.
        embedder: by default that of the settings.
        answers: an `AnswerService` for `/api/chat`; by default one on the same database.

    Raises:
        ConfigurationError: a setting is invalid, or the embedder, the model or an asset of the pages does not exist.
        MissingExtra: the embedder or the model is not installed.
    """
    settings = settings if settings is not None else read_settings()
    app = Flask("rowspace", static_folder=None, template_folder=None)
    Rowspace(embedder=embedder, answers=answers).init_app(app, settings=settings, database=database)
    # Handle every error here, so that no debugger shows it to a caller.
    app.register_error_handler(Exception, lambda error: answer_to(error, own_request_id()))
    app.register_blueprint(make_blueprint())

    @app.after_request
    def allow_origins(response: Response) -> Response:
        response.headers.extend(origin_headers(dict(request.headers), settings.cors_origins, method=request.method))
        return response

    return app
