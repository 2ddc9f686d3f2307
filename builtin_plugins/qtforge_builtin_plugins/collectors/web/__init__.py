"""Shared by the collectors that request servers: allowed addresses, sessions, errors."""
