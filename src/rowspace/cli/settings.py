"""Settings of the command line. Options override environment variables, which override defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Settings"]


class Settings(BaseSettings):
    """The environment variables `ROWSPACE_*`.

    Args:
        database_url: the database; None means the embedded server.
        database_schema: the schema of Rowspace's tables, `ROWSPACE_SCHEMA`; None means the first on the search path.
        data_dir: where the embedded server keeps its data.
        collection: the collection for commands that name none.
        embedder: `local`, or `module:attribute`; see `rowspace.integrations._embedders`.
    """

    model_config = SettingsConfigDict(env_prefix="ROWSPACE_", env_ignore_empty=True, frozen=True)

    database_url: SecretStr | None = None
    # Not `schema`, which is a method of every pydantic model.
    database_schema: str | None = Field(default=None, validation_alias="ROWSPACE_SCHEMA")
    data_dir: Path | None = None
    collection: str = "documents"
    embedder: str = "local"
    # A private attribute, because pydantic would read a field from an environment variable.
    _database: Any = PrivateAttr(default=None)

    @property
    def database(self) -> Any:
        """The open `Database` of the program that embeds these commands, or None."""
        return self._database

    def overridden(self, **options: Any) -> Settings:
        """Return a copy with these options, except those that are None."""
        given = {name: value for name, value in options.items() if value is not None}
        made = self.model_copy(update=given)
        if not given.keys().isdisjoint({"database_url", "database_schema"}):
            made._database = None  # noqa: SLF001 -- of the same class
        return made

    def on(self, database: Any) -> Settings:
        """Return a copy for commands that use a database that is already open."""
        made = self.model_copy()
        made._database = database  # noqa: SLF001 -- of the same class
        return made
