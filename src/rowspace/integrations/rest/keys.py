"""API keys: who may read or write which collections. Settings store the SHA-256 of a key, never the key."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from rowspace.integrations.rest.errors import RequestFault

__all__ = ["Access", "ApiKey", "Keyring"]

Right = Literal["read", "write"]

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="rowspace"'}


class ApiKey(BaseModel):
    """The rights of a key.

    Args:
        sha256: the SHA-256 of the key, in hexadecimal. The key itself must be random, because it is hashed only once.
        collections: the names of the collections that the key is for; None means all.
        write: whether the key allows changes. It can create or delete a collection only if it names it or is for all.
        name: a label of your choice. The server does not send it anywhere.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    collections: frozenset[str] | None = None
    write: bool = False
    name: str = "key"


class Access:
    """What the caller of a request may do.

    Args:
        key: the caller's key; None if the server requires none.
    """

    def __init__(self, key: ApiKey | None) -> None:
        self._key = key

    def sees(self, collection: str) -> bool:
        """Return whether the caller may read a collection."""
        return self._key is None or self._key.collections is None or collection in self._key.collections

    def check(self, collection: str, right: Right = "read") -> None:
        """Reject access that the key does not allow, whether or not the collection exists.

        Raises:
            RequestFault: 403.
        """
        if not self.sees(collection):
            raise RequestFault(HTTPStatus.FORBIDDEN, f"This key is not for the collection {collection!r:.220}.")
        if right == "write" and self._key is not None and not self._key.write:
            raise RequestFault(HTTPStatus.FORBIDDEN, "This key allows reading only.")


class Keyring:
    """The keys of a server.

    Args:
        keys: the keys; without any, every caller may do everything.
    """

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._keys = [(bytes.fromhex(key.sha256), Access(key)) for key in keys]

    def access(self, authorization: str | None) -> Access:
        """Return what the bearer of an Authorization header may do.

        Raises:
            RequestFault: 401, the header has no key or an unknown one.
        """
        if not self._keys:
            return _EVERYTHING
        scheme, _, given = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            detail = "This server requires an API key. Send `Authorization: Bearer <key>`."
            raise RequestFault(HTTPStatus.UNAUTHORIZED, detail, headers=_CHALLENGE)
        # Both frameworks decode header bytes as Latin-1. Encode them back.
        digest = hashlib.sha256(given.strip().encode("latin-1", "backslashreplace")).digest()
        # Compare every key, each in constant time, so that the response time reveals nothing about the keys.
        matching = [access for known, access in self._keys if hmac.compare_digest(known, digest)]
        if not matching:
            raise RequestFault(HTTPStatus.UNAUTHORIZED, "This server does not know this API key.", headers=_CHALLENGE)
        return matching[0]


_EVERYTHING = Access(None)
