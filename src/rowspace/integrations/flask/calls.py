"""What surrounds every endpoint: a key check before the body is read, limits, problems, request ids, metrics.

It is in the view, not in hooks of the application, so that it applies wherever the blueprint is registered.
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
#: How many bytes beyond the limit to read and discard.
_DRAINED = 2**20

_NOBODY = Keyring(()).access(None)


@dataclass(frozen=True, slots=True)
class Call:
    """A call of an endpoint: the backend, the rights of the caller, and the request id."""

    backend: Backend
    access: Access
    identity: str


#: An endpoint. It takes a `Call`, and the parts of the path as keyword arguments.
View = Callable[..., Response]


def served(view: View, *, guarded: bool = True) -> Callable[..., Response]:
    """Return the Flask view of an endpoint.

    Args:
        view: takes a `Call` and the parts of the path.
        guarded: whether the caller needs a key, if the server has any.
    """

    @wraps(view)
    def serve(**path: str) -> Response:
        began = perf_counter()
        backend, identity = current_backend(), own_request_id()
        try:
            access = backend.keyring.access(request.headers.get("Authorization")) if guarded else _NOBODY
            _check_path(path)
            response = view(Call(backend, access, identity), **path)
        except Exception as error:  # noqa: BLE001 -- the caller gets any failure as problem+json
            response = answer_to(error, identity)
        response.headers[HEADER] = identity
        route = _route(request)
        backend.metrics.count(request.method, route, status=response.status_code, seconds=perf_counter() - began)
        return response

    return serve


def _route(request: Request) -> str:
    """Return the path pattern in the spelling of the contract."""
    rule = request.url_rule.rule if request.url_rule is not None else ""
    return rule.replace("<rowspace:", "{").replace("<", "{").replace(">", "}")


def _check_path(path: dict[str, str]) -> None:
    for name, value in path.items():
        if "\0" in value:
            detail = "PostgreSQL cannot store a NUL character in text"
            raise RequestFault(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name}: {detail}.", parameter=name)


def answer(model: BaseModel, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return a response with a model as its JSON body."""
    return Response(model.model_dump_json(), status=status, content_type=JSON)


def is_streamed() -> bool:
    """Return whether the body is NDJSON."""
    return media_type(request.headers.get("Content-Type")) in NDJSON


def body_of(kind: Any, backend: Backend) -> Any:
    """Return the body as a model.

    Raises:
        RequestFault: the body is missing, too large, not JSON, or of another media type.
        ValidationError: the model rejects the body.
    """
    body = data_of(backend)
    if not body:
        raise RequestFault(HTTPStatus.UNPROCESSABLE_ENTITY, "The body is missing. Send JSON.", pointer="")
    check_media_type(request.headers.get("Content-Type"))
    return _adapter(kind).validate_python(read_json(body))


def data_of(backend: Backend) -> bytes:
    """Return the body. Repeated calls return the same bytes.

    Raises:
        RequestFault: the body or its announced length is too large, or the body ends early.
    """
    with _measured(backend.settings.max_body) as meter:
        return meter.read(request.get_data())


def chunks_of(backend: Backend) -> Iterator[bytes]:
    """Yield the body in chunks as it arrives.

    Raises:
        RequestFault: the body or its announced length is too large, or the body ends early.
    """
    with _measured(backend.settings.max_upload) as meter:
        while chunk := request.stream.read(_CHUNK):
            yield meter.read(chunk)


@contextmanager
def _measured(limit: int) -> Iterator[Meter]:
    """Read a body within `limit`, or within the application's own limit if it is lower."""
    check_coding(request.headers.get("Content-Encoding"))
    given = request.max_content_length
    limit = limit if given is None else min(given, limit)
    # One byte more: at its limit, Werkzeug treats a body without an announced length as complete.
    request.max_content_length = limit + 1
    try:
        yield Meter(limit)
    except RequestFault:
        # The announced body has been read completely. Reading on would block forever.
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
    """Discard data for a while: a client that is still sending when the connection closes cannot read the response."""
    environ = request.environ
    ends = request.content_length is None and environ.get("wsgi.input_terminated")
    left = _DRAINED if ends else min(announced, _DRAINED)
    try:
        while left > 0 and (chunk := environ["wsgi.input"].read(min(left, _CHUNK))):
            left -= len(chunk)
    except OSError:
        # The client hung up, so nobody reads the response.
        return


@lru_cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
