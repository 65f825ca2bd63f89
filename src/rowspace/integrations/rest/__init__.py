"""The REST contract without a web framework, shared by the web adapters.

It has request and response bodies as pydantic models, limits, API keys, the conversion of errors to problem+json, an
NDJSON reader, request ids, metrics and settings. `rowspace.integrations.fastapi` and `rowspace.integrations.flask`
serve the contract, which `docs/reference/rest.md` describes.
"""
