"""Break machines and the server on purpose, and check that every run is exact.

``python -m tools.chaos [PART ...]`` starts a PostgreSQL server of its own that waits for the disk,
real workers, and breaks them: see `tools.chaos.parts`. It prints figures, and ends with exit code 1
where one of them is not as it has to be.
"""
