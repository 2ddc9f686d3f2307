"""Pipelines for kinds of documents, one folder each: a workflow, its operations and messages."""
