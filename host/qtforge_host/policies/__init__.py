"""The policies' logic, each over an injected clock; the engine and the bus apply them."""
