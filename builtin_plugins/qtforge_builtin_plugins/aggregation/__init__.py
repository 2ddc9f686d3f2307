"""Making one result of many sources' rows."""
