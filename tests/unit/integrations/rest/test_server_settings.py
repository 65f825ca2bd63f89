"""Settings come from variables, and say where they cannot be."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from pydantic import ValidationError

from rowspace.errors import ConfigurationError
from rowspace.integrations.rest.databases import database_url, engine_options
from rowspace.integrations.rest.settings import ServerSettings, misspelt, read_settings


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in ("DATABASE_URL", "SCHEMA", "DATA_DIR", "API_KEYS", "MAX_K"):
        monkeypatch.delenv(f"ROWSPACE_{name}", raising=False)


def test_variables(monkeypatch):
    given = {
        "DATABASE_URL": "postgresql://me:s3cret@db/app",
        "SCHEMA": "vectors",
        "API_KEYS": '[{"sha256": "%s", "collections": ["a"], "write": true}]' % ("0" * 64),
        "CORS_ORIGINS": '["https://example.org"]',
        "MAX_K": "50",
        "METRICS": "false",
        "CHAT_MODEL": "",
    }
    for name, value in given.items():
        monkeypatch.setenv(f"ROWSPACE_{name}", value)
    settings = ServerSettings()
    assert (settings.database_schema, settings.max_k, settings.metrics) == ("vectors", 50, False)
    assert settings.api_keys[0].collections == {"a"}
    assert settings.cors_origins == ("https://example.org",)
    assert settings.chat_model is None
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [("MAX_K", "1001"), ("MAX_K", "0"), ("MAX_DOCUMENTS", "5001"), ("POOL_SIZE", "0"), ("API_KEYS", '[{"key": "a"}]')],
)
def test_limits_can_only_be_lowered_and_nonsense_is_refused(monkeypatch, name, value):
    monkeypatch.setenv(f"ROWSPACE_{name}", value)
    with pytest.raises(ValidationError):
        ServerSettings()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("API_KEYS", '[{"key": "sk-secret"}]', "ROWSPACE_API_KEYS is invalid: 0.sha256: Field required."),
        ("API_KEYS", '[{"sha256": "sk-secret"}]', "ROWSPACE_API_KEYS is invalid: 0.sha256: String should match"),
        ("API_KEYS", "sk-secret", "ROWSPACE_API_KEYS is invalid: expected JSON, such as [{"),
        ("CORS_ORIGINS", "https://sk-secret", 'expected JSON, such as ["https://'),
        ("CORS_ORIGINS", '["*", "https://sk-secret/"]', "ROWSPACE_CORS_ORIGINS is invalid: 1: an origin is"),
        ("CORS_ORIGINS", '["sk-secret"]', "such as https://example.org, with nothing after the host."),
        ("MAX_K", "sk-secret", "ROWSPACE_MAX_K is invalid: Input should be a valid integer"),
    ],
)
def test_what_cannot_be_read_is_named_and_not_repeated(monkeypatch, name, value, said):
    monkeypatch.setenv(f"ROWSPACE_{name}", value)
    with pytest.raises(ConfigurationError) as raised:
        read_settings()
    assert said in str(raised.value)
    for error in (raised.value, raised.value.__cause__, raised.value.__context__):
        assert "sk-secret" not in str(error)


@pytest.mark.parametrize("value", ["sk-secret", ["sk-secret"]])
def test_what_is_given_as_a_text_is_said_to_be_a_list(value):
    with pytest.raises(ConfigurationError, match="Expected a list, such as") as raised:
        read_settings({"api_keys": value})
    assert '[{"name": "site", "sha256": "5e88..."}].' in str(raised.value)
    assert "sk-secret" not in str(raised.value)


def test_what_is_given_goes_before_the_variables(monkeypatch):
    monkeypatch.setenv("ROWSPACE_MAX_K", "50")
    assert read_settings({"max_k": 20}).max_k == 20
    assert read_settings().max_k == 50


def test_the_database_of_the_settings():
    with ExitStack() as stack:
        assert database_url(ServerSettings(), stack) is None
        url = database_url(ServerSettings(database_url="postgresql://me:s3cret@db/app"), stack)
    assert (url.host, url.database) == ("db", "app")
    options = engine_options(ServerSettings(pool_size=3, pool_timeout=0.5))
    assert (options["pool_size"], options["max_overflow"], options["pool_timeout"]) == (3, 0, 0.5)


def test_variables_that_were_most_likely_meant_to_be_settings():
    wrong = ["ROWSPACE_API_KEY", "ROWSPACE_POOLSIZE", "rowspace_databse_url", "ROWSPACE_CORS_ORIGIN"]
    meant = ["ROWSPACE_API_KEYS", "ROWSPACE_POOL_SIZE", "ROWSPACE_DATABASE_URL", "ROWSPACE_CORS_ORIGINS"]
    assert misspelt(wrong) == dict(zip(wrong, meant, strict=True))
    others = ["API_KEY", "MY_ROWSPACE_API_KEY", "ROWSPACE_API_KEYS", "rowspace_schema", "ROWSPACE_DOCS"]
    others += ["ROWSPACE_COLLECTION", "ROWSPACE_TEST_DATABASE_URL", "ROWSPACE_PORT", "ROWSPACE_VERSION", "ROWSPACE_"]
    assert misspelt(others) == {}
