"""Settings of the command line: options come before variables of the environment, and those before defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr
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

    def overridden(self, **options: Any) -> Settings:
        """Return the settings with those options that were given."""
        return self.model_copy(update={name: value for name, value in options.items() if value is not None})
