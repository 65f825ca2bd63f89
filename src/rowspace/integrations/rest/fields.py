"""Building blocks of the bodies: bounded numbers and strings, and strict base models."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, model_validator

from rowspace.integrations.rest.schemas import NO_NUL, arguments

__all__ = [
    "MAX_DOCUMENTS",
    "MAX_IDS",
    "MAX_K",
    "MAX_QUERIES",
    "Body",
    "Budget",
    "Described",
    "Dimension",
    "Id",
    "K",
    "Name",
    "Passages",
    "Query",
    "Text",
    "Thousand",
    "Vector",
    "given",
]

#: Upper bounds for one request. A server's settings can lower them.
MAX_DOCUMENTS, MAX_IDS, MAX_K, MAX_QUERIES = 5_000, 10_000, 1_000, 100

#: How many unknown keys of an object are reported.
_MAX_UNKNOWN = 20

# The largest float32. A vector cannot hold a larger number.
_LARGEST = 3.4028234663852886e38

Text = Annotated[str, Field(pattern=NO_NUL)]
# 500 characters fit the primary key's index in any script.
Id = Annotated[str, Field(min_length=1, max_length=500, pattern=NO_NUL)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL, examples=["articles"])]
Query = Annotated[str, Field(min_length=1, max_length=1_000, pattern=NO_NUL, examples=["vector index"])]
Number = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)]
Vector = Annotated[list[Number], Field(min_length=1, max_length=16_000, examples=[[0.1, 0.2, 0.3, 0.4]])]


def _whole(value: Any) -> Any:
    """Accept 10.0 as 10, as JSON Schema does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# The bounds are inside Annotated, so that they appear in the OpenAPI document.
Dimension = Annotated[int, Field(ge=1, le=16_000), BeforeValidator(_whole)]
Thousand = Annotated[int, Field(ge=1, le=1_000), BeforeValidator(_whole)]
Passages = Annotated[int, Field(ge=1, le=100), BeforeValidator(_whole)]
Budget = Annotated[int, Field(ge=50, le=1_000_000), BeforeValidator(_whole)]
K = Annotated[int, Field(ge=1, le=MAX_K), BeforeValidator(_whole)]


def given(*names: str, **properties: Any) -> dict[str, Any]:
    """Return the schema of an object with required, non-null keys and these properties."""
    return {"required": [*names], "properties": {**{name: {"not": {"type": "null"}} for name in names}, **properties}}


class Described(BaseModel):
    """Describes each field by its line under `Args:` in the docstring of the class or of a base class."""

    @model_validator(mode="before")
    @classmethod
    def _few_unknown(cls, given: Any) -> Any:
        # Each unknown key becomes a fault with a location. Megabytes of them would block other callers for seconds.
        if not isinstance(given, dict) or len(given) <= _MAX_UNKNOWN:
            return given
        known = cls.model_fields
        unknown = islice((key for key in given if key not in known), _MAX_UNKNOWN)
        return {key: given[key] for key in (*(key for key in known if key in given), *unknown)}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> Any:
        schema = handler(core_schema)
        found = handler.resolve_ref_schema(schema)
        about = arguments(*(base.__doc__ for base in cls.__mro__))
        for name, field in found.get("properties", {}).items():
            if name in about:
                field.setdefault("description", about[name][:1].upper() + about[name][1:])
        if "description" in found:
            found["description"] = found["description"].partition("\n\nArgs:")[0]
        return schema


class Body(Described):
    """A request or response body. It is strict and rejects unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
