"""Documents from files: what `rowspace ingest`, `manage.py rowspace_ingest` and the upload page share."""
