"""`rowspace serve`: the REST contract over HTTP, by uvicorn."""

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

#: Seconds for the requests at hand, once it is to stop.
_GRACE = 30

#: Seconds for a worker to start. Uvicorn's five are over while a busy machine imports and the embedder is loaded: then
#: it kills the worker, and a restart by SIGHUP is broken off.
_START = 30


class LogLevel(Enum):
    """What uvicorn logs, and what is worse."""

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
        # Made here too where the workers make their own: what is wrong with the settings is said once, in a sentence.
        is_local = _is_local(host)
        app = _local(fastapi.create_app()) if is_local else fastapi.create_app()
        options: dict[str, Any] = {"host": host, "port": port, "workers": workers, "log_level": log_level.value}
        _run(uvicorn, app if workers == 1 else _FACTORIES[is_local], factory=workers > 1, **options)


def _run(uvicorn: Any, app: Any, **options: Any) -> None:
    # Uvicorn raises the signal again when it is done, and done is what was asked for.
    signal.signal(signal.SIGTERM, lambda *_: None)
    hang_up()
    protocol = require("rowspace.integrations.fastapi.protocol", extra="fastapi")
    main: Any = require("uvicorn.main", extra="fastapi")
    # Which it has no option for.
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
        # It has said why: a port that is taken. Its own codes mean other things here.
        if ended.code:
            raise typer.Exit(ExitCode.ERROR) from ended
        raise


def worker() -> Any:
    """Return the application of one of several processes, which stops when the one that started it is gone."""
    threading.Thread(target=_stop_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    return require("rowspace.integrations.fastapi", extra="fastapi").create_app()


def local_worker() -> Any:
    """Return the same for this machine alone."""
    return _local(worker())


def _local(app: Any) -> Any:
    hosts = require("rowspace.integrations.fastapi.hosts", extra="fastapi")
    return hosts.LocalApp(app, _server_settings().cors_origins)


def _stop_with(parent: Any) -> None:
    # A supervisor that is killed tells nobody: its workers would keep the port.
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _environment(settings: Settings, embedder: str | None, workers: int) -> Iterator[None]:
    """Hand the options on as variables: the workers are processes of their own."""
    from rowspace.migrations.urls import migration_url
    from rowspace.urls import read_url

    with ExitStack() as stack:
        if settings.database_url is None:
            url = stack.enter_context(embedded_url(settings))
        else:
            # Any driver's URL will do; asyncpg is taken as it is.
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
    """Return whether a server is for this machine alone: without keys, and on its loopback interface.

    Without keys on any other, the person is warned.
    """
    if _server_settings().api_keys:
        return False
    if not _is_loopback(host):
        say(f"Warning: whoever reaches {host} may read and change everything, as ROWSPACE_API_KEYS holds no key.")
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
