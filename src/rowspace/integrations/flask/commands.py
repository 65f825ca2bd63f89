"""`flask rowspace`: the commands of `rowspace`, on the application's database and embedder."""

from __future__ import annotations

from typing import Any

import click
from flask import Flask

from rowspace._optional import require
from rowspace.errors import ConfigurationError, MissingExtra
from rowspace.integrations.flask.backend import NAME, Backend

__all__ = ["add_commands", "application_embedder"]

#: The path by which the command line finds an embedder that the application passed as an object.
_EMBEDDER = f"{__name__}:application_embedder"

#: Backends with a running command. Not in the application context, because `rowspace ui` runs threads without one.
_running: list[Backend] = []


def application_embedder() -> Any:
    """Return the embedder of the application whose command is running.

    Raises:
        ConfigurationError: this is another process, as started by `--processes`.
    """
    if not _running:
        message = "Other processes cannot use the embedder of a Flask application. Omit --processes."
        raise ConfigurationError(message)
    return _running[-1].embedder


def add_commands(app: Flask, backend: Backend, *, own_embedder: bool) -> None:
    """Add `flask rowspace` to an application."""

    @app.cli.command(
        NAME,
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
        add_help_option=False,
        short_help="Migrate, load and search documents.",
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> None:
        """Run a Rowspace command on the application's database."""
        try:
            # Import by name: the command line is at a higher level, and optional.
            hosted = require("rowspace.cli.hosted", extra="cli")
        except MissingExtra as error:
            raise click.ClickException(str(error)) from error
        given = backend.settings
        _running.append(backend)
        try:
            hosted.run(
                arguments,
                name=f"flask {NAME}",
                # Flask itself serves the application, including Rowspace.
                without=["serve"],
                database=backend.given,
                database_url=backend.url,
                database_schema=given.database_schema,
                data_dir=given.data_dir,
                embedder=_EMBEDDER if own_embedder else given.embedder,
            )
        finally:
            _running.remove(backend)
