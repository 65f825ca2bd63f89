"""What the endpoints of one server share."""

from __future__ import annotations

from http import HTTPStatus
from typing import cast

from rowspace.engine import AsyncDatabase
from rowspace.integrations.rag import AnswerService
from rowspace.integrations.rag.chat import model_of
from rowspace.integrations.rag.embedders import guarded
from rowspace.integrations.rest.databases import checked_database
from rowspace.integrations.rest.keys import Keyring
from rowspace.integrations.rest.metrics import Metrics
from rowspace.integrations.rest.problems import Problem, ProblemError
from rowspace.integrations.rest.settings import ServerSettings
from rowspace.services import AsyncDocumentService, AsyncQuickSearch, AsyncSearchService, Embedder

__all__ = ["Backend"]


class Backend:
    """The services, keys, limits and metrics of one server; the database may come when the server starts.

    Args:
        settings: limits and keys.
        embedder: turns texts into vectors.
        answers: an `AnswerService` for `/api/chat`; by default one on the same database.
    """

    def __init__(
        self, settings: ServerSettings, embedder: Embedder | None = None, *, answers: AnswerService | None = None
    ) -> None:
        self.settings = settings
        self.embedder = embedder
        self._guarded = guarded(embedder)
        self._answers = answers
        # Here, so that a model that cannot be is an error of whoever starts the server.
        self._model = None if answers is not None else model_of(settings.chat_model)
        self.keyring = Keyring(settings.api_keys)
        self.metrics = Metrics()
        self._database: AsyncDatabase | None = None

    def connect(self, database: AsyncDatabase, *, own: bool = False) -> None:
        """Serve a database from now on; `own` says that nobody else has hooks on its sessions.

        Raises:
            ConfigurationError: it is no `AsyncDatabase`.
        """
        self._database = checked_database(database, AsyncDatabase)
        self.documents = AsyncDocumentService(database, self._guarded)
        self.searches = AsyncSearchService(database, self._guarded)
        self.answers = self._answers or AnswerService(database, self.embedder, model=self._model)
        self.search = (AsyncQuickSearch(database, self._guarded) if own else self.searches).search

    def check_started(self) -> None:
        """Refuse to serve without a database.

        Raises:
            ProblemError: the application was not started.
        """
        if self._database is None:
            detail = (
                "The application has no database yet: run its lifespan, as uvicorn and a test client do and an "
                "application that it is mounted in does not, or give create_app a database."
            )
            raise ProblemError(Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail))

    @property
    def database(self) -> AsyncDatabase:
        """The database.

        Raises:
            ProblemError: the application was not started.
        """
        self.check_started()
        return cast("AsyncDatabase", self._database)
