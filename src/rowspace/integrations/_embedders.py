"""Find an embedder by name, for programs that are configured with text."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from typing import Any

from rowspace.errors import ConfigurationError

__all__ = ["LOCAL", "embedder_from", "embedder_of", "embedder_or_none"]

#: The name of the embedder that comes with the extra `local`.
LOCAL = "local"


def embedder_or_none(name: str) -> Any:
    """Return the embedder with this name, as `embedder_of` does, or None for `none`."""
    return None if name == "none" else embedder_of(name)


def embedder_of(name: str) -> Any:
    """Return the embedder `local`, or that of `module:attribute`, which names an embedder or a factory of one.

    Raises:
        ConfigurationError: the module or attribute does not exist, or is not an embedder.
        MissingExtra: the name is `local`, and the extra `local` is not installed.
    """
    if name == LOCAL:
        from rowspace.integrations.local import LocalEmbedder

        return LocalEmbedder()
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        message = f"Expected `local` or module:attribute as the embedder, such as myapp.embedders:make, got {name!r}."
        raise ConfigurationError(message)
    try:
        found: Any = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        message = f"There is no embedder {name!r}: {error}."
        raise ConfigurationError(message) from error
    return embedder_from(found, repr(name))


def embedder_from(found: Any, name: str) -> Any:
    """Return `found` if it is an embedder. If it is a class or a function, return what it returns.

    Raises:
        ConfigurationError: the result is not an embedder, or the function requires arguments.
    """
    is_factory = isinstance(found, type) or not hasattr(found, "embed_documents")
    made = _made(found, name) if is_factory and callable(found) else found
    if not hasattr(made, "embed_documents"):
        message = f"{name} is not an embedder: a {type(made).__name__} has no method embed_documents."
        raise ConfigurationError(message)
    return made


def _made(factory: Any, name: str) -> Any:
    # Bind instead of catching a TypeError of the call, which the factory itself could raise.
    try:
        signature(factory).bind()
    except (TypeError, ValueError) as error:
        message = f"{name} cannot be called without arguments: {error}. Name a function that returns an embedder."
        raise ConfigurationError(message) from error
    return factory()
