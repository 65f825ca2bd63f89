"""Settings of a server, from the environment variables `ROWSPACE_*`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError

from rowspace._optional import require
from rowspace.errors import ConfigurationError
from rowspace.integrations.rest.fields import MAX_DOCUMENTS, MAX_K, MAX_QUERIES
from rowspace.integrations.rest.keys import ApiKey

require("pydantic_settings", extra="fastapi")

from pydantic_settings import (  # noqa: E402 -- after the check that names the extra
    BaseSettings,
    SettingsConfigDict,
    SettingsError,
)

__all__ = ["Limits", "ServerSettings", "misspelt", "read_settings", "settings_by_variable"]

_MIB = 2**20
_PREFIX = "ROWSPACE_"

#: Examples of the settings whose values are JSON.
_JSON = {"api_keys": '[{"name": "site", "sha256": "5e88..."}]', "cors_origins": '["https://example.org"]'}


def _origin(value: str) -> str:
    if not re.fullmatch(r"\*|null|[a-z][a-z0-9+.\-]*://[^/?#\sA-Z]+", value):
        message = "an origin is * or has a browser's format, such as https://example.org, with nothing after the host"
        raise ValueError(message)
    return value


# An origin in any other format would never equal a caller's origin.
Origin = Annotated[str, AfterValidator(_origin)]


class Limits(BaseSettings):
    """The limits of one request.

    Args:
        max_body: the maximum size of a JSON body in bytes.
        max_upload: the maximum size of a streamed NDJSON body in bytes.
        max_line: the maximum size of a line of such a body in bytes.
        max_documents: the maximum number of documents in a JSON body.
        max_k: the maximum number of hits of a search, and of passages of a question.
        max_queries: the maximum number of searches in a batch.
        upload_idle: seconds that a streamed body may pause before the server gives up.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        # The input could be a key instead of its hash, or a URL with a password. Do not repeat it.
        hide_input_in_errors=True,
    )

    max_body: int = Field(default=16 * _MIB, ge=1_024)
    max_upload: int = Field(default=1_024 * _MIB, ge=1_024)
    max_line: int = Field(default=4 * _MIB, ge=1_024)
    max_documents: int = Field(default=MAX_DOCUMENTS, ge=1, le=MAX_DOCUMENTS)
    max_k: int = Field(default=MAX_K, ge=1, le=MAX_K)
    max_queries: int = Field(default=MAX_QUERIES, ge=1, le=MAX_QUERIES)
    upload_idle: float = Field(default=30, gt=0)


class ServerSettings(Limits):
    """The settings of a server, including its limits.

    Args:
        database_url: the database; None means the embedded server.
        database_schema: the schema of Rowspace's tables, `ROWSPACE_SCHEMA`; None means the first on the search path.
        data_dir: where the embedded server keeps its data.
        embedder: `local` for the built-in model, `none`, or `package.module:name` of an embedder or of a function that
            makes one.
        chat_model: the model that `/api/chat` uses, as `init_chat_model` of LangChain accepts it; by default none, and
            answers consist of sentences from the documents.
        api_keys: a JSON array of keys and their rights; without one, every caller may do everything.
        cors_origins: a JSON array of origins whose pages may call, or `*` for any; none by default.
        pool_size: the number of connections that each worker keeps open.
        pool_overflow: additional connections, each for one request; connecting costs more than a short wait.
        pool_timeout: seconds to wait for a connection before a request is rejected.
        metrics: whether to serve `/metrics`.
        docs: whether to serve `/docs`, `/redoc` and `/openapi.json`.
        docs_assets: where the scripts of the two pages are: a directory, which the server serves, or an http(s) URL;
            by default a public CDN.
    """

    database_url: SecretStr | None = None
    # Not `schema`, which is a method of every pydantic model.
    database_schema: str | None = Field(default=None, validation_alias="ROWSPACE_SCHEMA")
    data_dir: Path | None = None
    embedder: str = "local"
    chat_model: str | None = None
    api_keys: tuple[ApiKey, ...] = ()
    cors_origins: tuple[Origin, ...] = ()
    pool_size: int = Field(default=10, ge=1)
    pool_overflow: int = Field(default=0, ge=0)
    pool_timeout: float = Field(default=5, gt=0)
    metrics: bool = True
    docs: bool = True
    docs_assets: str | None = None


def read_settings(given: Mapping[str, Any] | None = None) -> ServerSettings:
    """Return the given settings, and those of the environment for the rest.

    Raises:
        ConfigurationError: a setting is invalid. The message omits its value, which may contain a password or a key.
    """
    try:
        return ServerSettings(**(given or {}))
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name, *within = (str(part) for part in fault["loc"])
        said = fault["msg"].removeprefix("Value error, ")
        message = f"{variable_of(name)} is invalid: {': '.join(filter(None, ['.'.join(within), said]))}."
        if name in _JSON and not within[1:]:
            # A setting passed from Python is not a list, or a list item is not an entry.
            message = f"{message} Expected a list, such as {_JSON[name]}."
    except SettingsError as error:
        # The error contains nothing but the name.
        name = next((name for name in _JSON if f'"{name}"' in str(error)), "a setting")
        message = f"{variable_of(name)} is invalid: expected JSON, such as {_JSON.get(name, '[]')}."
    raise ConfigurationError(message)


def misspelt(names: Iterable[str]) -> dict[str, str]:
    """Return the names that look like a misspelled setting, each with the setting that was probably meant.

    Names that resemble no setting are ignored, because they may belong to another program.
    """
    known = settings_by_variable()
    # Compare without the common prefix, which would make all names similar. Case is ignored, as in pydantic.
    others = {name: name.upper() for name in names if name.upper().startswith(_PREFIX) and name.upper() not in known}
    settings = [name.removeprefix(_PREFIX) for name in known]
    close = {name: get_close_matches(upper.removeprefix(_PREFIX), settings, 1, 0.85) for name, upper in others.items()}
    return {name: _PREFIX + found[0] for name, found in sorted(close.items()) if found}


def settings_by_variable() -> dict[str, str]:
    """Return the name in `read_settings` of each setting, by environment variable."""
    names = (str(field.validation_alias or name) for name, field in ServerSettings.model_fields.items())
    return {variable_of(name): name for name in names}


def variable_of(name: str) -> str:
    """Return the environment variable of a setting."""
    return name if name.startswith(_PREFIX) else _PREFIX + name.upper()
