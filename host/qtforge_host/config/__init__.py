"""Settings, the TOML files that they are read from, and secrets."""
