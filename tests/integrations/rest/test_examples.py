"""Every example of the description, sent as it stands to a server that has nothing yet."""

from __future__ import annotations

import jsonschema
import pytest

#: The endpoints in the order in which somebody would try them.
STORY = (
    "create_collection",
    "put_documents",
    "search",
    "chat",
    "count_documents",
    "scroll_documents",
    "list_collections",
    "get_collection",
    "get_document",
    "delete_documents",
    "delete_collection",
    "healthz",
    "readyz",
    "metrics",
)


@pytest.fixture(scope="module")
def fresh(start, new_module_database):
    return start(database_url=new_module_database())


@pytest.fixture(scope="module")
def description(fresh):
    return fresh.get("/openapi.json").json()


@pytest.fixture(scope="module")
def endpoints(description):
    """The method, the path with its examples in it, and the operation, of each endpoint by its name."""
    found = {}
    for template, operations in description["paths"].items():
        for method, operation in operations.items():
            path = template
            for parameter in operation.get("parameters", []):
                (example,) = parameter["examples"].values()
                path = path.replace(f"{{{parameter['name']}}}", example["value"])
            found[operation["operationId"]] = method, path, operation
    return found


@pytest.fixture(scope="module")
def validate(description):
    def validate(value, schema):
        whole = {**schema, "components": description["components"]}
        jsonschema.Draft202012Validator(whole).validate(value)

    return validate


def test_each_request_is_answered_well_and_as_described(fresh, endpoints, validate):
    assert set(STORY) == set(endpoints)
    sent = 0
    for name in STORY:
        method, path, operation = endpoints[name]
        content = operation.get("requestBody", {}).get("content", {})
        bodies = [{"json": one["value"]} for one in content.get("application/json", {}).get("examples", {}).values()]
        if "application/x-ndjson" in content:
            _, _, stream = content["application/x-ndjson"]["schema"]["description"].partition(":\n\n")
            bodies.append({"content": stream, "headers": {"content-type": "application/x-ndjson"}})
        for body in bodies or [{}]:
            answer = fresh.request(method, path, **body)
            assert answer.is_success, f"{name} {body}: {answer.text}"
            if "json" in answer.headers.get("content-type", ""):
                described = operation["responses"][str(answer.status_code)]["content"]["application/json"]
                validate(answer.json(), described["schema"])
                # FastAPI leaves out what is null in an example.
                said = {key for key, value in answer.json().items() if value is not None}
                assert said <= {*described["example"], "results"}
            sent += 1
    assert sent == 30


def test_each_answer_and_problem_is_as_its_schema_says(endpoints, validate):
    shown = 0
    for name, (_, _, operation) in endpoints.items():
        for status, answer in operation["responses"].items():
            for kind, content in answer.get("content", {}).items():
                if "json" in kind:
                    assert "example" in content, f"{name} {status}"
                    validate(content["example"], content["schema"])
                    shown += 1
    assert shown > 100


def test_each_field_of_a_request_is_described(description):
    for name, schema in description["components"]["schemas"].items():
        if name.endswith("Body"):
            assert schema["properties"].keys() == {
                field for field, about in schema["properties"].items() if about.get("description", "").strip()
            }, name
            assert "Args:" not in schema["description"]
