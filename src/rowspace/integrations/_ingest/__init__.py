"""Read documents from files. Shared by `rowspace ingest`, `manage.py rowspace_ingest` and the upload page."""
