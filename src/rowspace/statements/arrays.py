"""Several vectors as one parameter: an array of the column's type, in binary if the driver supports it.

The statement does not depend on the number of vectors, so it is compiled and prepared once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Cast, Dialect, bindparam, cast
from sqlalchemy.types import UserDefinedType

from rowspace.types import Bit, VectorType

__all__ = ["VectorArray", "vectors_parameter"]

_BIT_OID = 1560


class VectorArray(UserDefinedType[Sequence[Any]]):
    """`vector(n)[]`, and the equivalents for the other vector types; only for parameters."""

    cache_ok = True

    def __init__(self, item: VectorType[Any]) -> None:
        self.item = item

    def get_col_spec(self, **_: Any) -> str:
        """Return the type as SQL."""
        return f"{self.item.get_col_spec()}[]"

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        """Return the function that turns a sequence of vectors into a parameter."""
        one = self.item.bind_processor(dialect)

        def process(values: Sequence[Any]) -> Any:
            if dialect.driver == "asyncpg":
                return [one(value) for value in values]
            wrap = getattr(dialect, "rowspace_wrap", None)
            return self._text(values) if wrap is None else wrap(self._binary(values), partial(self._text, values))

        return process

    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:  # noqa: ARG002
        """Return the function that renders vectors into SQL text."""
        return lambda values: f"'{self._text(values)}'"

    def _text(self, values: Sequence[Any]) -> str:
        return "{" + ",".join(f'"{self.item.to_text(self.item.coerce(value))}"' for value in values) + "}"

    def _binary(self, values: Sequence[Any]) -> bytes:
        # Dimensions, has-nulls flag, element type, length, lower bound; see array_recv, which accepts any OID for the
        # element type if that belongs to an extension. The actual OID differs between databases.
        oid = _BIT_OID if isinstance(self.item, Bit) else 0
        parts = [struct.pack(">iiIii", 1, 0, oid, len(values), 1)]
        for value in values:
            data = self.item.to_binary(self.item.coerce(value))
            parts += (struct.pack(">i", len(data)), data)
        return b"".join(parts)


def vectors_parameter(name: str, item: VectorType[Any]) -> Cast[Any]:
    """Return the parameter `name`, a sequence of vectors of the type `item`."""
    array = VectorArray(item)
    # With an explicit cast, because psycopg2 renders none for a parameter, and `unnest` needs its type.
    return cast(bindparam(name, type_=array), array)
