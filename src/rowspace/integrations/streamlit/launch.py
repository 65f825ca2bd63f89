"""Start the application in this process, with Streamlit's own command and suitable flags."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from rowspace.integrations.streamlit.options import UiOptions, given

__all__ = ["flags_of", "launch"]

_APP = Path(__file__).parent / "app.py"

#: The host names that a browser on this machine can use.
_HOSTS = ("localhost", "127.0.0.1")


def launch(options: UiOptions, *, port: int | None, browser: bool) -> None:
    """Serve the application on the loopback interface until a signal stops it."""
    from streamlit.web import cli

    # Older versions of Streamlit do not know this as a flag. Without it, a page whose host name is rebound to this
    # machine's address would count as the same origin.
    os.environ.setdefault("STREAMLIT_SERVER_ALLOWED_HOSTS", " ".join(_HOSTS))
    with given(options):
        cli.main(["run", str(_APP), *flags_of(port=port, browser=browser)], standalone_mode=False)


def flags_of(*, port: int | None, browser: bool) -> list[str]:
    """Return flags for Streamlit: no usage statistics, no access from other hosts, no tracebacks on pages."""
    flags: dict[str, Any] = {
        "server.address": "127.0.0.1",
        "server.headless": "false" if browser and _has_display() else "true",
        "server.fileWatcherType": "none",
        "server.showEmailPrompt": "false",
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "none",
        "client.toolbarMode": "minimal",
        "runner.magicEnabled": "false",
        # Not theme.primaryColor, which would force the light theme.
        "theme.light.primaryColor": "#2f80c2",
        "theme.dark.primaryColor": "#4a9fe0",
    }
    if port is not None:
        flags["server.port"] = str(port)
    return [f"--{name}={value}" for name, value in flags.items()]


def _has_display() -> bool:
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
