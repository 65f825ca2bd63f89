"""The extension, for the application factory."""

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
    """Rowspace in Flask applications: one object in a module, `init_app` for each application.

    Settings are `app.config["ROWSPACE_..."]`, else the variables `ROWSPACE_*`. The database is that of
    `ROWSPACE_DATABASE_URL`, else the embedded server; or Flask-SQLAlchemy's.

    Args:
        app: an application that is there already.
        sqlalchemy: Flask-SQLAlchemy's `db`: its engine is used, and `session` is its session, which the application
            commits as it always did.
        embedder: turns texts into vectors; by default that of the settings.
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
        """Give an application its sessions, services and commands. No connection is made yet.

        Args:
            app: the application.
            settings: by default those of `app.config` and the environment.
            database: the caller's, which is not closed here; by default that of the settings.

        Raises:
            ConfigurationError: a setting that cannot be, an application that has one already, or a Flask-SQLAlchemy
                that has not been initialized.
            MissingExtra: the embedder of the settings is not installed.
        """
        if NAME in app.extensions:
            message = f"The application {app.name!r} has a Rowspace already."
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
        """The session of the request, committed at its end if the answer's status is below 400, else rolled back.

        Outside of requests, that of the application context, which is rolled back at its end unless it is committed.
        """
        return current_session(current_backend())

    @property
    def documents(self) -> DocumentService:
        """Documents, in the session of the request; what a call does ends with the session's transaction."""
        return DocumentService(Joined(self.session), current_backend().embedder)

    @property
    def searches(self) -> SearchService:
        """Searches, in the session of the request."""
        return SearchService(Joined(self.session), current_backend().embedder)

    @property
    def answers(self) -> AnswerService:
        """The answer service; its searches have ended their transaction before a model is asked."""
        return current_backend().answers

    @property
    def database(self) -> Database:
        """The database of the current application, for transactions beside that of the request."""
        return current_backend().database

    def close(self) -> None:
        """Close what was opened for the current application; what was handed in stays open."""
        current_backend().close()


def _settings_from(config: Mapping[str, Any]) -> ServerSettings:
    """Return the settings of an application; a value of None counts as none.

    Raises:
        ConfigurationError: there is no such setting, or its value is none; the message does not repeat it, as it may
            hold a password.
    """
    given = {key: value for key, value in config.items() if key.startswith("ROWSPACE_") and value is not None}
    known = settings_by_variable()
    if unknown := sorted(given.keys() - known.keys()):
        message = (
            f"app.config has {', '.join(unknown)}, which Rowspace does not know. It knows {', '.join(sorted(known))}."
        )
        raise ConfigurationError(message)
    return read_settings({known[key]: value for key, value in given.items()})


def _database_of(sqlalchemy: Any, app: Flask, settings: ServerSettings) -> Database:
    if settings.database_schema is not None:
        message = (
            "ROWSPACE_SCHEMA does not go with Flask-SQLAlchemy's session: it would move every table that has no schema "
            "of its own. Put the schema into the search_path of its connections."
        )
        raise ConfigurationError(message)
    try:
        with app.app_context():
            return Database(sqlalchemy.engine)
    except (RuntimeError, KeyError) as error:
        message = "Flask-SQLAlchemy has no engine for this application: call db.init_app(app) before Rowspace's."
        raise ConfigurationError(message) from error
