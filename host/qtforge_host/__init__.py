"""The host: finds plugins, wires them to the bus, runs workflows over them."""
