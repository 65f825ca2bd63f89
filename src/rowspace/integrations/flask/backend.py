"""State that the endpoints, commands and requests of an application share."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from threading import Lock
from typing import Any

from flask import current_app
from pydantic import SecretStr

from rowspace.engine import Database
from rowspace.errors import ConfigurationError
from rowspace.integrations.rag import AnswerService
from rowspace.integrations.rag.chat import model_of
from rowspace.integrations.rag.embedders import guarded
from rowspace.integrations.rest.databases import checked_database, database_url, engine_options
from rowspace.integrations.rest.keys import Keyring
from rowspace.integrations.rest.metrics import Metrics
from rowspace.integrations.rest.pages import Assets
from rowspace.integrations.rest.settings import ServerSettings
from rowspace.services import DocumentService, Embedder, QuickSearch, SearchService

__all__ = ["NAME", "Backend", "current_backend"]

#: The key in `app.extensions`, and the name of the blueprint and the command.
NAME = "rowspace"


class Backend:
    """The services, keys, limits and metrics of one application.

    Args:
        settings: limits, keys, and the database if `database` is None.
        database: an open database of the caller; None opens that of the settings on first use.
        embedder: converts texts to vectors.
        answers: an `AnswerService` for `/api/chat`; by default one on the same database.

    Raises:
        ConfigurationError: the database or the embedder is of the wrong type, or the model does not exist.
    """

    def __init__(
        self,
        settings: ServerSettings,
        database: Database | None = None,
        *,
        embedder: Embedder | None = None,
        answers: AnswerService | None = None,
    ) -> None:
        self.settings = settings
        self.embedder = embedder
        self._guarded = guarded(embedder)
        self.keyring = Keyring(settings.api_keys)
        self.metrics = Metrics()
        self.assets = Assets(settings.docs_assets)
        #: Flask-SQLAlchemy, if requests use its session.
        self.sqlalchemy: Any = None
        self._answers = answers
        # Create the model here, so that an invalid one fails at startup.
        self._model = None if answers is not None else model_of(settings.chat_model)
        self.given = None if database is None else checked_database(database, Database)
        self._opened: Database | None = None
        self._opening = Lock()
        self._stack = ExitStack()

    @property
    def url(self) -> SecretStr | None:
        """The URL of the database; None means the embedded server."""
        if self.given is None:
            return self.settings.database_url
        return SecretStr(self.given.engine.url.render_as_string(hide_password=False))

    @property
    def database(self) -> Database:
        """The database. It is opened on first use, so a command that needs none starts no server."""
        if self.given is not None:
            return self.given
        with self._opening:
            if self._opened is None:
                url = database_url(self.settings, self._stack)
                self._opened = self._stack.enter_context(Database.open(url, **engine_options(self.settings)))
            return self._opened

    @cached_property
    def documents(self) -> DocumentService:
        """The document service. Each call is a transaction."""
        return DocumentService(self.database, self._guarded)

    @cached_property
    def searches(self) -> SearchService:
        """The search service. Each call is a transaction."""
        return SearchService(self.database, self._guarded)

    @cached_property
    def quick(self) -> SearchService | QuickSearch:
        """The fastest search service: `QuickSearch` if this backend opened the database, so no other code has hooks."""
        return self.searches if self.given is not None else QuickSearch(self.database, self._guarded)

    @cached_property
    def answers(self) -> AnswerService:
        """The answer service."""
        if self._answers is not None:
            return self._answers
        return AnswerService(self.database, self.embedder, model=self._model)

    def close(self) -> None:
        """Close what this backend opened. The next use of the database opens it again."""
        with self._opening:
            self._stack.close()
            self._opened = None
            for name in ("documents", "searches", "quick", "answers"):
                self.__dict__.pop(name, None)


def current_backend() -> Backend:
    """Return the backend of the current application.

    Raises:
        ConfigurationError: the application has none.
    """
    backend: Backend | None = current_app.extensions.get(NAME)
    if backend is None:
        message = (
            f"The application {current_app.name!r} has no Rowspace yet. "
            "Call Rowspace().init_app(app) in the application factory."
        )
        raise ConfigurationError(message)
    return backend
