"""The extension for application factories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask
from sqlalchemy.orm import Session

from rowspace.engine import Database
from rowspace.errors import ConfigurationError
from rowspace.integrations._embedders import embedder_or_none
from rowspace.integrations._sides import Joined
from rowspace.integrations.flask.backend import NAME, Backend, current_backend
from rowspace.integrations.flask.commands import add_commands
from rowspace.integrations.flask.sessions import add_session_hooks, current_session
from rowspace.integrations.rag import AnswerService
from rowspace.integrations.rest.settings import ServerSettings, read_settings, settings_by_variable
from rowspace.services import DocumentService, Embedder, SearchService

__all__ = ["Rowspace"]


class Rowspace:
    """Rowspace in Flask applications. Create one object per module, and call `init_app` for each application.

    Settings come from `app.config["ROWSPACE_..."]`, then from the environment variables `ROWSPACE_*`. The database is
    that of `ROWSPACE_DATABASE_URL`, otherwise the embedded server; or it is Flask-SQLAlchemy's.

    Args:
        app: an existing application.
        sqlalchemy: Flask-SQLAlchemy's `db`. Rowspace uses its engine, and `session` is its session, which the
            application continues to commit.
        embedder: converts texts to vectors; by default that of the settings.
        answers: an `AnswerService` for `/api/chat`; by default one on the same database.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        sqlalchemy: Any = None,
        embedder: Embedder | None = None,
        answers: AnswerService | None = None,
    ) -> None:
        self._sqlalchemy = sqlalchemy
        self._embedder = embedder
        self._answers = answers
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, *, settings: ServerSettings | None = None, database: Database | None = None) -> None:
        """Add sessions, services and commands to an application. This does not connect to the database.

        Args:
            app: the application.
            settings: by default those of `app.config` and the environment.
            database: an open database, which the caller closes; by default that of the settings.

        Raises:
            ConfigurationError: a setting is invalid, the application already has a Rowspace, or Flask-SQLAlchemy has
                not been initialized.
            MissingExtra: the embedder of the settings is not installed.
        """
        if NAME in app.extensions:
            message = f"The application {app.name!r} already has a Rowspace. Call init_app once per application."
            raise ConfigurationError(message)
        settings = settings if settings is not None else _settings_from(app.config)
        embedder = self._embedder if self._embedder is not None else embedder_or_none(settings.embedder)
        if self._sqlalchemy is not None:
            database = _database_of(self._sqlalchemy, app, settings)
        backend = Backend(settings, database, embedder=embedder, answers=self._answers)
        backend.sqlalchemy = self._sqlalchemy
        app.extensions[NAME] = backend
        add_session_hooks(app)
        add_commands(app, backend, own_embedder=self._embedder is not None)

    @property
    def session(self) -> Session:
        """The session of the request. It commits if the status of the response is below 400, else it rolls back.

        Outside of requests, it is the session of the application context, which rolls back unless you commit.
        """
        return current_session(current_backend())

    @property
    def documents(self) -> DocumentService:
        """The document service, in the session of the request. Its changes are part of the session's transaction."""
        return DocumentService(Joined(self.session), current_backend().embedder)

    @property
    def searches(self) -> SearchService:
        """The search service, in the session of the request."""
        return SearchService(Joined(self.session), current_backend().embedder)

    @property
    def answers(self) -> AnswerService:
        """The answer service. Its searches end their transaction before it calls a model."""
        return current_backend().answers

    @property
    def database(self) -> Database:
        """The database of the current application, for transactions apart from that of the request."""
        return current_backend().database

    def close(self) -> None:
        """Close what was opened for the current application. A database that you passed stays open."""
        current_backend().close()


def _settings_from(config: Mapping[str, Any]) -> ServerSettings:
    """Return the settings of an application. Values of None are ignored.

    Raises:
        ConfigurationError: a setting is unknown or invalid. The message omits its value, which may contain a password.
    """
    given = {key: value for key, value in config.items() if key.startswith("ROWSPACE_") and value is not None}
    known = settings_by_variable()
    if unknown := sorted(given.keys() - known.keys()):
        message = f"app.config has unknown settings: {', '.join(unknown)}. Valid settings: {', '.join(sorted(known))}."
        raise ConfigurationError(message)
    return read_settings({known[key]: value for key, value in given.items()})


def _database_of(sqlalchemy: Any, app: Flask, settings: ServerSettings) -> Database:
    if settings.database_schema is not None:
        message = (
            "ROWSPACE_SCHEMA cannot be combined with Flask-SQLAlchemy's session: it would move every table that has no "
            "explicit schema. Put the schema into the search_path of its connections."
        )
        raise ConfigurationError(message)
    try:
        with app.app_context():
            return Database(sqlalchemy.engine)
    except (RuntimeError, KeyError) as error:
        message = "Flask-SQLAlchemy has no engine for this application. Call db.init_app(app) before Rowspace's."
        raise ConfigurationError(message) from error
