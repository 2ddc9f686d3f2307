"""The HTTP interface: one table of endpoints, from which routes and OpenAPI document are made."""
