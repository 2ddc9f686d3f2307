"""Rows from files: CSV, JSON, JSON Lines, Parquet, Excel, TOML."""
