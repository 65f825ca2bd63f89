"""An embedder by its name, for programs that are configured by text."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from typing import Any

from rowspace.errors import ConfigurationError

__all__ = ["LOCAL", "embedder_from", "embedder_of", "embedder_or_none"]

#: The name of the embedder that comes with the extra `local`.
LOCAL = "local"


def embedder_or_none(name: str) -> Any:
    """Return the embedder of a name, see `embedder_of`; None for `none`."""
    return None if name == "none" else embedder_of(name)


def embedder_of(name: str) -> Any:
    """Return the embedder of a name: `local`, or `module:attribute`, an embedder or what returns one.

    Raises:
        ConfigurationError: there is no such module or attribute, or it is no embedder.
        MissingExtra: it is the local one, and the extra `local` is not installed.
    """
    if name == LOCAL:
        from rowspace.integrations.local import LocalEmbedder

        return LocalEmbedder()
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        message = f"An embedder is `local` or module:attribute, such as myapp.embedders:make; got {name!r}."
        raise ConfigurationError(message)
    try:
        found: Any = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        message = f"There is no embedder {name!r}: {error}."
        raise ConfigurationError(message) from error
    return embedder_from(found, repr(name))


def embedder_from(found: Any, name: str) -> Any:
    """Return what was found by a name if it is an embedder, else what it returns, as a class or a function.

    Raises:
        ConfigurationError: that is no embedder, or it is only returned to who gives arguments.
    """
    is_factory = isinstance(found, type) or not hasattr(found, "embed_documents")
    made = _made(found, name) if is_factory and callable(found) else found
    if not hasattr(made, "embed_documents"):
        message = f"{name} is no embedder: a {type(made).__name__} has no embed_documents."
        raise ConfigurationError(message)
    return made


def _made(factory: Any, name: str) -> Any:
    # Not by calling it: a TypeError may be the factory's own.
    try:
        signature(factory).bind()
    except (TypeError, ValueError) as error:
        message = f"{name} cannot be called without arguments: {error}. Name a function that returns an embedder."
        raise ConfigurationError(message) from error
    return factory()
