"""State that the endpoints of a server share."""

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
    """The services, keys, limits and metrics of one server. The database can be connected later, at startup.

    Args:
        settings: limits and keys.
        embedder: converts texts to vectors.
        answers: an `AnswerService` for `/api/chat`; by default one on the same database.
    """

    def __init__(
        self, settings: ServerSettings, embedder: Embedder | None = None, *, answers: AnswerService | None = None
    ) -> None:
        self.settings = settings
        self.embedder = embedder
        self._guarded = guarded(embedder)
        self._answers = answers
        # Create the model here, so that an invalid one fails at startup.
        self._model = None if answers is not None else model_of(settings.chat_model)
        self.keyring = Keyring(settings.api_keys)
        self.metrics = Metrics()
        self._database: AsyncDatabase | None = None

    def connect(self, database: AsyncDatabase, *, own: bool = False) -> None:
        """Serve this database. `own` states that no other code has hooks on its sessions.

        Raises:
            ConfigurationError: `database` is not an `AsyncDatabase`.
        """
        self._database = checked_database(database, AsyncDatabase)
        self.documents = AsyncDocumentService(database, self._guarded)
        self.searches = AsyncSearchService(database, self._guarded)
        self.answers = self._answers or AnswerService(database, self.embedder, model=self._model)
        self.search = (AsyncQuickSearch(database, self._guarded) if own else self.searches).search

    def check_started(self) -> None:
        """Check that a database is connected.

        Raises:
            ProblemError: the application has not started.
        """
        if self._database is None:
            detail = (
                "The application has no database yet. Run its lifespan: uvicorn and test clients do, but an "
                "application that mounts it does not. Or pass a database to create_app."
            )
            raise ProblemError(Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail))

    @property
    def database(self) -> AsyncDatabase:
        """The database.

        Raises:
            ProblemError: the application has not started.
        """
        self.check_started()
        return cast("AsyncDatabase", self._database)
