"""API keys: who may read or write which collections. Settings hold the SHA-256 of a key, never the key."""

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
    """What a key may do.

    Args:
        sha256: the SHA-256 of the key, in hexadecimal. The key itself has to be random: it is hashed once.
        collections: the names of the collections that it is for; None means all of them.
        write: whether it may change them too; to create and delete collections it has to name them, or be for all.
        name: yours, to tell it from others; it is not sent anywhere.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    collections: frozenset[str] | None = None
    write: bool = False
    name: str = "key"


class Access:
    """What the caller of one request may do.

    Args:
        key: its key; None where the server asks for none.
    """

    def __init__(self, key: ApiKey | None) -> None:
        self._key = key

    def sees(self, collection: str) -> bool:
        """Return whether the caller may read a collection."""
        return self._key is None or self._key.collections is None or collection in self._key.collections

    def check(self, collection: str, right: Right = "read") -> None:
        """Refuse what the key is not for, whether or not there is such a collection.

        Raises:
            RequestFault: 403.
        """
        if not self.sees(collection):
            raise RequestFault(HTTPStatus.FORBIDDEN, f"This key is not for the collection {collection!r:.220}.")
        if right == "write" and self._key is not None and not self._key.write:
            raise RequestFault(HTTPStatus.FORBIDDEN, "This key may read, not write.")


class Keyring:
    """The keys of a server.

    Args:
        keys: without any, every caller may do everything.
    """

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._keys = [(bytes.fromhex(key.sha256), Access(key)) for key in keys]

    def access(self, authorization: str | None) -> Access:
        """Return what the bearer of an Authorization header may do.

        Raises:
            RequestFault: 401, there is no key in it, or an unknown one.
        """
        if not self._keys:
            return _EVERYTHING
        scheme, _, given = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            detail = "This server wants an API key: send `Authorization: Bearer <key>`."
            raise RequestFault(HTTPStatus.UNAUTHORIZED, detail, headers=_CHALLENGE)
        # Both frameworks read the bytes of a header as Latin-1: these are the bytes.
        digest = hashlib.sha256(given.strip().encode("latin-1", "backslashreplace")).digest()
        # Each key is compared, in constant time: how long it takes says nothing about any.
        matching = [access for known, access in self._keys if hmac.compare_digest(known, digest)]
        if not matching:
            raise RequestFault(HTTPStatus.UNAUTHORIZED, "This API key is not known here.", headers=_CHALLENGE)
        return matching[0]


_EVERYTHING = Access(None)
