"""The embedder that the settings of a server name."""

from __future__ import annotations

from importlib import import_module

from rowspace.errors import ConfigurationError
from rowspace.services import Embedder

__all__ = ["embedder_of"]


def embedder_of(name: str) -> Embedder | None:
    """Return the embedder of a name: `local`, `none`, or `package.module:name` of one or of what makes one.

    Raises:
        ConfigurationError, MissingExtra: there is no such embedder; it is not installed.
    """
    if name == "none":
        return None
    if name == "local":
        from rowspace.integrations.local import LocalEmbedder

        return LocalEmbedder()
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        message = f"The embedder is `local`, `none` or `package.module:name`, got {name!r}: {error}."
        raise ConfigurationError(message) from error
    made: Embedder = found if hasattr(found, "embed_query") and not isinstance(found, type) else found()
    return made
