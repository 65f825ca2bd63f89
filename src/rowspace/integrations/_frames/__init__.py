"""Record batches between Arrow and the database: what `arrow`, `pandas` and `polars` share."""
