"""Settings of the command line: options come before variables of the environment, and those before defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Settings"]


class Settings(BaseSettings):
    """What the variables `ROWSPACE_*` say.

    Args:
        database_url: the database; None means the embedded server.
        database_schema: the schema of Rowspace's tables, `ROWSPACE_SCHEMA`; None means the first of the search path.
        data_dir: where the embedded server keeps its data.
        collection: the collection of a command that names none.
        embedder: `local`, or `module:attribute`; see `rowspace.integrations._embedders`.
    """

    model_config = SettingsConfigDict(env_prefix="ROWSPACE_", env_ignore_empty=True, frozen=True)

    database_url: SecretStr | None = None
    # Not `schema`, which is a method of every pydantic model.
    database_schema: str | None = Field(default=None, validation_alias="ROWSPACE_SCHEMA")
    data_dir: Path | None = None
    collection: str = "documents"
    embedder: str = "local"
    # No field, for which there would be a variable.
    _database: Any = PrivateAttr(default=None)

    @property
    def database(self) -> Any:
        """The open `Database` of the program that the commands are part of, where it has one."""
        return self._database

    def overridden(self, **options: Any) -> Settings:
        """Return the settings with those options that were given."""
        given = {name: value for name, value in options.items() if value is not None}
        made = self.model_copy(update=given)
        if not given.keys().isdisjoint({"database_url", "database_schema"}):
            made._database = None  # noqa: SLF001 -- of the same class
        return made

    def on(self, database: Any) -> Settings:
        """Return the settings for commands that work on a database that is open already."""
        made = self.model_copy()
        made._database = database  # noqa: SLF001 -- of the same class
        return made
