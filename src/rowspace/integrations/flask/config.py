"""Settings from `app.config`: what is not there comes from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rowspace.errors import ConfigurationError
from rowspace.integrations.rest.settings import ServerSettings, read_settings, variable_of

__all__ = ["settings_from"]

_PREFIX = "ROWSPACE_"


def settings_from(config: Mapping[str, Any]) -> ServerSettings:
    """Return the settings of an application; a value of None counts as none.

    Raises:
        ConfigurationError: there is no such setting, or its value is none; the message does not repeat it, as it may
            hold a password.
    """
    given = {key: value for key, value in config.items() if key.startswith(_PREFIX) and value is not None}
    known = {
        (field.validation_alias or variable_of(name)): (field.validation_alias or name)
        for name, field in ServerSettings.model_fields.items()
    }
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        names = ", ".join(sorted(map(str, known)))
        message = f"app.config has {', '.join(unknown)}, which Rowspace does not know. It knows {names}."
        raise ConfigurationError(message)
    return read_settings({str(known[key]): value for key, value in given.items()})
