"""Other nodes: the bus between them, and their plugins' handlers."""
