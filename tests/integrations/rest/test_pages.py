"""The description and the pages that show it."""

from __future__ import annotations

import pytest

FILES = {"swagger-ui-bundle.js": "javascript", "swagger-ui.css": "css", "redoc.standalone.js": "javascript"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("assets")
    for name in FILES:
        (directory / name).write_text(f"/* {name} */")
    (directory / "secret.txt").write_text("secret")
    return directory


def test_pages_and_assets_of_a_server_without_a_way_out(start, directory, problem_of):
    server = start(docs_assets=str(directory))
    for page in ("/docs", "/redoc"):
        answer = server.get(page)
        assert answer.headers["content-type"].startswith("text/html")
        assert "https://" not in answer.text
        assert "openapi.json" in answer.text
    for name, kind in FILES.items():
        answer = server.get(f"/docs/assets/{name}")
        assert answer.text == f"/* {name} */"
        assert kind in answer.headers["content-type"]
    problem_of(server.get("/docs/assets/secret.txt"), 404)
    problem_of(server.get("/docs/assets/..%2Fsecret.txt"), 404)


def test_the_description_needs_no_key(start):
    server = start(api_keys=[{"sha256": "0" * 64}])
    assert server.get("/docs").status_code == 200
    description = server.get("/openapi.json")
    assert description.headers["content-type"] == "application/json"
    assert description.json()["paths"]["/api/search"]["post"]["security"]


def test_without_a_description(start, problem_of):
    server = start(docs=False)
    for path in ("/openapi.json", "/docs", "/redoc", "/docs/assets/swagger-ui.css"):
        problem_of(server.get(path), 404)
