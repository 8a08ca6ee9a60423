"""Functions for tables of any kind: fetch a file, convert it to Parquet, read it, append rows."""
