"""Workflow definitions: parsing, the catalog, checking, and graphs."""
