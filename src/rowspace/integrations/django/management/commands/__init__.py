"""The commands: `rowspace_migrate`, `rowspace_ingest`, `rowspace_search`."""
