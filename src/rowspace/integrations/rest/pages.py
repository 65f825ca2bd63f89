"""Documentation pages for the OpenAPI document, with Swagger UI and ReDoc.

Rowspace does not include their scripts. They come from a public CDN, a mirror, or a directory on the server.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from rowspace.errors import ConfigurationError

__all__ = ["PREFIX", "Assets", "redoc_page", "swagger_page"]

#: The path below which a directory of assets is served, next to the pages.
PREFIX = "docs/assets"

_SCRIPT, _STYLE, _REDOC = "swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js"
_CDN = {
    _SCRIPT: "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/swagger-ui-bundle.js",
    _STYLE: "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/swagger-ui.css",
    _REDOC: "https://cdn.jsdelivr.net/npm/redoc@2/bundles/redoc.standalone.js",
}

# Relative URLs make the pages work under any prefix and behind any proxy. A message appears if a script cannot load.
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Rowspace</title>
<link rel="icon" href="data:,">
{style}</head>
<body style="margin: 0">
<p id="missing" style="margin: 2em; font-family: sans-serif" hidden>This page needs <code>{script}</code>, which could
not be loaded. Put the files of Swagger UI and ReDoc on the server and set <code>ROWSPACE_DOCS_ASSETS</code> to their
directory. The OpenAPI document is at <a href="openapi.json">openapi.json</a>.</p>
{content}
</body>
</html>
"""
_SWAGGER = """\
<div id="swagger-ui"></div>
<script src="{script}" onerror="document.getElementById('missing').hidden = false"></script>
<script>
if (window.SwaggerUIBundle) SwaggerUIBundle({{
  url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null,
}});
</script>"""
_REDOC_CONTENT = """\
<redoc spec-url="openapi.json"></redoc>
<script src="{script}" onerror="document.getElementById('missing').hidden = false"></script>"""


class Assets:
    """The location of the scripts and styles of the pages.

    Args:
        given: None for the CDN, an http(s) URL with the three files below it, or a directory that contains them.

    Raises:
        ConfigurationError: a file is missing from the directory.
    """

    def __init__(self, given: str | None = None) -> None:
        self._base: str | None = None
        self._directory: Path | None = None
        if given is not None and given.startswith(("http://", "https://")):
            self._base = given.rstrip("/")
        elif given is not None:
            self._directory = Path(given).expanduser().resolve()
            missing = [name for name in _CDN if not (self._directory / name).is_file()]
            if missing:
                message = (
                    f"docs_assets is {given!r}, expected an http(s) URL or a directory with {', '.join(missing)}. "
                    "The npm packages swagger-ui-dist and redoc contain these files."
                )
                raise ConfigurationError(message)

    def url(self, name: str) -> str:
        """Return the URL of a file, relative to the pages."""
        if self._directory is not None:
            return f"{PREFIX}/{name}"
        return _CDN[name] if self._base is None else f"{self._base}/{name}"

    def path(self, name: str) -> Path | None:
        """Return the path of a file that this server serves, or None for any other name."""
        return self._directory / name if self._directory is not None and name in _CDN else None


def swagger_page(assets: Assets) -> str:
    """Return the Swagger UI page for the `openapi.json` next to it."""
    style = f'<link rel="stylesheet" href="{escape(assets.url(_STYLE))}">\n'
    return _page(_SWAGGER, assets.url(_SCRIPT), style)


def redoc_page(assets: Assets) -> str:
    """Return the ReDoc page for the `openapi.json` next to it."""
    return _page(_REDOC_CONTENT, assets.url(_REDOC), "")


def _page(content: str, script: str, style: str) -> str:
    address = escape(script)
    return _PAGE.format(style=style, script=address, content=content.format(script=address))
