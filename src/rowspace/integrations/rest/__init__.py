"""What the web adapters share: the REST contract, without a web framework.

Bodies and answers as pydantic models, limits, API keys, how an error becomes problem+json, how NDJSON is read, request
ids, metrics and settings. `rowspace.integrations.fastapi` serves it; the contract is in `docs/reference/rest.md`.
"""
