"""Around every endpoint: keys before a body is read, limits, problems, request ids, metrics.

In the view, not in hooks of the application, so that a blueprint in somebody's application brings all of it along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, wraps
from http import HTTPStatus
from time import perf_counter
from typing import Any

from flask import Request, Response, request
from pydantic import BaseModel, TypeAdapter
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from rowspace.integrations.flask.backend import Backend, current_backend
from rowspace.integrations.flask.problems import answer_to, own_request_id
from rowspace.integrations.rest.bodies import JSON, NDJSON, Meter, media_type, read_json
from rowspace.integrations.rest.checks import check_coding, check_media_type
from rowspace.integrations.rest.errors import RequestFault, body_too_large, broken_off
from rowspace.integrations.rest.ids import HEADER
from rowspace.integrations.rest.keys import Access, Keyring

__all__ = ["Call", "View", "answer", "body_of", "chunks_of", "data_of", "is_streamed", "served"]

_CHUNK = 2**16
#: Bytes beyond the limit that are read and thrown away.
_DRAINED = 2**20

_NOBODY = Keyring(()).access(None)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an endpoint: whom it reaches, what its caller may do, and its id."""

    backend: Backend
    access: Access
    identity: str


#: An endpoint; the parts of its path are keywords.
View = Callable[..., Response]


def served(view: View, *, guarded: bool = True) -> Callable[..., Response]:
    """Return the Flask view of an endpoint.

    Args:
        view: takes a `Call` and the parts of the path.
        guarded: whether the caller needs a key, where there are any.
    """

    @wraps(view)
    def serve(**path: str) -> Response:
        began = perf_counter()
        backend, identity = current_backend(), own_request_id()
        try:
            access = backend.keyring.access(request.headers.get("Authorization")) if guarded else _NOBODY
            _check_path(path)
            response = view(Call(backend, access, identity), **path)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the caller is told in problem+json
            response = answer_to(error, identity)
        response.headers[HEADER] = identity
        route = _route(request)
        backend.metrics.count(request.method, route, status=response.status_code, seconds=perf_counter() - began)
        return response

    return serve


def _route(request: Request) -> str:
    """Return the pattern of the path in the contract's spelling."""
    rule = request.url_rule.rule if request.url_rule is not None else ""
    return rule.replace("<rowspace:", "{").replace("<", "{").replace(">", "}")


def _check_path(path: dict[str, str]) -> None:
    for name, value in path.items():
        if "\0" in value:
            detail = "PostgreSQL holds no text with a NUL character"
            raise RequestFault(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name}: {detail}.", parameter=name)


def answer(model: BaseModel, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return a model as an answer."""
    return Response(model.model_dump_json(), status=status, content_type=JSON)


def is_streamed() -> bool:
    """Return whether the body is NDJSON."""
    return media_type(request.headers.get("Content-Type")) in NDJSON


def body_of(kind: Any, backend: Backend) -> Any:
    """Return the body as a model.

    Raises:
        RequestFault: there is none, it is too large, of another media type, or no JSON.
        ValidationError: the model refuses it.
    """
    body = data_of(backend)
    if not body:
        raise RequestFault(HTTPStatus.UNPROCESSABLE_ENTITY, "There is no body: send JSON.", pointer="")
    check_media_type(request.headers.get("Content-Type"))
    return _adapter(kind).validate_python(read_json(body))


def data_of(backend: Backend) -> bytes:
    """Return the body, which may be asked for again.

    Raises:
        RequestFault: it is too large, announced or not, or breaks off.
    """
    with _measured(backend.settings.max_body) as meter:
        return meter.read(request.get_data())


def chunks_of(backend: Backend) -> Iterator[bytes]:
    """Yield the body in chunks, as it comes in.

    Raises:
        RequestFault: it is too large, announced or not, or breaks off.
    """
    with _measured(backend.settings.max_upload) as meter:
        while chunk := request.stream.read(_CHUNK):
            yield meter.read(chunk)


@contextmanager
def _measured(limit: int) -> Iterator[Meter]:
    """Read a body within a limit, or within that of the whole application where it is lower."""
    check_coding(request.headers.get("Content-Encoding"))
    given = request.max_content_length
    limit = limit if given is None else min(given, limit)
    # One more: at its limit, Werkzeug takes what has no announced length for complete.
    request.max_content_length = limit + 1
    try:
        yield Meter(limit)
    except RequestFault:
        # Of what was announced there is nothing left: to read on would be to wait for ever.
        _drain(0)
        raise
    except RequestEntityTooLarge as error:
        _drain(request.content_length or 0)
        raise body_too_large(limit) from error
    except (ClientDisconnected, OSError) as error:
        raise broken_off() from error
    finally:
        request.max_content_length = given


def _drain(announced: int) -> None:
    """Read on for a while: who is still sending when the connection is closed does not get to see why."""
    environ = request.environ
    ends = request.content_length is None and environ.get("wsgi.input_terminated")
    left = _DRAINED if ends else min(announced, _DRAINED)
    try:
        while left > 0 and (chunk := environ["wsgi.input"].read(min(left, _CHUNK))):
            left -= len(chunk)
    except OSError:
        # It is the caller who hung up: there is nobody left to tell.
        return


@lru_cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
