"""What the web adapters share: the REST contract, without a web framework.

Bodies and answers as pydantic models, limits, API keys, how an error becomes problem+json, how NDJSON is read, request
ids, metrics and settings. `rowspace.integrations.fastapi` and `rowspace.integrations.flask` serve it; the contract is
in `docs/reference/rest.md`.
"""
