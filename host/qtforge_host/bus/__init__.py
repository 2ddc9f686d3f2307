"""The bus: topics are pluggy hooks, compiled into routes."""
