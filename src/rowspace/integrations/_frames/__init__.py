"""Convert between record batches and the database. Shared by `arrow`, `pandas` and `polars`."""
