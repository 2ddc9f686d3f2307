"""Sources of rows: each type a plugin that answers its topic."""
