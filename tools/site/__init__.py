"""The documentation's site: ``python -m tools.site`` builds it from ``docs/`` and the code."""
