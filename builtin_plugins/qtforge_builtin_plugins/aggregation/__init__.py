"""Aggregate the rows of many sources to one result."""
