"""How fast the host is, beside libraries that do something like it."""
