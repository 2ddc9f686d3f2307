"""Pipelines for kinds of documents, one folder each: a workflow and its operations."""
