"""Queries that only read, on SQLite, PostgreSQL, and what else SQLAlchemy knows."""
