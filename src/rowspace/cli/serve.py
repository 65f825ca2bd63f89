"""`rowspace serve`: the REST contract over HTTP, on uvicorn."""

from __future__ import annotations

import ipaddress
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import SecretStr

from rowspace._optional import require
from rowspace.cli.process import ExitCode, hang_up, say
from rowspace.cli.session import embedded_url, open_database, settings_of

if TYPE_CHECKING:
    from rowspace.cli.settings import Settings

__all__ = ["local_worker", "serve", "worker"]

_FACTORIES = {False: f"{__name__}:worker", True: f"{__name__}:local_worker"}

#: Seconds that a stopping server gives the current requests to finish.
_GRACE = 30

#: Seconds for a worker to start. Uvicorn's default of five is too short when a busy machine has to import everything
#: and load the embedder: uvicorn then kills the worker, and a restart by SIGHUP fails.
_START = 30


class LogLevel(Enum):
    """The least severe level that uvicorn logs."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"


def serve(
    context: typer.Context,
    *,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, metavar="N", help="The port; 0 chooses a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=256, metavar="N", help="Number of server processes.")] = 1,
    embedder: Annotated[str | None, typer.Option(metavar="NAME", help="local, none, or package.module:name.")] = None,
    migrate: Annotated[bool, typer.Option("--migrate", help="Run the migrations first.")] = False,
    log_level: Annotated[
        LogLevel, typer.Option(metavar="LEVEL", help="critical, error, warning, info or debug.")
    ] = LogLevel.INFO,
) -> None:
    """Serve collections, documents and searches over HTTP, with documentation at /docs.

    On Ctrl-C or SIGTERM, the server finishes current requests and stops. It migrates the embedded PostgreSQL
    automatically. API keys, limits and other settings are environment variables; see "REST contract" in the
    documentation.

    \b
    Examples:
      rowspace serve
      rowspace --url postgresql://me@localhost/app serve --port 8080 --workers 4
      rowspace serve --embedder none
    """  # noqa: D301
    uvicorn = require("uvicorn", extra="fastapi")
    fastapi = require("rowspace.integrations.fastapi", extra="fastapi")
    settings = settings_of(context)
    with _environment(settings, embedder, workers):
        if migrate or settings.database_url is None:
            _migrate(settings)
        # With several workers, create an app here too: errors in the settings are then reported once, as a sentence.
        is_local = _is_local(host)
        app = _local(fastapi.create_app()) if is_local else fastapi.create_app()
        options: dict[str, Any] = {"host": host, "port": port, "workers": workers, "log_level": log_level.value}
        _run(uvicorn, app if workers == 1 else _FACTORIES[is_local], factory=workers > 1, **options)


def _run(uvicorn: Any, app: Any, **options: Any) -> None:
    # After shutdown, uvicorn raises the signal again. Ignore it, because the shutdown was requested.
    signal.signal(signal.SIGTERM, lambda *_: None)
    hang_up()
    protocol = require("rowspace.integrations.fastapi.protocol", extra="fastapi")
    main: Any = require("uvicorn.main", extra="fastapi")
    # Uvicorn has no option for its supervisor class.
    main.Multiprocess = protocol.Supervisor
    try:
        uvicorn.run(
            app,
            http=protocol.PromptProtocol,
            server_header=False,
            timeout_graceful_shutdown=_GRACE,
            timeout_worker_healthcheck=_START,
            **options,
        )
    except SystemExit as ended:
        # Uvicorn has logged the reason, such as a port in use. Its exit codes mean something else here.
        if ended.code:
            raise typer.Exit(ExitCode.ERROR) from ended
        raise


def worker() -> Any:
    """Return the application of one of several processes. It stops when its parent process does."""
    threading.Thread(target=_stop_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    return require("rowspace.integrations.fastapi", extra="fastapi").create_app()


def local_worker() -> Any:
    """Return the application of a worker that serves this machine only."""
    return _local(worker())


def _local(app: Any) -> Any:
    hosts = require("rowspace.integrations.fastapi.hosts", extra="fastapi")
    return hosts.LocalApp(app, _server_settings().cors_origins)


def _stop_with(parent: Any) -> None:
    # A supervisor that is killed cannot stop its workers, and they would keep the port.
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _environment(settings: Settings, embedder: str | None, workers: int) -> Iterator[None]:
    """Pass the options on as environment variables, because the workers are separate processes."""
    from rowspace.migrations.urls import migration_url
    from rowspace.urls import read_url

    with ExitStack() as stack:
        if settings.database_url is None:
            url = stack.enter_context(embedded_url(settings))
        else:
            # The URL can name any driver. asyncpg is kept.
            given_url = settings.database_url.get_secret_value()
            url = read_url(given_url) if given_url.startswith("postgresql+asyncpg:") else migration_url(given_url)
        shared = workers > 1 and not os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        counts = stack.enter_context(tempfile.TemporaryDirectory(prefix="rowspace")) if shared else None
        given = {
            "ROWSPACE_DATABASE_URL": url.render_as_string(hide_password=False),
            "ROWSPACE_SCHEMA": settings.database_schema,
            "ROWSPACE_EMBEDDER": embedder,
            "PROMETHEUS_MULTIPROC_DIR": counts,
        }
        os.environ.update({key: value for key, value in given.items() if value is not None})
        yield


def _migrate(settings: Settings) -> None:
    from rowspace.migrations import upgrade

    url = os.environ["ROWSPACE_DATABASE_URL"]
    with open_database(settings.overridden(database_url=SecretStr(url))) as database:
        upgrade(database.engine)


def _is_local(host: str) -> bool:
    """Return whether the server is for this machine only: it has no API keys and listens on a loopback interface.

    Print a warning if it has no keys and listens on another interface.
    """
    if _server_settings().api_keys:
        return False
    if not _is_loopback(host):
        say(f"Warning: ROWSPACE_API_KEYS is empty, so anyone who can reach {host} can read and change everything.")
        return False
    return True


def _server_settings() -> Any:
    from rowspace.integrations.rest.settings import read_settings

    return read_settings()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
