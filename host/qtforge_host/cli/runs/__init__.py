"""``qtforge-host runs``: one module per command."""
