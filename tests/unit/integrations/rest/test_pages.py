"""The pages name where their scripts are, and say what to do where these cannot be had."""

from __future__ import annotations

import re

import pytest

from rowspace.errors import ConfigurationError
from rowspace.integrations.rest.pages import Assets, redoc_page, swagger_page

FILES = ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js")


@pytest.fixture
def directory(tmp_path):
    for name in FILES:
        (tmp_path / name).write_text(f"/* {name} */")
    return tmp_path


def addresses(page):
    return set(re.findall(r'(?:src|href)="([^"]+)"', page)) - {"data:,", "openapi.json"}


def test_without_a_setting_a_public_cdn():
    pages = (swagger_page(Assets()), redoc_page(Assets()))
    assert {address.split("/")[2] for page in pages for address in addresses(page)} == {"cdn.jsdelivr.net"}
    assert Assets().path(FILES[0]) is None


def test_a_mirror():
    assets = Assets("https://mirror.example/npm/")
    assert addresses(swagger_page(assets)) == {f"https://mirror.example/npm/{name}" for name in FILES[:2]}
    assert addresses(redoc_page(assets)) == {"https://mirror.example/npm/redoc.standalone.js"}
    assert assets.path(FILES[0]) is None


def test_a_directory_that_the_server_serves(directory):
    assets = Assets(str(directory))
    assert addresses(swagger_page(assets)) | addresses(redoc_page(assets)) == {f"docs/assets/{name}" for name in FILES}
    assert assets.path("swagger-ui.css").read_text() == "/* swagger-ui.css */"
    for name in ("other.js", "../secret", "", "."):
        assert assets.path(name) is None


def test_a_directory_without_the_files(directory):
    (directory / FILES[2]).unlink()
    with pytest.raises(ConfigurationError, match=r"a directory with redoc\.standalone\.js\. .*npm packages"):
        Assets(str(directory))


@pytest.mark.parametrize("page", [swagger_page, redoc_page])
def test_whoever_sees_nothing_is_told_why(page):
    shown = page(Assets('https://mirror.example/"><script>'))
    assert "ROWSPACE_DOCS_ASSETS" in shown
    assert 'href="openapi.json"' in shown
    assert '"><script>' not in shown
