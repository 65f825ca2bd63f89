"""`rowspace ui`: the user interface in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from rowspace.cli.process import hang_up, say
from rowspace.cli.session import open_database, place_of, settings_of

__all__ = ["ui"]


def ui(
    context: typer.Context,
    *,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="The port; by default, 8501 or the next free one.")
    ] = None,
    embedder: Annotated[
        str | None, typer.Option(metavar="NAME", help="local, none, or module:attribute; by default, local.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A chat model for answers, by its LangChain name; by default, none."),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
) -> None:
    """Search, ask questions, plot, load and measure collections in a browser, on this machine only.

    Stop it with Ctrl-C. Without --embedder or --model, ROWSPACE_EMBEDDER or ROWSPACE_CHAT_MODEL applies.

    \b
    Examples:
      rowspace ui
      rowspace ui --port 8600 --no-browser
      rowspace ui --model openai:gpt-4o-mini
    """  # noqa: D301
    from rowspace.integrations.streamlit.launch import launch
    from rowspace.integrations.streamlit.options import UiOptions
    from rowspace.migrations import upgrade

    settings = settings_of(context)
    with open_database(settings) as database:
        if settings.database_url is None and settings.database is None:
            # The embedded server belongs to the user, and a first visit would only ask for this command.
            upgrade(database.engine)
        say(f"Showing {place_of(settings)}. Press Ctrl-C to stop.")
        options = UiOptions(
            url=database.engine.url.render_as_string(hide_password=False),
            schema=settings.database_schema,
            embedder=embedder or settings.embedder,
            model=model or UiOptions.from_environment().model,
            database=settings.database,
        )
        hang_up()
        launch(options, port=port, browser=browser)
